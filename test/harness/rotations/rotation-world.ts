import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { AdminCredentialOrdered, AdminCredentials } from '../../../src/contract/admin.ts'
import { keyIdOf } from '../../../src/kernel/key-id.ts'
import type { CallRecord } from '../emulators/core-record.ts'
import { DEFAULT_CLIENT_ID } from '../emulators/entra/defaults.ts'
import { guidOf } from '../emulators/entra/directory.ts'
import { createEntraWorld } from '../entra-world.ts'
import type { Gateways } from '../gateways.ts'
import { createKeycloakWorld, signInAtKeycloak } from '../keycloak-world.ts'
import { until } from '../processes.ts'
import { type SelfSigned, selfSigned } from '../self-signed.ts'
import { signIn } from '../world.ts'
import { type Load, startLoad } from './load.ts'
import { createMount } from './mount.ts'

/** Entra: certificates are registered, and its front-ends learn of each at a moment of their own. Keycloak: one certificate at a time, or our document of keys. */
export type RotationProvider = 'entra' | 'keycloak' | 'keycloak-jwks'
export const REPLICAS = 3
const DAY = 86_400_000
const TOKEN_SECONDS = 5

/** What the provider's administrator does. */
export interface Registry {
  /** As this provider does it: by and by, or in the place of the one before. */
  register(pair: SelfSigned): void
  registerAtOnce(pair: SelfSigned): void
  remove(pair: SelfSigned): void
  removeAtOnce(pair: SelfSigned): void
  away(): Promise<void>
  back(): Promise<void>
}

export interface RotationWorld {
  readonly provider: RotationProvider
  readonly registry: Registry
  readonly load: Load
  /** What everything begins with. */
  readonly first: SelfSigned
  /** The next pair: newer than all before. */
  pair(over?: { readonly notAfter?: Date }): SelfSigned
  /** Into the folders of these replicas; all, unless told. */
  put(name: string, pair: Pick<SelfSigned, 'certificate' | 'key'>, ...at: readonly number[]): void
  take(name: string, ...at: readonly number[]): void
  /** What `sallyport credentials status -o json` prints, of each replica. */
  status(): Promise<readonly AdminCredentials[]>
  /** Waits until these replicas use it. */
  allUse(pair: SelfSigned, ...at: readonly number[]): Promise<void>
  /** Waits until every replica says this of it. */
  allSay(pair: SelfSigned, why: string): Promise<void>
  /** Waits until every replica says that nothing it has is taken. */
  allRejected(): Promise<void>
  /** `sallyport credentials withdraw --force`, asked of that replica: it need not know that another one is taken. */
  withdraw(pair: SelfSigned, at: number): Promise<AdminCredentialOrdered>
  /** How often the provider has seen it. */
  presented(pair: SelfSigned): number
  /** Ends a replica without a word, once nobody is sent there any more. */
  kill(at: number): Promise<void>
  restart(at: number): Promise<void>
  stop(): Promise<void>
}

