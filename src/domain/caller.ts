import type { Secret } from '../kernel/secret.ts'
import type { Instant, Millis } from '../kernel/time.ts'
import type { Claims } from './token.ts'

/** `callers` of a route: who may present what. */
export type CallerKind = 'session' | 'bearer'

/**
 * Who came with an access token whose audience is the gateway, verified: signature, issuer, audience, time, type, algorithm (RFC 9068 §4).
 * Nothing of it is kept longer than the token lives, and nothing is stored.
 */
export interface BearerCaller {
  /** What the token stands for: a user, if need be through an application, or an application by itself. */
  readonly kind: 'user' | 'application'
  readonly issuer: string
  /** Of an application: its client id, or whatever the provider names it by. */
  readonly subject: string
  /** The application that the token was issued to: `client_id`, `azp` or `appid`. */
  readonly clientId: string | undefined
  readonly tenant: string | undefined
  /** All of `aud`: the gateway is among them, an upstream may be. */
  readonly audiences: readonly string[]
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
  /** For `allow` rules. */
  readonly claims: Claims
  /** The token as it came: assertion, subject token, or passed through. */
  readonly token: Secret<'access-token'>
  /** `iat`, or when it was first seen. */
  readonly issuedAt: Instant
  readonly expiresAt: Instant
}

/** What an inbound access token came to. */
export type BearerRead =
  | { readonly kind: 'valid'; readonly caller: BearerCaller }
  /** `check` is from a closed set. */
  | { readonly kind: 'invalid'; readonly check: string }
  /** Its key could not be asked for: nothing is known of the token. */
  | { readonly kind: 'unavailable'; readonly retryAfter: Millis; readonly cause: string }
