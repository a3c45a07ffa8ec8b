import type { BearerCaller, BearerRead } from '../domain/caller.ts'
import type { CallerFacts, ProviderProfile } from '../domain/profile.ts'
import type { Claims, Json } from '../domain/token.ts'
import type { Secret } from '../kernel/secret.ts'
import { fromNumericDate, seconds, toNumericDate } from '../kernel/time.ts'
import type { Instant } from '../kernel/time.ts'
import { SKEW_SECONDS } from './id-token.ts'
import { decodeJwt, stringOf } from './json.ts'
import { callerKind, clientOf, isApplication } from './principal.ts'
import type { Room } from './room.ts'
import { checkTenant, issuerOf } from './tenants.ts'

/** Which check failed; a closed set for audit and logs, beside those of the signature (keys.ts). */
export type BearerCheck =
  | 'size'
  | 'form'
  | 'critical-header'
  | 'algorithm'
  | 'token-type'
  | 'id-token'
  | 'issuer'
  | 'audience'
  | 'expiry'
  | 'issued-at'
  | 'not-before'
  | 'subject'
  | 'client'
  | 'principal'
  | 'sender-constrained'

export interface BearerRules {
  readonly issuer: string
  /** The gateway's own names as an API. */
  readonly audiences: readonly string[]
  /** Only `typ: at+jwt` (RFC 9068 §2.1); otherwise `JWT` and none are taken as well, as most providers send them. */
  readonly requireType: boolean
  readonly facts: CallerFacts
  readonly now: Instant
}

/** A header line of more is refused by the parser anyway, together with cookies and the rest. */
const TOKEN_CHARS_MAX = 16 * 1024
/** What this gateway verifies: asymmetric, one meaning each (RFC 8725 §3.1). No `none`, no HMAC: its key would be public or shared. */
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'] as const
/** Core §2: at most 255 ASCII characters. */
const SUBJECT = /^[\x20-\x7e]{1,255}$/
const DATE_MAX = 1e11
/** Only ID tokens have these; an ID token is no proof of anything but a sign-in at its client (RFC 9068 §5, OIDC Core §3.1.3.6). */
const OF_ID_TOKENS = ['nonce', 'at_hash', 'c_hash', 's_hash'] as const

/**
 * RFC 9068 §4 and RFC 8725, but the signature. All of it is judged before a key is looked for, so that most of what is sent in vain costs neither a fetch
 * nor a signature. undefined: everything holds.
 */
export const checkBearerToken = (header: Claims, claims: Claims, rules: BearerRules): BearerCheck | undefined =>
  headerCheck(header, rules) ?? kindCheck(claims, rules) ?? partyCheck(claims, rules) ?? timeCheck(claims, rules)

