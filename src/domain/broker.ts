import type { Instant } from '../kernel/time.ts'
import type { BearerCaller } from './caller.ts'
import type { HeldSession, Session } from './session.ts'
import type { AccessToken, Ask, TokenOutcome } from './token.ts'

/** "A token for this session, audience, scopes", with exactly one outcome. */
export interface Broker {
  /**
   * Synchronous, no I/O: the session's token for this ask if it is good for longer than the request needs and the session was confirmed within
   * `session.recheck`. In the last fifth of its life it is still returned and the refresh starts behind it.
   */
  peekUser(held: HeldSession, ask: Ask, now: Instant): AccessToken | undefined
  user(held: HeldSession, ask: Ask): Promise<TokenOutcome>
  /** Apart from any session: one token per route's ask, for the application itself. */
  peekApp(ask: Ask, now: Instant): AccessToken | undefined
  app(ask: Ask): Promise<TokenOutcome>
  /**
   * For a caller that brought an access token of its own, and a route of users: `on_behalf_of`, `exchange` or `pass_through`. Synchronous, no I/O.
   * A result is kept in memory only, under the very token it was made from, and never outlives that.
   */
  peekBearer(caller: BearerCaller, ask: Ask, now: Instant): AccessToken | undefined
  bearer(caller: BearerCaller, ask: Ask): Promise<TokenOutcome>
  /** An upstream called `rejected` invalid before its time: another one than that, asked for now if nobody else has. */
  replace(whose: TokenHolder, ask: Ask, rejected: AccessToken): Promise<TokenOutcome>
  /** True when the session was confirmed by the provider recently enough for any route, app routes included. */
  isConfirmed(held: HeldSession, now: Instant): boolean
  /** Makes it so by a refresh; 'confirmed' also while the provider is away within the grace. */
  confirm(held: HeldSession): Promise<{ readonly kind: 'confirmed' } | Exclude<TokenOutcome, { kind: 'issued' }>>
  /** POST /bff/session/refresh: refresh now, at most once per cool-down; idempotent within it. */
  refreshNow(
    held: HeldSession,
  ): Promise<{ readonly kind: 'refreshed'; readonly session: Session } | Exclude<TokenOutcome, { kind: 'issued' }>>
}

/** Whose a token is. */
export type TokenHolder =
  | { readonly kind: 'session'; readonly held: HeldSession }
  | { readonly kind: 'bearer'; readonly caller: BearerCaller }
  | { readonly kind: 'application' }
