import type { LogoutTokenRead } from '../domain/provider.ts'
import type { Claims } from '../domain/token.ts'
import type { Secret } from '../kernel/secret.ts'
import { fromNumericDate, seconds, toNumericDate } from '../kernel/time.ts'
import type { Instant } from '../kernel/time.ts'
import { SKEW_SECONDS } from './id-token.ts'
import { decodeJwt, isObject, stringOf } from './json.ts'
import type { Room } from './room.ts'
import { issuerOf } from './tenants.ts'

/** Which check failed; a closed set for audit and logs, beside those of the signature (keys.ts). */
type LogoutTokenCheck =
  | 'token-type'
  | 'issuer'
  | 'audience'
  | 'authorized-party'
  | 'issued-at'
  | 'expiry'
  | 'not-before'
  | 'token-id'
  | 'events'
  | 'nonce'
  | 'subject'
  | 'provider-session'

interface LogoutTokenRules {
  readonly issuer: string
  readonly clientId: string
  readonly now: Instant
  /** Only `typ: logout+jwt`; otherwise `JWT` and none are taken as well, as most providers send them. */
  readonly requireType: boolean
}

/** How old a logout token may be, beside the skew of the clocks (Back-Channel Logout 1.0 §2.4 asks for "preferably at most two minutes"). */
const LOGOUT_TOKEN_SECONDS_MAX = 120
const EVENT = 'http://schemas.openid.net/event/backchannel-logout'
/** Core §2: at most 255 ASCII characters. */
const SUBJECT = /^[\x20-\x7e]{1,255}$/
const SESSION_CHARS_MAX = 255
const ID_CHARS_MAX = 512
const DATE_MAX = 1e11

/** Back-Channel Logout 1.0 §2.6, but the signature and the replay: keys.ts and the flow. undefined: everything holds. */
const checkLogoutToken = (header: Claims, claims: Claims, rules: LogoutTokenRules): LogoutTokenCheck | undefined =>
  typeCheck(header, rules) ?? partyCheck(claims, rules) ?? timeCheck(claims, rules) ?? contentCheck(claims)

/** RFC 8725 §3.11. An access token says `at+jwt`, an ID token nothing or `JWT`: those two are told apart by `events` and `nonce`. */
const typeCheck = (header: Claims, { requireType }: LogoutTokenRules): LogoutTokenCheck | undefined => {
  if (header['typ'] === undefined) return requireType ? 'token-type' : undefined
  // RFC 7515 §4.1.9: a media type, whatever its case, with or without `application/`.
  const type = stringOf(header, 'typ')
    ?.toLowerCase()
    .replace(/^application\//, '')
  return type === 'logout+jwt' || (type === 'jwt' && !requireType) ? undefined : 'token-type'
}

const partyCheck = (claims: Claims, { issuer, clientId }: LogoutTokenRules): LogoutTokenCheck | undefined => {
  if (claims['iss'] !== issuer) return 'issuer'
  const audiences = Array.isArray(claims['aud']) ? claims['aud'] : [claims['aud']]
  if (!audiences.every((audience) => typeof audience === 'string') || !audiences.includes(clientId)) return 'audience'
  if (claims['azp'] !== undefined && claims['azp'] !== clientId) return 'authorized-party'
  if (audiences.length > 1 && claims['azp'] === undefined) return 'authorized-party'
  return undefined
}

const timeCheck = (claims: Claims, { now }: LogoutTokenRules): LogoutTokenCheck | undefined => {
  const at = toNumericDate(now)
  const { iat, exp, nbf } = claims
  if (!isDate(iat) || iat > at + SKEW_SECONDS || iat < at - LOGOUT_TOKEN_SECONDS_MAX - SKEW_SECONDS) return 'issued-at'
  if (exp !== undefined && (!isDate(exp) || exp <= at - SKEW_SECONDS)) return 'expiry'
  if (nbf !== undefined && (!isDate(nbf) || nbf > at + SKEW_SECONDS)) return 'not-before'
  return undefined
}

const contentCheck = (claims: Claims): LogoutTokenCheck | undefined => {
  const id = stringOf(claims, 'jti')
  if (id === undefined || id === '' || id.length > ID_CHARS_MAX) return 'token-id'
  const events = claims['events']
  if (!isObject(events) || !Object.hasOwn(events, EVENT) || !isObject(events[EVENT])) return 'events'
  // §2.4: so that an ID token can never be taken for one.
  if (Object.hasOwn(claims, 'nonce')) return 'nonce'
  const { sub, sid } = claims
  if (sub !== undefined && !(typeof sub === 'string' && SUBJECT.test(sub))) return 'subject'
  if (sid !== undefined && !(typeof sid === 'string' && sid !== '' && sid.length <= SESSION_CHARS_MAX)) return 'provider-session'
  return sub === undefined && sid === undefined ? 'subject' : undefined
}

const isDate = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value >= 0 && value < DATE_MAX

/** Discovery and keys are this room's own, as for an ID token: nothing in the token says where its key lies. */
export const readLogoutToken = async (room: Room, token: Secret<'logout-token'>, requireType: boolean): Promise<LogoutTokenRead> => {
  const found = await room.discovery.get()
  if (found.kind === 'unavailable') return found
  const { metadata } = found
  const text = token.reveal()
  const use = { jwksUri: metadata.jwksUri, algorithms: metadata.idTokenAlgorithms, purpose: 'logout-token' } as const
  const verified = await room.keys.verify(text, use)
  if (verified.kind === 'invalid') return { kind: 'invalid', check: verified.check === 'id-token' ? 'logout-token' : verified.check }
  if (verified.kind === 'no-key') {
    // The set was fetched a moment ago and is not fetched again yet: the key may be there by now, and the provider may try again.
    if (verified.cause === 'key-unknown' && !verified.isLimited) return { kind: 'invalid', check: 'key-unknown' }
    return { kind: 'unavailable', retryAfter: seconds(10), cause: verified.cause }
  }
  const claims = verified.payload
  const issuer = issuerOf(metadata.issuer, claims, room.client.profile)
  const rules = { issuer, clientId: room.client.clientId, now: room.clock.now(), requireType }
  const failed = checkLogoutToken(decodeJwt(text)?.header ?? {}, claims, rules)
  if (failed) return { kind: 'invalid', check: failed }
  return {
    kind: 'valid',
    issuer,
    subject: stringOf(claims, 'sub'),
    providerSessionId: stringOf(claims, 'sid'),
    tokenId: stringOf(claims, 'jti') ?? '',
    issuedAt: fromNumericDate(Number(claims['iat'])),
  }
}
