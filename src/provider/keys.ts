import { compactVerify, importJWK } from 'jose'
import type { JWK } from 'jose'
import type { Claims, Json } from '../domain/token.ts'
import { backoff } from '../kernel/backoff.ts'
import type { Log } from '../kernel/ports.ts'
import { SingleFlight } from '../kernel/single-flight.ts'
import { after, between, instant, minutes, seconds } from '../kernel/time.ts'
import type { Clock, Instant } from '../kernel/time.ts'
import type { BoundedFetch } from './fetch.ts'
import { decodeJwt, isJsonType, isObject, parseObject, stringOf } from './json.ts'
import { isForm, issuerIn, tenantIn } from './tenants.ts'

export type Verified =
  | { readonly kind: 'verified'; readonly payload: Claims; readonly algorithm: string }
  | { readonly kind: 'invalid'; readonly check: 'id-token' | 'algorithm' | 'signature' }
  /** No key could be asked: `key-unknown` when the key set has none of that name, otherwise why it could not be fetched. */
  | {
      readonly kind: 'no-key'
      readonly cause: string
      /** `key-unknown`, and the set was fetched so lately that it was not fetched again: it may be there by now. */
      readonly isLimited: boolean
    }

export interface KeyUse {
  readonly jwksUri: URL
  readonly algorithms: readonly string[]
  /** Anybody may post a logout token, or call, with an invented key id: those have limits of their own, so that no sign-in waits because of them. */
  readonly purpose: 'id-token' | 'logout-token' | 'bearer-token'
}

export interface Keys {
  /** True when keys are held, after fetching them if need be. */
  ready(jwksUri: URL): Promise<boolean>
  verify(token: string, use: KeyUse): Promise<Verified>
}

export interface KeysDeps {
  readonly name: string
  readonly timeoutMs: number
  readonly fetch: BoundedFetch
  readonly clock: Clock
  readonly log: Log
  readonly random?: (() => number) | undefined
}

const FRESH_FOR = minutes(10)
/** An unknown key id fetches the set anew, even when the copy was made a moment ago, but not more often than this. */
const UNKNOWN_KID_EVERY = seconds(10)
const RETRY_MOST = seconds(30)
const CANDIDATES_MAX = 8
const TOKEN_CHARS_MAX = 64 * 1024

/**
 * The provider's signing keys, from its `jwks_uri` and nowhere else: `jku`, `x5u`, `jwk` and `x5c` of a token's header are never looked at
 * (RFC 8725 §3.10). Last good kept.
 */
export const createKeys = (deps: KeysDeps): Keys => {
  const flight = new SingleFlight<string | undefined>()
  let held: readonly HeldKey[] | undefined
  let fetchedAt = instant(0)
  let failures = 0
  let retryAt = instant(0)
  const unknownAt = new Map<KeyUse['purpose'], Instant>()

  /** undefined: loaded; otherwise why not. Never rejects. */
  const load = (jwksUri: URL): Promise<string | undefined> =>
    flight.run('keys', async () => {
      const read = await readKeys(deps, jwksUri)
      if (typeof read !== 'string') {
        held = read
        fetchedAt = deps.clock.now()
        failures = 0
        return undefined
      }
      retryAt = after(deps.clock.now(), backoff(failures, seconds(1), RETRY_MOST, deps.random?.()))
      failures += 1
      deps.log.warn({ provider: deps.name, cause: read, attempt: failures }, 'provider keys not available')
      return read
    })

  /** A wait longer than the longest is one whose clock was set back meanwhile. */
  const mayTry = (now: Instant): boolean => now >= retryAt || between(now, retryAt) > RETRY_MOST

  const first = async ({ jwksUri, purpose }: Pick<KeyUse, 'jwksUri' | 'purpose'>): Promise<string | undefined> => {
    if (held) {
      const now = deps.clock.now()
      if (between(fetchedAt, now) >= FRESH_FOR && mayTry(now)) {
        const loaded = load(jwksUri)
        // An ID token comes from the provider itself. These come from anybody, who may have a key that it took away hours ago: then the signature is all.
        if (purpose !== 'id-token') await loaded
      }
      return undefined
    }
    return flight.size > 0 || mayTry(deps.clock.now()) ? load(jwksUri) : 'backing-off'
  }

  /** Whoever comes while a fetch is under way shares it; a flood of invented key ids costs one fetch per interval. */
  const again = async ({ jwksUri, purpose }: KeyUse): Promise<string | undefined | 'limited'> => {
    if (flight.size > 0) return load(jwksUri)
    const now = deps.clock.now()
    const since = between(unknownAt.get(purpose) ?? instant(Number.NEGATIVE_INFINITY), now)
    if (since >= 0 && since < UNKNOWN_KID_EVERY) return 'limited'
    unknownAt.set(purpose, now)
    return load(jwksUri)
  }

  return {
    ready: async (jwksUri) => (await first({ jwksUri, purpose: 'id-token' })) === undefined,
    verify: async (token, use) => {
      const { algorithms } = use
      const decoded = token.length <= TOKEN_CHARS_MAX ? decodeJwt(token) : undefined
      if (!decoded) return { kind: 'invalid', check: 'id-token' }
      const algorithm = stringOf(decoded.header, 'alg')
      if (algorithm === undefined || !algorithms.includes(algorithm)) return { kind: 'invalid', check: 'algorithm' }

      const copyWasHeld = held !== undefined
      const missing = await first(use)
      if (missing !== undefined) return { kind: 'no-key', cause: missing, isLimited: false }
      const kid = stringOf(decoded.header, 'kid')
      let candidates = choose(held ?? [], algorithm, kid)
      if (candidates.length === 0 && copyWasHeld) {
        const cause = await again(use)
        if (cause === 'limited') return { kind: 'no-key', cause: 'key-unknown', isLimited: true }
        if (cause !== undefined) return { kind: 'no-key', cause, isLimited: false }
        candidates = choose(held ?? [], algorithm, kid)
      }
      if (candidates.length === 0) return { kind: 'no-key', cause: 'key-unknown', isLimited: false }
      for (const key of candidates)
        if (isOfIssuer(key, decoded.payload) && (await isSignedBy(token, key.jwk, algorithm)))
          return { kind: 'verified', payload: decoded.payload, algorithm }
      return { kind: 'invalid', check: 'signature' }
    },
  }
}

