import type { CredentialVerdict } from '../domain/credential.ts'
import type { ProviderProfile } from '../domain/provider.ts'
import type { Instant } from '../kernel/time.ts'
import { errorNumbers } from './error-rules.ts'
import type { Exchange } from './fetch.ts'
import { isJsonType, parseObject, stringOf } from './json.ts'
import { denialOf } from './token-outcome.ts'

/** Spec §6: refusals that a provider only makes once the client has proven itself (RFC 6749 §5.2, RFC 8707 §2). */
const BEHIND_AUTHENTICATION = new Set(['invalid_scope', 'invalid_grant', 'invalid_target'])
/** What a server says of our certificate in the handshake; nothing of the request has been looked at then (RFC 8446 §6.2). */
const REFUSED_IN_HANDSHAKE =
  /^ERR_SSL_.*ALERT_(BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_\w+|UNKNOWN_CA|ACCESS_DENIED|DECRYPT_ERROR|UNKNOWN_CERTIFICATE)/

/** What an answer says of the credential it came with. A 401 of any code is never an acceptance. */
export const verdictOf = (exchange: Exchange, profile: ProviderProfile, now: Instant): CredentialVerdict => {
  if (exchange.kind === 'failed') {
    const isOurs = exchange.sent === 'not-sent' && exchange.cause === 'no-credential'
    return isOurs || REFUSED_IN_HANDSHAKE.test(exchange.cause)
      ? { kind: 'rejected', code: exchange.cause }
      : { kind: 'none', cause: exchange.cause }
  }
  if (exchange.status >= 200 && exchange.status < 300) return { kind: 'accepted' }
  const denial = denialOf(exchange, { profile, spent: 'nothing', now })
  const code = denial.kind === 'refused' ? denial.providerCode : denial.cause
  const body = isJsonType(exchange.contentType) ? parseObject(exchange.body) : undefined
  const error = (body && stringOf(body, 'error')) ?? ''
  // Auth0 says `invalid_grant` with 403. Without such a word it may be whoever stands in front.
  if (exchange.status === 403 && BEHIND_AUTHENTICATION.has(error)) return { kind: 'accepted' }
  if (exchange.status !== 400 && exchange.status !== 401) return { kind: 'none', cause: code }

  if (body && errorNumbers(body).some((number) => profile.credential.hopeless.includes(number))) return { kind: 'none', cause: code }
  const isRejected = denial.kind === 'refused' && denial.reason === 'credential-rejected'
  if (exchange.status === 401) {
    // Some provider has one code for a wrong secret and for a grant it does not allow; its profile tells them apart.
    return denial.kind === 'refused' && !isRejected ? { kind: 'none', cause: code } : { kind: 'rejected', code }
  }
  // RFC 6749 §5.2: the client is who it says, and may not use this grant. No other credential may.
  if (error === 'unauthorized_client') return { kind: 'none', cause: code }
  if (isRejected) return { kind: 'rejected', code }
  return BEHIND_AUTHENTICATION.has(error) ? { kind: 'accepted' } : { kind: 'none', cause: code }
}
