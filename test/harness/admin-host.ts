import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { adminSessions } from '../../src/assembly/admin-sessions.ts'
import { ephemeralKeyring } from '../../src/crypto/keyring.ts'
import { createSealer } from '../../src/crypto/seal.ts'
import { certificateDirSource } from '../../src/credentials/source-certificate-file.ts'
import { secretFileSource } from '../../src/credentials/source-secret-file.ts'
import type { AuditEvent } from '../../src/domain/audit-event.ts'
import type { SessionDirectory } from '../../src/domain/session-directory.ts'
import type { SessionDraft, SessionStore } from '../../src/domain/session-store.ts'
import type { Session } from '../../src/domain/session.ts'
import { createAdminServer, listenOnSocket } from '../../src/edge/admin-server.ts'
import { credentialAdmin } from '../../src/flows/credential-admin.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { instant, minutes, seconds, systemClock, type Clock } from '../../src/kernel/time.ts'
import { createMemoryStores } from '../../src/session/store-memory.ts'
import { shell } from '../unit/cli/a-shell.ts'
import { good } from '../unit/config/a-config.ts'
import { canary } from './canary.ts'
import { credentialSet, digestName } from './credential-set.ts'
import type { TestSet } from './credential-set.ts'
import { a, the } from './the.ts'

export interface AdminHost {
  readonly store: SessionStore
  readonly directory: SessionDirectory
  readonly events: AuditEvent[]
  /** Planted in every session: refresh token, access token, ID token, a claim, and the cookies made so far. */
  readonly secrets: string[]
  readonly socket: string
  /** The gateway's own: the secret of a file, and pairs in `pairs`. */
  readonly credentials: TestSet
  readonly pairs: string
  readonly config: string
  /** What the store and the provider do instead of working. */
  readonly broken: { store: boolean; provider: boolean }
  /** Moves the clock of store and flows. */
  advance(ms: number): void
  now(): ReturnType<Clock['now']>
  session(over?: Parameters<typeof a.draft>[0]): Promise<Session>
  /** `sallyport …`, as an operator beside the gateway. */
  cli(...argv: string[]): ReturnType<typeof shell>
  close(): Promise<void>
}

/** The admin listener on its socket over the real rooms and flows, and a configuration that leads to it. */
export const adminHost = async (): Promise<AdminHost> => {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-admin-'))
  const socket = join(folder, 'admin.sock')
  const config = join(folder, 'gateway.yaml')
  const pairs = join(folder, 'pairs')
  mkdirSync(pairs)
  writeFileSync(join(folder, 'secret'), 'x'.repeat(32))
  writeFileSync(
    config,
    good({ client_auth: `  client_auth: [{ client_secret_file: ${folder}/secret }]` }, [`listen: { admin: 'unix:${socket}' }`]),
  )
  let ahead = 0
  const now = () => instant(Date.now() + ahead)
  const clock: Clock = { now, sleep: systemClock.sleep }
  const events: AuditEvent[] = []
  const audit = { record: (event: AuditEvent): void => void events.push(event) }
  const quiet = (): void => {}
  const keyring = ephemeralKeyring(now())
  const stores = createMemoryStores({
    sealer: createSealer({ keyring }),
    clock,
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    metrics: { count: quiet, gauge: quiet, observe: quiet },
    audit,
    app: 'default',
    replica: 'r1',
    settings: { idleTimeoutMs: minutes(60), graceMs: seconds(0), l1: { entriesMax: 10, bytesMax: 1 << 20 } },
  })
  const broken = { store: false, provider: false }
  const away =
    <A extends unknown[], R>(work: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R | 'unavailable'> =>
      broken.store ? 'unavailable' : work(...args)
  const { sessions: inner, directory: looked } = stores
  const store: SessionStore = { ...inner, end: away(inner.end), refsOf: away(inner.refsOf) }
  const directory: SessionDirectory = {
    ...looked,
    find: away(looked.find),
    ofSubject: away(looked.ofSubject),
    step: away(looked.step),
    endSignIns: away(looked.endSignIns),
    keyUsage: away(looked.keyUsage),
  }
  const provider = { name: 'default', issuer: async () => (broken.provider ? undefined : the.issuer) } as Parameters<
    typeof adminSessions
  >[1]['provider']
  const credentials = await credentialSet([
    certificateDirSource({ dir: pairs, method: 'private_key_jwt' }),
    secretFileSource(join(folder, 'secret'), 'client_secret_post', digestName),
  ])
  const app = createAdminServer({
    status: () => ({ mode: 'live' }),
    sessions: adminSessions({ keysSettleMs: minutes(5) }, { store, directory, provider, keyring }, audit, clock, clock),
    credentials: credentialAdmin({ credentials: credentials.set, audit }),
    audit,
  })
  await listenOnSocket(app, socket)
  const planted = { refresh: canary('refresh'), access: canary('access'), id: canary('id'), claim: canary('claim') }
  const secrets = Object.values(planted)
  return {
    store,
    directory,
    events,
    secrets,
    socket,
    credentials,
    pairs,
    config,
    broken,
    now,
    advance: (ms) => {
      ahead += ms
    },
    session: async (over = {}) => {
      const base = a.draft({ now: now(), ...over })
      const draft: SessionDraft = {
        ...base,
        grant: {
          ...base.grant,
          refreshToken: Secret.of('refresh-token', planted.refresh),
          idToken: Secret.of('id-token', planted.id),
          claims: { ...base.grant.claims, nickname: planted.claim },
        },
        tokens: [a.accessToken({ now: now(), token: Secret.of('access-token', planted.access) })],
      }
      const created = await inner.create(draft)
      if (created.kind !== 'created') throw new Error(created.kind)
      secrets.push(created.session.cookie.reveal())
      return created.session
    },
    cli: (...argv) => shell([...argv.slice(0, 2), '--config', config, ...argv.slice(2)]),
    close: async () => {
      await app.close()
      await inner.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
