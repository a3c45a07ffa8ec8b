import type { Session } from '../domain/session.ts'
import type { AccessToken, Ask } from '../domain/token.ts'
import { assertNever } from '../kernel/assert.ts'
import type { Instant, Millis } from '../kernel/time.ts'
import { seconds } from '../kernel/time.ts'

/** What a caller waits for; decides whether what another flight or replica stored meanwhile is enough. */
export type Need =
  /** A good token of a confirmed session. */
  | { readonly kind: 'token' }
  /** A token that is not in the last fifth of its life. */
  | { readonly kind: 'ahead' }
  /** The provider's word on the session, whatever the token. */
  | { readonly kind: 'confirmed' }
  /** A refresh newer than the one the caller has seen. */
  | { readonly kind: 'forced'; readonly seenRtGen: number }
  /** Another token than the one an upstream has rejected. */
  | { readonly kind: 'another'; readonly than: AccessToken }

const MARGIN_MOST = seconds(30)
/** The `exp` inside a token is in whole seconds and was set before the answer reached us: the last second of `expires_in` is not ours. */
const MARGIN_LEAST = seconds(2)

/** Good for longer than a request needs: 30 s, or a tenth of a short life, never less than the rounding of `exp` costs. */
export const isGood = (token: AccessToken, now: Instant): boolean => {
  const life = token.expiresAt - token.issuedAt
  return token.expiresAt - now > Math.min(MARGIN_MOST, Math.max(life / 10, Math.min(MARGIN_LEAST, life / 2)))
}

/** Still accepted by an upstream with a sane clock: what a transient failure may fall back to. */
export const isUnexpired = (token: Pick<AccessToken, 'expiresAt'>, now: Instant): boolean => token.expiresAt - now > seconds(1)

/** Served, but time to renew it behind the request. */
export const isInLastFifth = (token: AccessToken, now: Instant): boolean => token.expiresAt - now < (token.expiresAt - token.issuedAt) / 5

/** `confirmedAt` in the future (another replica's clock) counts as just now. */
export const isConfirmedWithin = (session: Session, length: number, now: Instant): boolean => now - session.grant.confirmedAt <= length

const CONFIRMED_LEAST = seconds(60)

/**
 * Whether the provider's word on the session still holds: for `recheckMs`, and no longer than half of what the refresh token had left, or it runs out on
 * somebody at work (Keycloak's SSO idle). Never less than a minute: near an end that no refresh moves, asking more and more often would not help.
 */
export const isConfirmed = (session: Session, recheckMs: Millis, now: Instant): boolean => {
  const { refreshEndsAt, confirmedAt } = session.grant
  const half = refreshEndsAt === undefined ? recheckMs : Math.max(CONFIRMED_LEAST, (refreshEndsAt - confirmedAt) / 2)
  return isConfirmedWithin(session, Math.min(recheckMs, half), now)
}

/**
 * Whether `session` as it is answers the need, and with which token. `undefined`: a call is needed.
 * @param recheckMs how long a confirmation lasts
 */
export const answeredBy = (
  session: Session,
  ask: Ask,
  need: Need,
  recheckMs: Millis,
  now: Instant,
): { readonly access: AccessToken | undefined } | undefined => {
  const access = session.tokens.get(ask.key)
  const confirmed = isConfirmed(session, recheckMs, now)
  switch (need.kind) {
    case 'token':
      return confirmed && access && isGood(access, now) ? { access } : undefined
    case 'ahead':
      return confirmed && access && isGood(access, now) && !isInLastFifth(access, now) ? { access } : undefined
    case 'confirmed':
      return confirmed ? { access } : undefined
    case 'forced':
      return session.rtGen > need.seenRtGen ? { access } : undefined
    case 'another':
      return confirmed && access && isGood(access, now) && !access.token.equals(need.than.token) ? { access } : undefined
    default:
      return assertNever(need)
  }
}