export const startRotationWorld = async (provider: RotationProvider, redisUrl: string): Promise<RotationWorld> => {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-rotations-'))
  const mounts = Array.from({ length: REPLICAS }, (_none, at) => createMount(join(folder, `credential-${at}`)))
  let made = 0
  const pair = (over: { readonly notAfter?: Date } = {}): SelfSigned => {
    made += 1
    // A certificate's dates are whole seconds.
    return selfSigned({ kind: 'rsa', notBefore: new Date(Date.now() - 20 * DAY + made * 1_000), ...over })
  }
  const put = (name: string, { certificate, key }: Pick<SelfSigned, 'certificate' | 'key'>, ...at: readonly number[]): void => {
    for (const mount of chosen(mounts, at)) mount.put({ [`${name}.crt`]: certificate, [`${name}.key`]: key })
  }
  const first = pair()
  put('first', first)
  const settings = {
    replicas: REPLICAS,
    redisUrl,
    clientAuth: (at: number) => `[{ certificate_dir: '${mounts[at]?.dir ?? ''}' }]`,
    providerLines: ['  timeout: 3s', '  credential_rotation: { acceptances: 3, spread: 600ms, retry: 100ms, keep_previous: 4s }'],
    lines: [`telemetry: { log: { level: warn }, audit: { file: '${join(folder, 'audit.log')}' } }`],
  }
  const { fleet, registry, record, stop, calls, comesIn } = await PROVIDERS[provider](first, settings)

  const isOut = new Set<number>()
  const load = await startLoad({
    url: fleet.url,
    calls,
    signIn: comesIn,
    portOf: (at) => (isOut.has(at) ? undefined : fleet.gateways[at]?.port),
    replicas: REPLICAS,
  }).catch(async (error: unknown) => {
    await stop()
    throw error
  })
  const socketOf = (at: number): string => join(fleet.folder, `admin-${at}.sock`)
  const statusOf = async (at: number) => (await ask(socketOf(at), 'GET', '/admin/credentials')) as AdminCredentials
  const status = (): Promise<AdminCredentials[]> => Promise.all(mounts.map((_mount, at) => at).map(statusOf))
  const all = async (what: string, holds: (told: AdminCredentials) => boolean, ...at: readonly number[]): Promise<void> => {
    let told: readonly AdminCredentials[] = []
    const isSo = async (): Promise<boolean> => {
      told = await Promise.all(chosen([0, 1, 2], at).map(statusOf))
      await wait(80)
      return told.every(holds)
    }
    await until(what, isSo, 45_000).catch(() => {
      throw new Error(`not so: ${what}; ${JSON.stringify(told.map(({ credentials, faults }) => [credentials.map(brief), faults]))}`)
    })
  }
  return {
    provider,
    registry,
    load,
    first,
    pair,
    put,
    take: (name, ...at) => {
      for (const mount of chosen(mounts, at)) mount.put({ [`${name}.crt`]: undefined, [`${name}.key`]: undefined })
    },
    status,
    allUse: ({ thumbprint }, ...at) =>
      all(
        `${thumbprint.slice(0, 8)} is used`,
        ({ credentials }) => credentials.some(({ id, state }) => id === thumbprint && state === 'active'),
        ...at,
      ),
    allSay: ({ thumbprint }, why) =>
      all(`${thumbprint.slice(0, 8)} ${why}`, ({ credentials }) => credentials.some((one) => one.id === thumbprint && one.why === why)),
    allRejected: () =>
      all(
        'what is in use is rejected',
        ({ ready, credentials }) => ready && credentials.some(({ why, rejection }) => why === 'in-use-rejected' && rejection !== null),
      ),
    withdraw: async ({ thumbprint }, at) =>
      (await ask(socketOf(at), 'POST', `/admin/credentials/${thumbprint}/withdraw`, { force: true })) as AdminCredentialOrdered,
    presented: ({ thumbprint, publicKey }) => {
      const names = new Set<unknown>([thumbprint, keyIdOf(publicKey)])
      return record.tokenCalls.filter(({ assertion }) => Object.values(assertion?.header ?? {}).some((name) => names.has(name))).length
    },
    kill: async (at) => {
      isOut.add(at)
      await wait(1_500) // what was under way, and refreshes that answers did not wait for
      fleet.gateways[at]?.signal('SIGKILL')
      await fleet.gateways[at]?.exited
    },
    restart: async (at) => {
      await fleet.restart(at)
      isOut.delete(at)
    },
    stop: async () => {
      await load.stop()
      await stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const chosen = <T>(all: readonly T[], at: readonly number[]): readonly T[] => all.filter((_one, i) => at.length === 0 || at.includes(i))
const brief = ({ id, state, why, rejection }: AdminCredentials['credentials'][number]): string =>
  `${id.slice(0, 8)} ${state} ${why} ${rejection ?? ''}`

type Settings = Parameters<typeof createEntraWorld>[0] & object
interface Made {
  readonly fleet: Gateways
  readonly registry: Registry
  readonly record: CallRecord
  readonly calls: Readonly<Record<string, string>>
  readonly comesIn: Parameters<typeof startLoad>[0]['signIn']
  readonly stop: () => Promise<void>
}

/** Entra's front-ends learn of a change one after the other. */
const BY_AND_BY = { perFrontEndMs: [0, 1500, 700, 1100] }
/** Later than every front-end has seen what was registered at the same moment. */
const AFTERWARDS = { perFrontEndMs: [1600, 2300, 1900, 1700] }

const entra = async (first: SelfSigned, settings: Settings): Promise<Made> => {
  const consent = (api: string, scope: string) => ({ client: DEFAULT_CLIENT_ID, resource: guidOf(`app ${api}`), scopes: [scope] })
  const world = await createEntraWorld({
    ...settings,
    entra: {
      frontEnds: 4,
      accessTokenSeconds: TOKEN_SECONDS,
      loopAfter: Number.POSITIVE_INFINITY,
      client: { secrets: [], api: { uris: ['api://gateway'], scopes: ['use'] } },
      resources: ['orders', 'customers', 'inventory'].map((name) => ({ name, uris: [`api://${name}`], scopes: [`${name}.read`] })),
      consents: [consent('gateway', 'use'), ...['orders', 'customers', 'inventory'].map((name) => consent(name, `${name}.read`))],
    },
    routes: (emulator) => [
      '  - path: /obo/customers',
      `    upstream: ${emulator.resourceUrl('customers')}`,
      '    strip_prefix: true',
      `    token: { principal: user, grant: on_behalf_of, audience: 'api://customers', scopes: [customers.read], subject: { audience: ${DEFAULT_CLIENT_ID}, scopes: [use] } }`,
    ],
  })
  const { clientId, credentials } = world.entra
  credentials.addCertificate(clientId, first.certificate)
  return {
    fleet: world,
    registry: {
      register: ({ certificate }) => void credentials.addCertificate(clientId, certificate, BY_AND_BY),
      registerAtOnce: ({ certificate }) => void credentials.addCertificate(clientId, certificate),
      remove: ({ thumbprint }) => credentials.removeCertificate(clientId, thumbprint, AFTERWARDS),
      removeAtOnce: ({ thumbprint }) => credentials.removeCertificate(clientId, thumbprint),
      away: world.entra.away,
      back: world.entra.back,
    },
    record: world.entra.record,
    calls: { refresh: '/api/customers', exchange: '/obo/customers', application: '/api/orders/application' },
    comesIn: (browser) => signIn(browser, world.url, 'ada'),
    stop: () => world.stop(),
  }
}

const keycloak = async (first: SelfSigned, settings: Settings, pulls: boolean): Promise<Made> => {
  const world = await createKeycloakWorld({
    ...settings,
    realm: { accessTokenLifespan: TOKEN_SECONDS },
    client: { authenticator: 'client-jwt', secret: undefined, certificate: pulls ? undefined : first.certificate },
  })
  const client = world.kc.admin.client('sallyport')
  if (pulls) client.jwksUrl = `${world.url}/.well-known/sallyport/client-jwks.json`
  const swap = ({ certificate }: SelfSigned): void => {
    if (!pulls) client.certificate = certificate
  }
  return {
    fleet: world,
    registry: {
      register: swap,
      registerAtOnce: swap,
      remove: () => {},
      removeAtOnce: () => {},
      away: () => world.kc.away(),
      back: () => world.kc.back(),
    },
    record: world.kc.record,
    calls: { refresh: '/api/orders', exchange: '/api/exchanged/customers', application: '/api/reports' },
    comesIn: (browser) => signInAtKeycloak(browser, world, 'ada'),
    stop: () => world.stop(),
  }
}

const PROVIDERS: Readonly<Record<RotationProvider, (first: SelfSigned, settings: Settings) => Promise<Made>>> = {
  entra,
  keycloak: (first, settings) => keycloak(first, settings, false),
  'keycloak-jwks': (first, settings) => keycloak(first, settings, true),
}

const ask = async (socketPath: string, method: 'GET' | 'POST', path: string, body?: object): Promise<unknown> => {
  const headers = { host: 'localhost', ...(body && { 'content-type': 'application/json' }) }
  const outgoing = request({ socketPath, method, path, headers, agent: false }).end(body && JSON.stringify(body))
  const [incoming] = (await once(outgoing, 'response')) as [AsyncIterable<Buffer>]
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk)
  return JSON.parse(Buffer.concat(chunks).toString())
}
