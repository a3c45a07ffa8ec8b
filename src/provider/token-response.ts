import type { AccessToken, Ask, Claims, TokenPrincipal } from '../domain/token.ts'
import { Secret } from '../kernel/secret.ts'
import { after, minutes, seconds } from '../kernel/time.ts'
import type { Instant } from '../kernel/time.ts'
import type { Exchange } from './fetch.ts'
import { isJsonType, parseObject, stringOf } from './json.ts'

/** The parts of a 200 answer of the token endpoint, each checked for its shape. */
export interface TokenSet {
  readonly token: Secret<'access-token'>
  readonly expiresAt: Instant
  readonly scopes: readonly string[] | undefined
  readonly refreshEndsAt: Instant | undefined
  readonly idToken: Secret<'id-token'> | undefined
  /** RFC 8693 §2.2.1. */
  readonly issuedTokenType: string | undefined
}

export type ResponseCheck = 'response' | 'access-token' | 'token-type' | 'expires-in' | 'refresh-token' | 'id-token'

export interface TokenResponse {
  /** Whatever else is wrong with the answer: the old refresh token may be spent, so its successor must not be lost with it. */
  readonly refreshToken: Secret<'refresh-token'> | undefined
  /** There may be, or is, a successor that we cannot read: what was spent is lost or not, and nobody can tell. */
  readonly isSuccessorUnread: boolean
  readonly parsed: { readonly kind: 'tokens'; readonly tokens: TokenSet } | { readonly kind: 'bad'; readonly check: ResponseCheck }
}

/** RFC 6750 §2.1 allows less; what matters is that nothing in it can end a header line. */
const TOKEN = /^[\x21-\x7e]{1,65536}$/
/** RFC 6749 §A.17. */
const REFRESH_TOKEN = /^[\x20-\x7e]{1,16384}$/
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]{1,512}$/
const SCOPES_MAX = 200
/** Without `expires_in` a token is taken to be short-lived. */
const LIFE_UNTOLD = minutes(5)
const DAY_SECONDS = 24 * 3600

/** RFC 6749 §5.1. @param now when the request was made: lifetimes count from before it */
export const parseTokenResponse = (answer: Extract<Exchange, { kind: 'answered' }>, now: Instant): TokenResponse => {
  const body = isJsonType(answer.contentType) ? parseObject(answer.body) : undefined
  if (!body) return { refreshToken: undefined, isSuccessorUnread: true, parsed: bad('response') }
  const refresh = stringOf(body, 'refresh_token')
  const refreshToken = refresh !== undefined && REFRESH_TOKEN.test(refresh) ? Secret.of('refresh-token', refresh) : undefined
  const isSuccessorUnread = refreshToken === undefined && body['refresh_token'] !== undefined
  return { refreshToken, isSuccessorUnread, parsed: parseTokens(body, refreshToken !== undefined, now) }
}

const bad = (check: ResponseCheck): { readonly kind: 'bad'; readonly check: ResponseCheck } => ({ kind: 'bad', check })

const parseTokens = (body: Claims, refreshTokenUsable: boolean, now: Instant): TokenResponse['parsed'] => {
  const token = stringOf(body, 'access_token')
  if (token === undefined || !TOKEN.test(token)) return bad('access-token')
  // Nothing else was asked for: a DPoP token sent as Bearer would be refused, or accepted by an upstream that should not.
  if (stringOf(body, 'token_type')?.toLowerCase() !== 'bearer') return bad('token-type')
  const life = lifeOf(body['expires_in'], 7 * DAY_SECONDS)
  if (life === undefined) return bad('expires-in')
  if (body['refresh_token'] !== undefined && !refreshTokenUsable) return bad('refresh-token')
  const idToken = body['id_token']
  if (idToken !== undefined && typeof idToken !== 'string') return bad('id-token')
  const refreshLife = lifeOf(body['refresh_expires_in'] ?? body['refresh_token_expires_in'] ?? 0, 3650 * DAY_SECONDS)
  return {
    kind: 'tokens',
    tokens: {
      token: Secret.of('access-token', token),
      expiresAt: after(now, life),
      scopes: scopesOf(body['scope']),
      // Keycloak: 0 means no end (offline tokens).
      refreshEndsAt: refreshLife === undefined ? undefined : after(now, refreshLife),
      idToken: idToken === undefined ? undefined : Secret.of('id-token', idToken),
      issuedTokenType: stringOf(body, 'issued_token_type'),
    },
  }
}

/** Whole or fractional seconds, as a number or a string of digits; undefined when it is neither, or not positive. */
const lifeOf = (value: unknown, secondsMax: number): ReturnType<typeof seconds> | undefined => {
  if (value === undefined) return LIFE_UNTOLD
  const number = typeof value === 'string' && /^\d{1,15}(?:\.\d{1,3})?$/.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isFinite(number) || number <= 0) return undefined
  return seconds(Math.min(Math.floor(number), secondsMax))
}

const scopesOf = (value: unknown): readonly string[] | undefined => {
  if (typeof value !== 'string') return undefined
  const scopes = [...new Set(value.split(' '))].filter((scope) => SCOPE.test(scope)).toSorted()
  return scopes.length > 0 ? scopes.slice(0, SCOPES_MAX) : undefined
}

export const accessTokenOf = (tokens: TokenSet, ask: Ask, now: Instant, standsFor: TokenPrincipal | undefined): AccessToken => ({
  key: ask.key,
  token: tokens.token,
  issuedAt: now,
  expiresAt: tokens.expiresAt,
  scopes: tokens.scopes ?? ask.scopes,
  ...(standsFor !== undefined && { standsFor }),
})