const headerCheck = (header: Claims, { requireType }: BearerRules): BearerCheck | undefined => {
  // What must be understood and is not (RFC 7515 §4.1.11), and what changes how the bytes are read.
  if (['crit', 'b64', 'zip', 'enc'].some((name) => Object.hasOwn(header, name))) return 'critical-header'
  if (!ALGORITHMS.some((known) => known === header['alg'])) return 'algorithm'
  if (header['typ'] === undefined) return requireType ? 'token-type' : undefined
  // RFC 7515 §4.1.9: a media type, whatever its case, with or without `application/`.
  const type = stringOf(header, 'typ')
    ?.toLowerCase()
    .replace(/^application\//, '')
  return type === 'at+jwt' || (type === 'jwt' && !requireType) ? undefined : 'token-type'
}

/** Where `typ` does not tell, an ID token and a logout token of the same issuer look much alike: what makes an access token one must be there. */
const kindCheck = (claims: Claims, { requireType, facts }: BearerRules): BearerCheck | undefined => {
  if (OF_ID_TOKENS.some((name) => Object.hasOwn(claims, name))) return 'id-token'
  // Keycloak says in the payload what it is: `Bearer`, `ID`, `Refresh`, `Logout`.
  const said = claims['typ']
  if (said !== undefined && !(typeof said === 'string' && /^(?:bearer|at\+jwt)$/i.test(said))) return 'token-type'
  if (Object.hasOwn(claims, 'events')) return 'token-type'
  // Bound to a key of the caller (RFC 7800): to take it without a proof of that key would undo the binding.
  if (Object.hasOwn(claims, 'cnf')) return 'sender-constrained'
  if (requireType) return undefined
  return scopesOf(claims) !== undefined || isApplication(claims, facts) ? undefined : 'id-token'
}

const partyCheck = (claims: Claims, { issuer, audiences, facts }: BearerRules): BearerCheck | undefined => {
  if (claims['iss'] !== issuer) return 'issuer'
  const named = audiencesOf(claims)
  if (!named || !named.some((audience) => audiences.includes(audience))) return 'audience'
  if (!SUBJECT.test(stringOf(claims, 'sub') ?? '')) return 'subject'
  // RFC 9068 §2.2. Without it nobody could tell an application that calls for itself from a user.
  if (!SUBJECT.test(clientOf(claims) ?? '')) return 'client'
  return callerKind(claims, facts) ? undefined : 'principal'
}

/** An expiry that has come has come: whoever sent the token can get a new one, and what is made from it must not outlive it. */
const timeCheck = (claims: Claims, { now }: BearerRules): BearerCheck | undefined => {
  const at = toNumericDate(now)
  const { exp, iat, nbf } = claims
  if (!isDate(exp) || exp <= at) return 'expiry'
  if (iat !== undefined && (!isDate(iat) || iat > at + SKEW_SECONDS)) return 'issued-at'
  if (nbf !== undefined && (!isDate(nbf) || nbf > at + SKEW_SECONDS)) return 'not-before'
  return undefined
}

const isDate = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value >= 0 && value < DATE_MAX

const audiencesOf = (claims: Claims): readonly string[] | undefined => {
  const list: readonly Json[] = Array.isArray(claims['aud']) ? claims['aud'] : [claims['aud'] ?? null]
  return list.every((one): one is string => typeof one === 'string') ? list : undefined
}

/** undefined: it speaks of none. RFC 8693 §4.2 says `scope`, one string; `scp` is a string at Entra and a list at Okta. */
const scopesOf = (claims: Claims): readonly string[] | undefined => {
  const value = claims['scope'] ?? claims['scp']
  if (typeof value === 'string') return value.split(' ').filter((scope) => scope !== '')
  return Array.isArray(value) && value.every((scope): scope is string => typeof scope === 'string') ? value : undefined
}

const rolesOf = (claims: Claims): readonly string[] => {
  const { roles } = claims
  return Array.isArray(roles) ? roles.filter((role): role is string => typeof role === 'string') : []
}

/** Discovery and keys are this room's own, as for an ID token: nothing in the token says where its key lies. */
export const readBearerToken = async (
  room: Room,
  token: Secret<'access-token'>,
  rules: Pick<BearerRules, 'audiences' | 'requireType'>,
): Promise<BearerRead> => {
  const text = token.reveal()
  if (text.length > TOKEN_CHARS_MAX) return invalid('size')
  const decoded = decodeJwt(text)
  if (!decoded) return invalid('form')
  const found = await room.discovery.get()
  if (found.kind === 'unavailable') return found
  const { metadata } = found
  const now = room.clock.now()
  const { profile } = room.client
  const issuer = issuerOf(metadata.issuer, decoded.payload, profile)
  const failed = checkBearerToken(decoded.header, decoded.payload, { ...rules, issuer, facts: profile.callers, now })
  if (failed) return invalid(failed)
  const foreign = checkTenant(decoded.payload, issuer, room.client)
  if (foreign) return invalid(foreign)
  const verified = await room.keys.verify(text, { jwksUri: metadata.jwksUri, algorithms: ALGORITHMS, purpose: 'bearer-token' })
  if (verified.kind === 'invalid') return invalid(verified.check === 'id-token' ? 'form' : verified.check)
  if (verified.kind === 'no-key') {
    // The set was fetched a moment ago and is not fetched again yet: the key may be there by now, and the caller may try again.
    if (verified.cause === 'key-unknown' && !verified.isLimited) return invalid('key-unknown')
    return { kind: 'unavailable', retryAfter: seconds(10), cause: verified.cause }
  }
  return { kind: 'valid', caller: callerOf(verified.payload, token, issuer, profile, now) }
}

const invalid = (check: string): BearerRead => ({ kind: 'invalid', check })

const callerOf = (claims: Claims, token: Secret<'access-token'>, issuer: string, profile: ProviderProfile, now: Instant): BearerCaller => ({
  kind: callerKind(claims, profile.callers) ?? 'application', // which opens nothing unless it is named
  issuer,
  subject: stringOf(claims, 'sub') ?? '',
  clientId: clientOf(claims),
  tenant: profile.claims.tenant === undefined ? undefined : stringOf(claims, profile.claims.tenant),
  audiences: audiencesOf(claims) ?? [],
  scopes: scopesOf(claims) ?? [],
  roles: rolesOf(claims),
  claims,
  token,
  issuedAt: isDate(claims['iat']) ? fromNumericDate(claims['iat']) : now,
  expiresAt: fromNumericDate(Number(claims['exp'])),
})
