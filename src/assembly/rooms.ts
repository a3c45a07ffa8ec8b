import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { BROKER_DEFAULTS } from '../broker/deps.ts'
import { createBroker } from '../broker/broker.ts'
import type { RedisSettings, Settings } from '../config/settings.ts'
import { ENDPOINTS } from '../contract/paths.ts'
import { ephemeralKeyring, type VisibleKeyring } from '../crypto/keyring.ts'
import { openKeyringFiles } from '../crypto/keyring-file.ts'
import { createSealer } from '../crypto/seal.ts'
import type { SessionStore } from '../domain/session-store.ts'
import { assertNever } from '../kernel/assert.ts'
import type { FileWatch } from '../kernel/file-watch.ts'
import type { FollowingClock } from '../kernel/time.ts'
import { steadyClock } from '../kernel/time.ts'
import { openCaFile } from '../kernel/tls-files.ts'
import { profileOf } from '../provider/profiles.ts'
import { createProvider } from '../provider/provider.ts'
import { createMemoryStores, type StoreDeps } from '../session/store-memory.ts'
import { createRedisStores } from '../session/store-redis.ts'
import { openKeyFiles } from '../credentials/key-files.ts'
import { compileRoutes, groupsOfRules, keyFilesOf, userAsks } from './compile-routes.ts'
import { probeOf, wireCredentials } from './credentials.ts'
import type { Telemetry } from './telemetry.ts'
import { openUserContext } from './user-context.ts'

/** One app and one provider per process for now; their names are part of every key and seal, so that several can come. */
export const APP = 'default'
const PROVIDER = 'default'

export type Rooms = Awaited<ReturnType<typeof wireRooms>>

export interface RoomOptions {
  /** For tests of tests: what happens when a guard of the store is taken away. */
  readonly decorateStore?: ((store: SessionStore) => SessionStore) | undefined
}

/** The rooms below the flows: seals, credentials, provider, store, broker. Talks to nobody outside yet but the file system; Redis connects behind. */
export const wireRooms = async (
  settings: Settings,
  { log, metrics, audit }: Telemetry,
  watch: FileWatch,
  clock: FollowingClock,
  options: RoomOptions,
) => {
  const session = settings.session

  // 1. Seals.
  const keyRemoved = new Set<(kid: string) => void>()
  const files =
    session.keysDir === undefined
      ? undefined
      : await openKeyringFiles({
          dir: session.keysDir,
          settleMs: session.keysSettleMs,
          // How long a key has been here is a length: a correction of the fleet's clock must not let it seal before the others can open it.
          clock: steadyClock,
          log,
          watch,
          onChange: (change) => {
            audit.record({ event: `key.${change.kind}`, kid: change.kid })
            if (change.kind === 'removed') for (const listener of keyRemoved) listener(change.kid)
          },
        })
  const keyring: VisibleKeyring = files ?? ephemeralKeyring(steadyClock.now())
  const sealer = createSealer({ keyring })
  const userContext = await openUserContext(settings, log, steadyClock, watch)

  // 2. Where sessions live.
  const storeDeps: StoreDeps = {
    sealer,
    clock,
    log,
    metrics,
    audit,
    onKeyRemoved: (listener) => void keyRemoved.add(listener),
    app: APP,
    replica: `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`,
    settings: {
      idleTimeoutMs: session.idleTimeoutMs,
      graceMs: session.store.kind === 'redis' ? session.store.graceMs : session.idleTimeoutMs,
      l1: session.l1,
    },
  }
  const stores =
    session.store.kind === 'redis'
      ? createRedisStores({ ...storeDeps, redis: connectionTo(session.store.redis), onClock: clock.correct, watch })
      : createMemoryStores(storeDeps)
  const store = options.decorateStore?.(stores.sessions) ?? stores.sessions

  // 3. The provider, and what we prove ourselves with.
  const routes = compileRoutes(settings.routes)
  const asks = userAsks(routes)
  const configured = settings.providers.default
  const profile = profileOf(configured.profile, configured)
  const credential = await wireCredentials({
    app: APP,
    provider: PROVIDER,
    replica: storeDeps.replica,
    profile,
    publicUrl: settings.publicUrl,
    settings: configured,
    board: stores.credentials,
    sealer,
    watch,
    clock,
    log,
    metrics,
    audit,
  })
  const setting = 'provider.ca_file'
  const authorities = configured.caFile === undefined ? undefined : openCaFile(configured.caFile, { setting, log })
  if (authorities) watch.add(setting, authorities.look)
  const probe = probeOf(configured, profile)
  const provider = createProvider({
    name: PROVIDER,
    issuer: configured.issuer,
    profile,
    tenants: configured.tenants,
    homeTenant: configured.homeTenant,
    probe,
    groups: configured.groups.resolve ? { wanted: groupsOfRules(routes) } : undefined,
    clientId: configured.clientId,
    clientAuth: credential,
    redirectUri: endpointUrl(settings, 'callback'),
    postLogoutRedirectUri: endpointUrl(settings, 'logoutCallback'),
    scopes: configured.scopes,
    userAsks: asks,
    par: configured.par,
    timeoutMs: configured.timeoutMs,
    insecureAllowHttp: configured.insecureAllowHttpIssuer,
    ca: authorities?.now,
    clock,
    log,
    metrics,
  })

  credential.start(probe === 'none' ? undefined : provider.probe, provider.isKnown)

  const keys = await openKeyFiles({ ...keyFilesOf(routes), watch, log })

  // 4. Who turns the one into the other.
  const broker = createBroker({
    store,
    provider,
    clock,
    log,
    metrics,
    audit,
    settings: { ...BROKER_DEFAULTS, recheckMs: session.recheckMs, recheckGraceMs: session.recheckGraceMs },
    asks,
    keys,
    onCredential: credential.onNews,
  })

  return {
    sealer,
    keyring,
    userContext,
    store,
    directory: stores.directory,
    once: stores.once,
    provider,
    credential,
    broker,
    routes,
    asks,
    close: async (): Promise<void> => {
      broker.close()
      await credential.stop()
      await provider.close()
      await store.close()
    },
  }
}

const connectionTo = ({ servers, tls, ...rest }: RedisSettings) => {
  switch (servers.kind) {
    case 'one': {
      const { host, port, database } = servers
      return { ...rest, url: `${tls ? 'rediss' : 'redis'}://${host.includes(':') ? `[${host}]` : host}:${port}/${database}` }
    }
    case 'sentinel':
      return { ...rest, sentinel: servers, tls }
    case 'cluster':
      return { ...rest, cluster: servers, tls }
    default:
      return assertNever(servers)
  }
}

const endpointUrl = (settings: Settings, endpoint: 'callback' | 'logoutCallback'): string =>
  `${settings.publicUrl.origin}${settings.basePath}${ENDPOINTS[endpoint]}`