/** The issuer that a key says it is for must be the token's own, where a form of it is filled with the token's tenant. Read before the signature, by a key that is then asked. */
const isOfIssuer = (key: HeldKey, payload: Claims): boolean =>
  key.issuer === undefined ||
  payload['iss'] === key.issuer ||
  (isForm(key.issuer) && payload['iss'] === issuerIn(key.issuer, tenantIn(stringOf(payload, 'iss') ?? '') ?? ''))

const readKeys = async (deps: KeysDeps, url: URL): Promise<readonly HeldKey[] | string> => {
  const accept = 'application/json, application/jwk-set+json'
  const answer = await deps.fetch({ url, method: 'GET', headers: { accept }, timeoutMs: deps.timeoutMs })
  if (answer.kind === 'failed') return answer.cause
  if (answer.status !== 200) return `http-${answer.status}`
  const keys = isJsonType(answer.contentType) ? parseObject(answer.body)?.['keys'] : undefined
  return Array.isArray(keys) ? keys.filter((key: Json) => isObject(key)).map(publicPart) : 'keys-malformed'
}

const PUBLIC = ['kty', 'crv', 'x', 'y', 'n', 'e', 'kid', 'alg', 'use'] as const
/** Only what verifies: a key set with private members, a `k` or a chain does not change what is checked. */
const publicPart = (key: Claims): HeldKey => ({
  jwk: Object.fromEntries(PUBLIC.flatMap((name) => (typeof key[name] === 'string' ? [[name, key[name]]] : []))),
  issuer: stringOf(key, 'issuer'),
})

interface HeldKey {
  readonly jwk: JWK
  /** Beside the JWK, where a set is of several issuers. */
  readonly issuer: string | undefined
}

const KINDS: Readonly<Record<string, { readonly kty: string; readonly crv?: string }>> = {
  RS256: { kty: 'RSA' },
  PS256: { kty: 'RSA' },
  ES256: { kty: 'EC', crv: 'P-256' },
  EdDSA: { kty: 'OKP', crv: 'Ed25519' },
  Ed25519: { kty: 'OKP', crv: 'Ed25519' },
}

/** Without `kid` every key of the right kind is a candidate, as RFC 7515 §4.1.4 leaves it optional. */
const choose = (keys: readonly HeldKey[], algorithm: string, kid: string | undefined): readonly HeldKey[] => {
  const kind = KINDS[algorithm]
  if (!kind) return []
  return keys
    .filter(({ jwk }) => jwk.kty === kind.kty && (kind.crv === undefined || jwk.crv === kind.crv))
    .filter(({ jwk }) => (kid === undefined || jwk.kid === kid) && (jwk.use ?? 'sig') === 'sig' && (jwk.alg ?? algorithm) === algorithm)
    .slice(0, CANDIDATES_MAX)
}

/** jose refuses RSA keys below 2048 bits, unknown `crit` headers and every mismatch of key and algorithm. */
const isSignedBy = async (token: string, key: JWK, algorithm: string): Promise<boolean> => {
  try {
    await compactVerify(token, await importJWK(key, algorithm), { algorithms: [algorithm] })
    return true
  } catch {
    return false
  }
}
