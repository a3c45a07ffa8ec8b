import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { DevUser } from '../../../src/dev/provider.ts'
import type { Program } from '../debs.ts'
import { freePlaces, type Gateways, startGateways } from '../gateways.ts'
import { auditOf, type GatewayProcess, type ProviderProcess, startProviderProcess } from '../processes.ts'
import type { HistoryEvent } from './history.ts'
import { type ProviderProxy, startProviderProxy } from './provider-proxy.ts'
import type { Random } from './random.ts'
import { type RecordingApi, startRecordingApi } from './recording-api.ts'
import { type StoreServers, startStoreServers, type Topology } from './store-servers.ts'
import { addressOf } from './tcp-proxy.ts'

export const REPLICAS = 3
export const GRACE_MS = 3_000
export const PROVIDER_TIMEOUT_MS = 2_000
const ACCESS_TOKEN_SECONDS = 5
const CLIENT_ID = 'sallyport-faults'
export const AUDIENCES = ['https://one.example/', 'https://two.example/'] as const
export const APP_AUDIENCE = AUDIENCES[0]
export const usersOf = (count: number): readonly DevUser[] =>
  Array.from({ length: count }, (_one, at) => ({ subject: `user-${at}`, name: `User ${at}`, email: `user-${at}@example.com`, roles: [] }))
export const USERS = usersOf(6)

export interface FaultWorld {
  readonly url: string
  readonly store: StoreServers
  readonly provider: ProviderProxy
  readonly gateways: readonly GatewayProcess[]
  /** SIGKILL and a new start, perhaps with another clock. */
  restart(at: number): Promise<void>
  /** Ends as the gateways audited them, of all processes so far. */
  ended(): readonly HistoryEvent[]
  stop(): Promise<void>
}

export interface FaultWorldOptions {
  readonly program: Program
  readonly random: Random
  readonly record: (event: HistoryEvent) => void
  readonly now: () => number
  /** Minutes the clocks of gateways may be off by; each start draws one. */
  readonly offsetsMin: readonly number[]
  readonly topology: Topology
  /** Another entry than bin/sallyport.mjs, for tests of the tests. */
  readonly entry?: string | undefined
  /** `USERS` unless given. */
  readonly users?: readonly DevUser[] | undefined
  /** `AUDIENCES` unless given. */
  readonly audiences?: readonly string[] | undefined
  readonly accessTokenSeconds?: number | undefined
}

const PRELOAD = new URL('../gateway-preload.child.ts', import.meta.url).href
const MAIN = fileURLToPath(new URL('../../../bin/sallyport.mjs', import.meta.url))

/** Three gateways over one Redis, a provider with strict rotation and an API, with a proxy of ours on every line on which something may go wrong. */
export const startFaultWorld = async (options: FaultWorldOptions): Promise<FaultWorld> => {
  const { program, random, record, now, users = USERS, audiences = AUDIENCES, accessTokenSeconds = ACCESS_TOKEN_SECONDS } = options
  const started: { stop(): Promise<unknown> }[] = []
  const kept = <T extends { stop(): Promise<unknown> }>(part: T): T => {
    started.push(part)
    return part
  }
  const store = kept(await startStoreServers(program, options.topology))
  const proxy = kept(await startProviderProxy(record, now))
  const api = kept(await startRecordingApi())
  const places = await freePlaces(REPLICAS)
  const publicUrl = `http://localhost:${places[0]?.public ?? 0}`
  const issuer = `http://127.0.0.1:${proxy.port}`
  const clientSecret = randomBytes(32).toString('base64url')
  const provider = await startProviderProcess({
    port: 0,
    issuer,
    users,
    clientId: CLIENT_ID,
    clientSecret,
    redirectUri: `${publicUrl}/bff/callback`,
    postLogoutRedirectUri: `${publicUrl}/bff/logout/callback`,
    resources: Object.fromEntries(audiences.map((audience) => [audience, ['read']])),
    accessTokenSeconds,
  })
  proxy.target = provider.port
  started.push(provider)
  const fleet = await startGateways({
    places,
    provider: { issuer, clientId: CLIENT_ID, clientSecret },
    redisPlace: store.place,
    store: [`    grace: ${GRACE_MS / 1000}s`],
    providerLines: ['  rotation: strict', `  timeout: ${PROVIDER_TIMEOUT_MS / 1000}s`],
    routes: routesTo(api, audiences),
    lines: ['telemetry: { log: { level: error } }'],
    entry: options.entry ?? MAIN,
    env: (at) => {
      const offset = random.pick(options.offsetsMin)
      if (offset !== 0) record({ kind: 'fault', fault: 'clock-offset', gateway: at, from: now(), to: now(), on: `${offset} min` })
      return { NODE_OPTIONS: `--import=${PRELOAD}`, CONNECT_FROM: addressOf(at), CLOCK_OFFSET_MS: String(offset * 60_000) }
    },
  }).catch(async (error: unknown) => {
    // A gateway that does not start would leave all of them running.
    await Promise.all(started.map((part) => part.stop()))
    throw error
  })
  return worldOf({ fleet, store, proxy, provider, api })
}

const routesTo = ({ url }: RecordingApi, audiences: readonly string[]): string[] => [
  ...audiences.flatMap((audience, at) => [
    `  - path: /api/${at}`,
    `    upstream: ${url}`,
    `    token: { principal: user, audience: '${audience}', scopes: [read] }`,
  ]),
  '  - path: /api/app',
  `    upstream: ${url}`,
  `    token: { principal: app, audience: '${APP_AUDIENCE}', scopes: [read] }`,
  '    allow: signed_in',
]

interface Parts {
  readonly fleet: Gateways
  readonly store: StoreServers
  readonly proxy: ProviderProxy
  readonly provider: ProviderProcess
  readonly api: RecordingApi
}

const worldOf = ({ fleet, store, proxy, provider, api }: Parts): FaultWorld => {
  const former: { readonly at: number; readonly process: GatewayProcess }[] = []
  return {
    url: fleet.url,
    store,
    provider: proxy,
    gateways: fleet.gateways,
    restart: async (at) => {
      const process = fleet.gateways[at]
      if (process) {
        former.push({ at, process })
        process.signal('SIGKILL')
        await process.exited
      }
      await fleet.restart(at)
    },
    ended: () =>
      [...former, ...fleet.gateways.map((process, at) => ({ at, process }))].flatMap(({ at, process }) =>
        auditOf(process)
          .filter(({ event }) => event === 'session.ended')
          .map((line) => ({
            kind: 'ended' as const,
            gateway: at,
            session: line['sessionRef'] as string,
            reason: line['reason'] as string,
          })),
      ),
    stop: async () => {
      // In this order: a gateway whose store is gone has nothing to wait for.
      await fleet.stop()
      await Promise.all([proxy, provider, api, store].map((part) => part.stop()))
    },
  }
}
