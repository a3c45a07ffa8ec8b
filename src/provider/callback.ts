import type { ProviderProfile, RedeemChecks, Redeemed } from '../domain/provider.ts'
import { Secret } from '../kernel/secret.ts'
import { seconds } from '../kernel/time.ts'
import type { Metadata } from './discovery.ts'
import { isForm, issuerIn, tenantIn } from './tenants.ts'
import { cleanCode } from './token-outcome.ts'

/** RFC 6749 §3.1: a parameter that comes twice can mean two things, each to another reader. */
const ONCE = [
  'code',
  'state',
  'iss',
  'error',
  'error_description',
  'session_state',
  'response',
  'id_token',
  'access_token',
  'token_type',
] as const
const CODE_CHARS_MAX = 8192

/** What can be refused without asking anybody. undefined: go on. */
export const checkCallback = (query: URLSearchParams, checks: RedeemChecks): Redeemed | undefined => {
  if (ONCE.some((name) => query.getAll(name).length > 1)) return invalid('duplicate-parameter')
  if (!Secret.of('state', query.get('state') ?? '').equals(checks.state)) return invalid('state')
  if (['response', 'id_token', 'access_token', 'token_type'].some((name) => query.has(name))) return invalid('response-type')
  const code = query.get('code')
  const error = query.get('error')
  if (code !== null && error !== null) return invalid('response-type')
  if (error === null && (code === null || code === '' || code.length > CODE_CHARS_MAX)) return invalid('code')
  return undefined
}

/** With the metadata at hand: RFC 9207 §2.4, then what the provider has to say. undefined: there is a code to redeem. */
export const checkResponse = (query: URLSearchParams, metadata: Metadata, profile: ProviderProfile): Redeemed | undefined => {
  const iss = query.get('iss')
  if (iss === null ? metadata.announcesIss : !isOurs(iss, metadata.issuer)) return invalid('iss')
  const error = query.get('error')
  if (error === null) return undefined
  // RFC 6749 §4.1.2.1: what a 500 and a 503 would have said, could it come by redirect. The answer is used up; the next attempt may find it well.
  if (error === 'server_error' || error === 'temporarily_unavailable')
    return { kind: 'unavailable', retryAfter: seconds(5), cause: error, unspent: false }
  const cancelled = error === 'access_denied' && !isUnassigned(query, profile)
  return { kind: 'refused', cancelled, providerCode: cleanCode(error) }
}

/** Where the issuer is a form, whose tenant it is filled with is checked with the ID token. */
const isOurs = (iss: string, issuer: string): boolean => iss === (isForm(issuer) ? issuerIn(issuer, tenantIn(iss) ?? '') : issuer)

/** `access_denied` of the provider's own accord, for instance when the user is not assigned to the application. */
const isUnassigned = (query: URLSearchParams, profile: ProviderProfile): boolean =>
  profile.login.refusals.some((start) => (query.get('error_description') ?? '').startsWith(start))

export const invalid = (check: string): Extract<Redeemed, { kind: 'invalid' }> => ({ kind: 'invalid', check })
