import type { ErrorMeaning, ErrorRule, ProviderProfile } from '../domain/profile.ts'
import type { Claims, Refusal } from '../domain/token.ts'
import { assertNever } from '../kernel/assert.ts'
import { millis, seconds } from '../kernel/time.ts'
import type { Instant, Millis } from '../kernel/time.ts'
import { aadstsOf, meaningOf } from './error-rules.ts'
import type { Exchange } from './fetch.ts'
import { isJsonType, parseObject, stringOf } from './json.ts'

/** A call to the token endpoint that yielded no token. */
export type Denial =
  | { readonly kind: 'refused'; readonly reason: Refusal | 'code-rejected'; readonly providerCode: string }
  | {
      readonly kind: 'unavailable'
      readonly sent: 'not-sent' | 'answered' | 'unknown'
      readonly retryAfter: Millis
      readonly cause: string
    }

/** What was spent with the call: only a refresh token makes `invalid_grant` concern a session. */
export type Spent = 'refresh-token' | 'code' | 'assertion' | 'subject-token' | 'nothing'

/** RFC 6749 §5.2, RFC 8707 §2, OpenID Connect Core 1.0 §3.1.2.6, RFC 9470 §3. A code not listed here signs nobody out. */
const REFUSALS: ReadonlyMap<string, Exclude<Refusal, 'grant-rejected'>> = new Map([
  ['interaction_required', 'step-up-required'],
  ['login_required', 'step-up-required'],
  ['account_selection_required', 'step-up-required'],
  ['insufficient_user_authentication', 'step-up-required'],
  ['unmet_authentication_requirements', 'step-up-required'],
  ['consent_required', 'consent-required'],
  ['invalid_target', 'audience-denied'],
  ['invalid_resource', 'audience-denied'],
  ['invalid_scope', 'audience-denied'],
  ['access_denied', 'audience-denied'],
  ['invalid_client', 'credential-rejected'],
  ['unauthorized_client', 'credential-rejected'],
])

/** Spec §5: words beside `invalid_grant` that end no session, whoever says them; a profile's own rules come first. */
const BESIDE_INVALID_GRANT: readonly ErrorRule[] = [
  { error: 'invalid_grant', suberrors: ['consent_required'], means: 'consent-required' },
  { error: 'invalid_grant', claims: true, means: 'step-up-required' },
  { error: 'invalid_grant', suberrors: ['basic_action', 'additional_action'], means: 'step-up-required' },
]

const RETRY_DEFAULT = seconds(5)
const RETRY_SECONDS_MAX = 3600

/** Looks at status and body alone: what a library makes of a `WWW-Authenticate` header or a 5xx hides the `error` member. */
export const denialOf = (
  exchange: Exchange,
  context: { readonly profile: ProviderProfile; readonly spent: Spent; readonly now: Instant },
): Denial => {
  if (exchange.kind === 'failed') return { kind: 'unavailable', sent: exchange.sent, retryAfter: RETRY_DEFAULT, cause: exchange.cause }
  const retryAfter = retryAfterOf(exchange.retryAfter, context.now)
  const body = isJsonType(exchange.contentType) ? parseObject(exchange.body) : undefined
  const error = body && stringOf(body, 'error')
  const unavailable = (sent: 'answered' | 'unknown', cause: string): Denial => ({ kind: 'unavailable', sent, retryAfter, cause })

  if (exchange.status === 429) return unavailable('answered', 'throttled')
  // A 503 with an answer of its own was not tried; behind any other 5xx the grant may have been spent before something broke.
  if (exchange.status === 503 && error !== undefined) return unavailable('answered', 'overloaded')
  // Somebody in between says how long; without that a page is one bad answer, and no word on the whole provider.
  if (exchange.status === 503 && exchange.retryAfter !== undefined) return unavailable('unknown', 'overloaded')
  if (exchange.status >= 500) return unavailable('unknown', `http-${exchange.status}`)
  if (exchange.status < 400) return unavailable('unknown', `http-${exchange.status}`)
  if (!body || error === undefined) return unavailable('answered', `http-${exchange.status}`)

  const providerCode = providerCodeOf(body, error)
  const told = meaningOf(body, error, context.profile.errors) ?? meaningOf(body, error, BESIDE_INVALID_GRANT)
  const meaning = told ?? commonMeaning(error, exchange.status, context.spent)
  const reason = meaning === 'grant' ? grantRefusal(context.spent) : meaning
  return reason && reason !== 'later' ? { kind: 'refused', reason, providerCode } : unavailable('answered', providerCode)
}

const commonMeaning = (error: string, status: number, spent: Spent): ErrorMeaning | undefined => {
  if (error === 'invalid_grant') return 'grant'
  // RFC 8693 §2.2.2: the subject token is not taken. Some say the same of an audience that is not granted: the broker tries a fresher token once, and knows.
  if (error === 'invalid_request' && spent === 'subject-token') return 'grant'
  // RFC 6749 §5.2 has 401 for the client alone: how Auth0 answers a wrong secret. Anywhere else it is about the user or the audience.
  if (error === 'access_denied' && status === 401) return 'credential-rejected'
  return REFUSALS.get(error)
}

/** RFC 6749 §5.2 `invalid_grant`: what was spent is not good. undefined: nothing was. */
const grantRefusal = (spent: Spent): Refusal | 'code-rejected' | undefined => {
  switch (spent) {
    case 'refresh-token':
    case 'assertion':
    case 'subject-token':
      return 'grant-rejected'
    case 'code':
      return 'code-rejected'
    case 'nothing':
      return undefined
    default:
      return assertNever(spent)
  }
}

/** What a log line and an audit event may say of the provider's words. */
export const cleanCode = (code: string): string => code.replaceAll(/[^A-Za-z0-9_.-]/g, '').slice(0, 64)

const providerCodeOf = (body: Claims, error: string): string => {
  const number = aadstsOf(body)
  return number === undefined ? cleanCode(error) : `AADSTS${number}`
}

/** RFC 9110 §10.2.3: seconds or a date; never longer than an hour, never less than a second. */
export const retryAfterOf = (header: string | undefined, now: Instant): Millis => {
  if (header === undefined) return RETRY_DEFAULT
  // Date.parse reads almost anything, `-3` included, as some date.
  const date = /^[A-Z][a-z]{2}, .{10,30} GMT$/.test(header) ? Date.parse(header) : Number.NaN
  const wait = /^\d{1,9}$/.test(header) ? Number(header) : (date - now) / 1000
  return Number.isFinite(wait) ? millis(Math.round(Math.min(Math.max(wait, 1), RETRY_SECONDS_MAX) * 1000)) : RETRY_DEFAULT
}
