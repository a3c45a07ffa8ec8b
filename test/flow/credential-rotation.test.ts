import { mkdtempSync, rmSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { decodeJwt } from 'jose'
import { afterAll, describe, expect, it } from 'vitest'
import { certificateDirSource } from '../../src/credentials/source-certificate-file.ts'
import type { TokenAnswer } from '../../src/domain/token.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { millis, systemClock } from '../../src/kernel/time.ts'
import { profileOf } from '../../src/provider/profiles.ts'
import { createMemoryCredentialBoard } from '../../src/session/credential-board.ts'
import { clientOf, ORDERS, someEntra } from '../contract/emulator-entra-kit.ts'
import { credentialSet } from '../harness/credential-set.ts'
import type { Entra } from '../harness/emulators/entra/entra.ts'
import { until } from '../harness/processes.ts'
import { askFor, providerRoom } from '../harness/provider-room.ts'
import { selfSigned } from '../harness/self-signed.ts'
import type { SelfSigned } from '../harness/self-signed.ts'

const DAY = 86_400_000
const root = mkdtempSync(join(tmpdir(), 'sallyport-rotation-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const OLD = selfSigned({ notBefore: new Date(Date.now() - 20 * DAY) })
const NEW = selfSigned()
const OTHER = selfSigned()
const EXPIRED = selfSigned({ notBefore: new Date(Date.now() - 9 * DAY), notAfter: new Date(Date.now() - DAY) })
/** Entra's view is not uniform: one front-end after the other. */
const FLAPPING = { perFrontEndMs: [0, 1500, 700, 1100] }
const HASTY = { acceptances: 3, spreadMs: millis(600), retryFirstMs: millis(100), retryMostMs: millis(400) }

const replica = async (
  entra: Entra,
  { refreshToken, subject }: { readonly refreshToken: string; readonly subject: string },
  board: ReturnType<typeof createMemoryCredentialBoard>,
  dir: string,
) => {
  const test = await credentialSet([certificateDirSource({ dir, method: 'private_key_jwt' })], {
    clock: systemClock,
    board,
    settings: HASTY,
  })
  const room = providerRoom(entra.issuer(), {
    profile: profileOf('entra'),
    clientId: entra.clientId,
    clientAuth: test.set,
    scopes: ['openid', 'profile', 'offline_access'],
  })
  test.set.start((credential) => room.provider.probe(credential))
  const user = askFor('api://orders', ['orders.read'])
  const app = askFor('api://orders', [], 'client_credentials')
  const ask = (n: number): Promise<TokenAnswer> =>
    n % 2 === 0
      ? room.provider.refresh(Secret.of('refresh-token', refreshToken), user, { issuer: entra.issuer(), subject })
      : room.provider.application(app)
  const active = (): string | undefined => {
    const credential = test.set.current()
    return credential?.kind === 'certificate' ? credential.thumbprint : undefined
  }
  return {
    ...test,
    dir,
    ask,
    active,
    stop: async () => {
      await test.set.stop()
      await room.provider.close()
    },
  }
}

/** Three replicas at one Entra, under a steady load of refreshes and application tokens; each has its own folder of pairs. */
const fleet = async (name: string) => {
  const entra = await someEntra({ clock: systemClock, frontEnds: 4 })
  const { refresh_token: refreshToken, id_token: idToken } = await clientOf(entra).signIn({
    scope: `openid profile offline_access ${ORDERS}`,
  })
  entra.credentials.addCertificate(entra.clientId, OLD.certificate)
  const board = createMemoryCredentialBoard()
  const put = async (dir: string, file: string, pair: SelfSigned): Promise<void> => {
    await writeFile(join(dir, `${file}.key`), pair.key)
    await writeFile(join(dir, `${file}.crt.part`), pair.certificate)
    await rename(join(dir, `${file}.crt.part`), join(dir, `${file}.crt`))
  }
  const replicas: Awaited<ReturnType<typeof replica>>[] = []
  for (let at = 0; at < 3; at += 1) {
    const dir = mkdtempSync(join(root, `${name.replaceAll(/\W+/g, '-')}-${at}-`))
    await put(dir, 'old', OLD)
    replicas.push(await replica(entra, { refreshToken: String(refreshToken), subject: decodeJwt(String(idToken)).sub ?? '' }, board, dir))
  }
  const failed: string[] = []
  let served = 0
  let done = false
  const load = replicas.map(async ({ ask }, at) => {
    for (let n = at; !done; n += 1) {
      const answer = await ask(n)
      if (answer.kind === 'issued') served += 1
      else failed.push(JSON.stringify(answer))
      await wait(15)
    }
  })
  const everywhere = async (file: string, pair: SelfSigned, ...at: readonly number[]): Promise<void> => {
    const chosen = replicas.filter((_replica, i) => at.length === 0 || at.includes(i))
    for (const { dir, set } of chosen) {
      await put(dir, file, pair)
      await set.reload()
    }
  }
  return {
    entra,
    replicas,
    failed,
    served: () => served,
    put: everywhere,
    /** Of each replica that has anything: the one in use. */
    allUse: (pair: SelfSigned, ...at: readonly number[]): Promise<unknown> =>
      until('all use it', () => replicas.every(({ active }, i) => (at.length > 0 && !at.includes(i)) || active() === pair.thumbprint)),
    register: (pair: SelfSigned, propagation: Parameters<Entra['credentials']['addCertificate']>[2] = FLAPPING) =>
      void entra.credentials.addCertificate(entra.clientId, pair.certificate, propagation),
    remove: (pair: SelfSigned, propagation: Parameters<Entra['credentials']['addCertificate']>[2] = FLAPPING) =>
      entra.credentials.removeCertificate(entra.clientId, pair.thumbprint, propagation),
    states: () => replicas.map(({ set }) => set.overview().credentials.map(({ state, why }) => `${state} ${why}`)),
    stop: async () => {
      done = true
      await Promise.all(load)
      await Promise.all(replicas.map(({ stop }) => stop()))
      await entra.stop()
    },
  }
}
type Fleet = Awaited<ReturnType<typeof fleet>>

/** While each step is taken, and for a while after it, everything asked for is answered. */
const during = async (name: string, steps: (world: Fleet) => Promise<void>): Promise<void> => {
  const world = await fleet(name)
  try {
    await steps(world)
    const before = world.served()
    await until('the load goes on', () => world.served() > before + 12)
  } finally {
    await world.stop()
  }
  expect([...new Set(world.failed)]).toEqual([])
}

describe.concurrent('no refresh and no application token fails', { timeout: 60_000 }, () => {
  it('when the file comes first and the registration later', () =>
    during('file first', async (world) => {
      await world.put('new', NEW)
      await until('it waits for its registration', () => world.states().every((all) => all.includes('probing waits-for-registration')))
      expect(world.replicas.map(({ active }) => active())).toEqual([OLD, OLD, OLD].map(({ thumbprint }) => thumbprint))
      world.register(NEW)
      await world.allUse(NEW)
      world.remove(OLD)
    }))

  it('when the registration comes first and the file later', () =>
    during('registration first', async (world) => {
      world.register(NEW)
      await world.put('new', NEW)
      await world.allUse(NEW)
      world.remove(OLD)
    }))

  it('when the old one is removed too early', () =>
    during('removed early', async (world) => {
      world.register(NEW, 'at-once')
      await world.put('new', NEW)
      world.remove(OLD)
      await world.allUse(NEW)
    }))

  it('when a wrong key and an expired pair come before the right one', () =>
    during('wrong and expired', async (world) => {
      await world.put('new', { ...NEW, key: OTHER.key })
      await world.put('expired', EXPIRED)
      expect(world.replicas[0]?.set.overview().faults).toMatchObject([{ file: 'new.crt', fault: 'key-mismatch' }])
      world.register(NEW)
      await world.put('new', NEW)
      await world.allUse(NEW)
    }))

  it('when the new one is taken back after everybody used it', () =>
    during('rollback', async (world) => {
      world.register(NEW)
      await world.put('new', NEW)
      await world.allUse(NEW)
      world.remove(NEW)
      await world.allUse(OLD)
    }))

  it('when the file is on one replica only, for a while', () =>
    during('one replica', async (world) => {
      world.register(NEW)
      await world.put('new', NEW, 1)
      await world.allUse(NEW, 1)
      expect([0, 2].map((at) => world.replicas[at]?.active())).toEqual([OLD.thumbprint, OLD.thumbprint])
      // All three publish both keys meanwhile: a provider that fetches them finds the same document wherever it asks.
      await until('one document', () => new Set(world.replicas.map(({ set }) => JSON.stringify(set.publicKeys()))).size === 1)
      expect(world.replicas[0]?.set.publicKeys().length).toBe(2)
      await world.put('new', NEW, 0, 2)
      await world.allUse(NEW)
    }))

  it('when the provider is away in the middle of it, but for what it was asked then', () =>
    during('provider away', async (world) => {
      await world.put('new', NEW)
      await world.entra.away()
      await until('nobody is served', () => world.failed.length > 5)
      world.register(NEW)
      await world.entra.back()
      expect(world.failed.filter((answer) => !answer.includes('"unavailable"'))).toEqual([])
      await world.allUse(NEW)
      world.failed.length = 0
    }))

  it('after a withdrawal, which holds on all replicas and for one that starts later', () =>
    during('withdrawn', async (world) => {
      world.register(NEW, 'at-once')
      await world.put('new', NEW)
      await world.allUse(NEW)
      const [first] = world.replicas
      const id = first?.set.overview().credentials.find(({ state }) => state === 'active')?.id
      expect(id && (await first?.set.withdraw(id, false))).toMatchObject({ outcome: 'done' })
      expect(first?.active()).toBe(OLD.thumbprint)
      await world.allUse(OLD)
      for (const { set, dir } of world.replicas) {
        await rm(join(dir, 'new.crt'))
        await set.reload()
      }
    }))
})

it('where nothing is accepted the state says so, and all is well again by itself once something is', { timeout: 60_000 }, async () => {
  const world = await fleet('nothing')
  try {
    world.remove(OLD, 'at-once')
    await until('it fails', () => world.failed.length > 5)
    expect(world.failed.every((answer) => answer.includes('credential-rejected') && answer.includes('AADSTS700027'))).toBe(true)
    expect(world.states()).toEqual([['active in-use-rejected'], ['active in-use-rejected'], ['active in-use-rejected']])
    expect(world.replicas.map(({ set }) => set.isReady())).toEqual([true, true, true])
    await world.put('new', NEW)
    world.register(NEW, 'at-once')
    await world.allUse(NEW)
    world.failed.length = 0
    const before = world.served()
    await until('it is served', () => world.served() > before + 12)
    expect(world.failed).toEqual([])
  } finally {
    await world.stop()
  }
})
