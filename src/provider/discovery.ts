import { backoff } from '../kernel/backoff.ts'
import type { Log } from '../kernel/ports.ts'
import { SingleFlight } from '../kernel/single-flight.ts'
import { after, between, instant, millis, minutes, seconds } from '../kernel/time.ts'
import type { Clock, Instant, Millis } from '../kernel/time.ts'
import type { ProviderProfile } from '../domain/profile.ts'
import type { Claims } from '../domain/token.ts'
import { endpointUrl } from './endpoint-url.ts'
import type { BoundedFetch } from './fetch.ts'
import { isJsonType, parseObject, stringOf } from './json.ts'
import { isIssuerOf } from './tenants.ts'

/** The part of the provider's metadata that is used, checked (OpenID Connect Discovery 1.0 §3). */
export interface Metadata {
  /** Of tokens from here; a form with `{tenantid}` in it where they are of several tenants. */
  readonly issuer: string
  readonly authorizationEndpoint: URL
  readonly tokenEndpoint: URL
  /** What a client assertion is addressed to, where that is not the endpoint it is sent to. */
  readonly assertionEndpoint?: URL
  readonly jwksUri: URL
  readonly revocationEndpoint: URL | undefined
  readonly endSessionEndpoint: URL | undefined
  /** RFC 9126 §5. */
  readonly parEndpoint: URL | undefined
  /** RFC 8705 §5, `mtls_endpoint_aliases`: the same endpoints where client certificates are asked for. */
  readonly mtls: { readonly [name in 'tokenEndpoint' | 'revocationEndpoint' | 'parEndpoint']: URL | undefined }
  /** `require_pushed_authorization_requests`: the provider takes no other. */
  readonly requiresPar: boolean
  readonly idTokenAlgorithms: readonly string[]
  /** Where memberships can be asked for, at providers that have such a place. */
  readonly directory?: URL
  /** RFC 9207 §3: then a callback without `iss` is refused. */
  readonly announcesIss: boolean
}

export type Discovered =
  | { readonly kind: 'found'; readonly metadata: Metadata }
  | { readonly kind: 'unavailable'; readonly retryAfter: Millis; readonly cause: string }

export interface Discovery {
  /** At once while a copy is held, however old; otherwise after one bounded request, shared by all who ask. */
  get(): Promise<Discovered>
  /** Asks now, shared by all who ask meanwhile: true when the metadata came. What is held stays. */
  probe(): Promise<boolean>
  /** The copy held, without any I/O. */
  held(): Metadata | undefined
}

export interface DiscoveryDeps {
  readonly name: string
  /** With a tenant, or a word for several, in its place where the profile's issuers have one. */
  readonly issuer: string
  readonly profile: Pick<ProviderProfile, 'issuer' | 'claims' | 'login'>
  readonly insecureAllowHttp: boolean
  readonly timeoutMs: Millis
  readonly fetch: BoundedFetch
  readonly clock: Clock
  readonly log: Log
  readonly random?: (() => number) | undefined
}

const FRESH_FOR = minutes(60)
const RETRY_MOST = seconds(30)

/** Lazy, last good kept: nothing is asked before the first use, and a provider that goes away later is not missed. */
export const createDiscovery = (deps: DiscoveryDeps): Discovery => {
  const flight = new SingleFlight<Discovered>()
  let held: Metadata | undefined
  let fetchedAt = instant(0)
  let failures = 0
  let retryAt = instant(0)

  const load = (): Promise<Discovered> =>
    flight.run('discovery', async () => {
      const fetched = await readMetadata(deps)
      // Sessions are held to the issuer that was found first.
      const moved = fetched.kind === 'found' && held !== undefined && fetched.metadata.issuer !== held.issuer
      const read = moved ? failed('issuer-mismatch') : fetched
      const now = deps.clock.now()
      if (read.kind === 'found') {
        if (!held) deps.log.info({ provider: deps.name }, 'provider metadata loaded')
        if (!held && !read.announcesS256 && !deps.profile.login.pkceUnannounced) {
          // RFC 9700 §4.7.1: S256 is sent regardless, but state and nonce must carry the defence alone if the provider ignores it.
          deps.log.warn({ provider: deps.name }, 'provider does not announce PKCE with S256')
        }
        held = read.metadata
        fetchedAt = now
        failures = 0
        return { kind: 'found', metadata: read.metadata }
      }
      const wait = backoff(failures, seconds(1), RETRY_MOST, deps.random?.())
      failures += 1
      retryAt = after(now, wait)
      deps.log.warn({ provider: deps.name, cause: read.cause, attempt: failures }, 'provider metadata not available')
      return { kind: 'unavailable', retryAfter: wait, cause: read.cause }
    })

  /** A wait longer than the longest is one whose clock was set back meanwhile. */
  const mayTry = (now: Instant): boolean => now >= retryAt || between(now, retryAt) > RETRY_MOST

  return {
    held: () => held,
    probe: async () => (await load()).kind === 'found',
    get: async () => {
      const now = deps.clock.now()
      if (held) {
        // Behind the caller, who has a good copy; a failure is logged and backed off by `load` itself, which never rejects.
        if (between(fetchedAt, now) >= FRESH_FOR && mayTry(now)) void load()
        return { kind: 'found', metadata: held }
      }
      if (flight.size > 0 || mayTry(now)) return load()
      return { kind: 'unavailable', retryAfter: millis(Math.max(1000, between(now, retryAt))), cause: 'backing-off' }
    },
  }
}

