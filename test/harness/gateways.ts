import { randomBytes } from 'node:crypto'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ProfileName } from '../../src/domain/profile.ts'
import { freePort } from './free-port.ts'
import { startGatewayProcess, type GatewayProcess } from './processes.ts'

export interface Place {
  readonly public: number
  readonly ops: number
}
/** Where replicas will listen; known before they start, because a provider wants to know the redirect URI. */
export const freePlaces = (count: number): Promise<Place[]> =>
  Promise.all(Array.from({ length: count }, async () => ({ public: await freePort(), ops: await freePort() })))

export interface GatewaySettings {
  /** undefined: the memory store. */
  readonly redisUrl?: string | undefined
  /** Instead of a URL: YAML of where Redis is. */
  readonly redisPlace?: string | undefined
  /** YAML lines under `session.store`, indented by four. */
  readonly store?: readonly string[]
  /** Each replica has a folder of keys of its own, at first with the same content: it sees a new file when the test puts it there. */
  readonly ownKeys?: boolean
  /** `generic` when not given. */
  readonly profile?: ProfileName
  /** YAML of `provider.client_auth`, for all replicas or for each; the client's secret from the environment unless given. */
  readonly clientAuth?: string | ((at: number) => string)
  /** YAML lines under `provider`, indented by two. */
  readonly providerLines?: readonly string[]
  /** YAML lines at the top level. */
  readonly lines?: readonly string[]
  readonly shutdown?: string
  /** Of `login`; unless set, sign-ins are not limited: all of a test's come from one address. */
  readonly login?: string
  readonly entry?: string
  /** More environment of replica `at`, asked at each of its starts. */
  readonly env?: (at: number) => Readonly<Record<string, string>>
  /** `alive`: listens, and may be waiting for its store. */
  readonly until?: 'ready' | 'alive'
}

export interface GatewaysRequest extends GatewaySettings {
  readonly places: readonly Place[]
  readonly provider: { readonly issuer: string; readonly clientId: string; readonly clientSecret: string }
  /** YAML lines, indented by two. */
  readonly routes: readonly string[]
}

export interface Gateways {
  /** The one public URL, whichever replica answers. */
  readonly url: string
  readonly gateways: GatewayProcess[]
  readonly folder: string
  readonly redisPrefix: string
  /** The folder of keys of each replica. */
  readonly keys: readonly string[]
  /** Replica `at` again, with the same configuration, after it was stopped. */
  restart(at: number): Promise<void>
  stop(): Promise<void>
}

const SECRET_AUTH = "[{ client_secret: '${env:CLIENT_SECRET}' }]"

/** Replicas as operations run them: one configuration but for the ports, one folder of keys. */
export const startGateways = async (request: GatewaysRequest): Promise<Gateways> => {
  const { places, provider } = request
  const url = `http://localhost:${places[0]?.public ?? 0}`
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-world-'))
  const redisPrefix = `t${randomBytes(6).toString('hex')}`
  const keys = mkdtempSync(join(folder, 'keys-'))
  writeFileSync(join(keys, '20261101T000000Z-000001.key'), randomBytes(32).toString('base64url'), { mode: 0o600 })
  writeFileSync(join(keys, 'index.key'), randomBytes(32).toString('base64url'), { mode: 0o600 })
  const keysOf = places.map((_place, at) => {
    if (!request.ownKeys) return keys
    const own = join(folder, `keys-of-${at}`)
    cpSync(keys, own, { recursive: true })
    return own
  })
  const place = request.redisPlace ?? (request.redisUrl && `url: '${request.redisUrl}'`)
  const store = place ? ['  store:', `    redis: { ${place}, key_prefix: ${redisPrefix} }`, ...(request.store ?? [])] : ['  store: memory']

  const begin = async (at: number): Promise<GatewayProcess> => {
    const place = places[at]
    if (!place) throw new Error(`there is no replica ${at}`)
    const config = join(folder, `gateway-${at}.yaml`)
    writeFileSync(
      config,
      [
        `public_url: ${url}`,
        'listen:',
        `  public: 127.0.0.1:${place.public}`,
        `  ops: 127.0.0.1:${place.ops}`,
        `  admin: unix:${join(folder, `admin-${at}.sock`)}`,
        'provider:',
        `  profile: ${request.profile ?? 'generic'}`,
        `  issuer: ${provider.issuer}`,
        '  insecure_allow_http: true',
        `  client_id: ${provider.clientId}`,
        `  client_auth: ${typeof request.clientAuth === 'function' ? request.clientAuth(at) : (request.clientAuth ?? SECRET_AUTH)}`,
        ...(request.providerLines ?? []),
        'session:',
        `  keys_dir: ${keysOf[at] ?? keys}`,
        ...store,
        'routes:',
        ...request.routes,
        `login: ${request.login ?? '{ rate: { per_address: off, global: off } }'}`,
        `shutdown: ${request.shutdown ?? '{ delay: 0s, grace: 2s }'}`,
        ...(request.lines ?? []),
        '',
      ].join('\n'),
    )
    return startGatewayProcess({
      config,
      publicPort: place.public,
      opsPort: place.ops,
      env: { CLIENT_SECRET: provider.clientSecret, ...request.env?.(at) },
      ...(request.entry && { entry: request.entry }),
      ...(request.until && { until: request.until }),
    })
  }

  const gateways = await Promise.all(places.map((_place, at) => begin(at)))
  return {
    url,
    gateways,
    folder,
    redisPrefix,
    keys: keysOf,
    restart: async (at) => {
      gateways[at] = await begin(at)
    },
    stop: async () => {
      await Promise.all(gateways.map((gateway) => gateway.stop()))
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
