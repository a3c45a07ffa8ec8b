import { createHash } from 'node:crypto'
import type { Claims } from '../domain/token.ts'
import { Secret } from '../kernel/secret.ts'
import { toNumericDate } from '../kernel/time.ts'
import type { Instant } from '../kernel/time.ts'
import { stringOf } from './json.ts'

/** Which check failed; a closed set for audit and logs. */
export type IdTokenCheck =
  | 'claims-size'
  | 'issuer'
  | 'subject'
  | 'audience'
  | 'authorized-party'
  | 'expiry'
  | 'issued-at'
  | 'not-before'
  | 'nonce'
  | 'auth-time'
  | 'acr'
  | 'at-hash'
  | 'issuer-changed'
  | 'subject-changed'
  | 'auth-time-changed'

export interface IdTokenRules {
  readonly issuer: string
  readonly clientId: string
  readonly now: Instant
  readonly nonce?: Secret<'nonce'> | undefined
  readonly maxAgeSeconds?: number | undefined
  readonly acrValues?: readonly string[] | undefined
  /** On refresh: what the session's first ID token said (OpenID Connect Core 1.0 §12.2). */
  readonly known?: { readonly issuer: string; readonly subject: string; readonly authTime?: Instant | undefined } | undefined
  /** The access token that came with it, for `at_hash`. */
  readonly accessToken?: Secret<'access-token'> | undefined
}

/** Clocks of provider and gateway may differ by this. */
export const SKEW_SECONDS = 30
const CLAIMS_CHARS_MAX = 32 * 1024
/** Year 5138: beyond it a number is no NumericDate in seconds. */
const DATE_MAX = 1e11

/** OpenID Connect Core 1.0 §3.1.3.7 and §12.2, but the signature: see keys.ts. undefined: everything holds. */
export const checkIdToken = (claims: Claims, algorithm: string | undefined, rules: IdTokenRules): IdTokenCheck | undefined =>
  sizeCheck(claims) ??
  partyCheck(claims, rules) ??
  timeCheck(claims, rules) ??
  requestCheck(claims, algorithm, rules) ??
  knownCheck(claims, rules)

const sizeCheck = (claims: Claims): IdTokenCheck | undefined =>
  JSON.stringify(claims).length > CLAIMS_CHARS_MAX ? 'claims-size' : undefined

/** Core §2: at most 255 ASCII characters; openid-client accepts an empty one. */
const SUBJECT = /^[\x20-\x7e]{1,255}$/

const partyCheck = (claims: Claims, { issuer, clientId }: IdTokenRules): IdTokenCheck | undefined => {
  if (claims['iss'] !== issuer) return 'issuer'
  if (!SUBJECT.test(stringOf(claims, 'sub') ?? '')) return 'subject'
  const audiences = Array.isArray(claims['aud']) ? claims['aud'] : [claims['aud']]
  if (!audiences.every((audience) => typeof audience === 'string') || !audiences.includes(clientId)) return 'audience'
  if (claims['azp'] !== undefined && claims['azp'] !== clientId) return 'authorized-party'
  if (audiences.length > 1 && claims['azp'] === undefined) return 'authorized-party'
  return undefined
}

const timeCheck = (claims: Claims, { now }: IdTokenRules): IdTokenCheck | undefined => {
  const seconds = toNumericDate(now)
  const { exp, iat, nbf } = claims
  if (!isDate(exp) || exp <= seconds - SKEW_SECONDS) return 'expiry'
  if (!isDate(iat) || iat > seconds + SKEW_SECONDS) return 'issued-at'
  if (nbf !== undefined && (!isDate(nbf) || nbf > seconds + SKEW_SECONDS)) return 'not-before'
  return undefined
}

const requestCheck = (claims: Claims, algorithm: string | undefined, rules: IdTokenRules): IdTokenCheck | undefined => {
  if (rules.nonce && !Secret.of('nonce', stringOf(claims, 'nonce') ?? '').equals(rules.nonce)) return 'nonce'
  const authTime = claims['auth_time']
  if (authTime !== undefined && !isDate(authTime)) return 'auth-time'
  if (rules.maxAgeSeconds !== undefined) {
    if (!isDate(authTime) || authTime + rules.maxAgeSeconds < toNumericDate(rules.now) - SKEW_SECONDS) return 'auth-time'
  }
  if (rules.acrValues && rules.acrValues.length > 0 && !rules.acrValues.includes(stringOf(claims, 'acr') ?? '')) return 'acr'
  // OpenID Connect Core 1.0 §3.1.3.8.
  if (claims['at_hash'] !== undefined && rules.accessToken && claims['at_hash'] !== leftHalf(rules.accessToken, algorithm)) return 'at-hash'
  return undefined
}

const knownCheck = (claims: Claims, { known }: IdTokenRules): IdTokenCheck | undefined => {
  if (!known) return undefined
  if (claims['iss'] !== known.issuer) return 'issuer-changed'
  if (claims['sub'] !== known.subject) return 'subject-changed'
  const authTime = claims['auth_time']
  if (isDate(authTime) && known.authTime !== undefined && authTime > toNumericDate(known.authTime) + SKEW_SECONDS)
    return 'auth-time-changed'
  return undefined
}

const isDate = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value >= 0 && value < DATE_MAX

const leftHalf = (token: Secret<'access-token'>, algorithm: string | undefined): string => {
  const digest = createHash(algorithm === 'EdDSA' || algorithm === 'Ed25519' ? 'sha512' : 'sha256')
    .update(token.reveal())
    .digest()
  return digest.subarray(0, digest.length / 2).toString('base64url')
}

/** Failures that put the identity itself in doubt; the others make one answer unusable, as a clock that is off would. */
export const concernsIdentity = (check: IdTokenCheck): boolean =>
  ['issuer', 'subject', 'audience', 'authorized-party', 'at-hash', 'issuer-changed', 'subject-changed', 'auth-time-changed'].includes(check)

/** Of use once, in this very check: no business of a stored session. */
const SPENT = new Set(['nonce', 'at_hash', 'c_hash', 's_hash'])
export const lastingClaims = (claims: Claims): Claims => Object.fromEntries(Object.entries(claims).filter(([name]) => !SPENT.has(name)))