type Read =
  | { readonly kind: 'found'; readonly metadata: Metadata; readonly announcesS256: boolean }
  | { readonly kind: 'failed'; readonly cause: string }
const failed = (cause: string): Read => ({ kind: 'failed', cause })

const readMetadata = async (deps: DiscoveryDeps): Promise<Read> => {
  const issuer = endpointUrl(deps.issuer, deps.insecureAllowHttp)
  if (!issuer) return failed('issuer-insecure')
  // OpenID Connect Discovery 1.0 §4: a terminating slash of the issuer is removed before the suffix is appended.
  const url = new URL(`${deps.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
  const answer = await deps.fetch({ url, method: 'GET', headers: { accept: 'application/json' }, timeoutMs: deps.timeoutMs })
  if (answer.kind === 'failed') return failed(answer.cause)
  if (answer.status !== 200) return failed(`http-${answer.status}`)
  const document = isJsonType(answer.contentType) ? parseObject(answer.body) : undefined
  if (!document) return failed('metadata-malformed')
  return parseMetadata(document, deps.issuer, issuer.protocol === 'http:', deps.profile)
}

/** Everything that is used later is checked here, once. */
export const parseMetadata = (document: Claims, issuer: string, allowLoopbackHttp: boolean, profile: DiscoveryDeps['profile']): Read => {
  const announced = stringOf(document, 'issuer')
  if (!isIssuerOf(issuer, announced, profile.issuer)) return failed('issuer-mismatch')
  const endpoint = (name: string): URL | undefined => endpointUrl(document[name], allowLoopbackHttp)
  const aliases = document['mtls_endpoint_aliases']
  const alias = (name: string): URL | undefined =>
    typeof aliases === 'object' && aliases !== null && !Array.isArray(aliases)
      ? endpointUrl((aliases as Claims)[name], allowLoopbackHttp)
      : undefined
  const authorizationEndpoint = endpoint('authorization_endpoint')
  const tokenEndpoint = endpoint('token_endpoint')
  const jwksUri = endpoint('jwks_uri')
  if (!authorizationEndpoint || !tokenEndpoint || !jwksUri) return failed('endpoint-invalid')
  return {
    kind: 'found',
    announcesS256: strings(document['code_challenge_methods_supported']).includes('S256'),
    metadata: {
      issuer: announced,
      authorizationEndpoint,
      tokenEndpoint,
      jwksUri,
      revocationEndpoint: endpoint('revocation_endpoint'),
      endSessionEndpoint: endpoint('end_session_endpoint'),
      parEndpoint: endpoint('pushed_authorization_request_endpoint'),
      mtls: {
        tokenEndpoint: alias('token_endpoint'),
        revocationEndpoint: alias('revocation_endpoint'),
        parEndpoint: alias('pushed_authorization_request_endpoint'),
      },
      requiresPar: document['require_pushed_authorization_requests'] === true,
      ...directoryOf(document, profile, allowLoopbackHttp),
      idTokenAlgorithms: algorithms(document['id_token_signing_alg_values_supported']),
      announcesIss: document['authorization_response_iss_parameter_supported'] === true,
    },
  }
}

/** By a host alone: https, but for an emulator beside a provider of this machine. */
const directoryOf = (document: Claims, { claims }: DiscoveryDeps['profile'], allowLoopbackHttp: boolean): Pick<Metadata, 'directory'> => {
  const host = claims.directory && stringOf(document, claims.directory.hostMember)
  if (host === undefined || !/^[A-Za-z0-9.:-]{1,253}$/.test(host)) return {}
  const url = (allowLoopbackHttp ? endpointUrl(`http://${host}/`, true) : undefined) ?? endpointUrl(`https://${host}/`, false)
  return url ? { directory: url } : {}
}

const strings = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : []

/** What this gateway verifies, never more: no `none`, no HMAC (its key would be public or shared). */
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'] as const
/** OpenID Connect Core 1.0 §3.1.3.7: RS256 where nothing is announced. */
const algorithms = (announced: unknown): readonly string[] => {
  const list = strings(announced)
  return list.length === 0 ? ['RS256'] : ALGORITHMS.filter((algorithm) => list.includes(algorithm))
}
