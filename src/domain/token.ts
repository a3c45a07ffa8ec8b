import type { Secret } from '../kernel/secret.ts'
import type { Instant, Millis } from '../kernel/time.ts'

/** `token.grant` of a route; a strategy of the broker implements one. More come later; the stored key of an entry contains the name. */
export type GrantName = 'refresh' | 'client_credentials'

/** Names one access token of a session: a digest of grant, audience and sorted scopes, 22 base64url characters (broker/token-key.ts). */
export type TokenKey = string & { readonly __tokenKey: true }

/** Audience and scopes a route wants. */
export interface Ask {
  readonly grant: GrantName
  /** By its name in the route table; how it is put to the provider is the profile's business. `undefined`: scopes say it all. */
  readonly audience: string | undefined
  /** Sorted, without duplicates. */
  readonly scopes: readonly string[]
  readonly key: TokenKey
}

/** An access token that was issued for one ask. */
export interface AccessToken {
  readonly key: TokenKey
  readonly token: Secret<'access-token'>
  readonly issuedAt: Instant
  readonly expiresAt: Instant
  readonly scopes: readonly string[]
}

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }
/** Claims of a verified ID token, without prototype keys. */
export type Claims = Readonly<Record<string, Json>>

/** Why the provider said no. A code we do not know is `unavailable`, never one of these: an unknown code signs nobody out. */
export type Refusal =
  /** `invalid_grant` for the refresh token itself. */
  | 'grant-rejected'
  | 'step-up-required'
  | 'consent-required'
  /** invalid_target, invalid_scope, access_denied: concerns this audience only. */
  | 'audience-denied'
  /** invalid_client, unauthorized_client: concerns the gateway, not the user. */
  | 'credential-rejected'

/** What one call to the token endpoint came to. */
export type TokenAnswer =
  | {
      readonly kind: 'issued'
      readonly access: AccessToken
      /** Present when the provider rotated it; absent: the old one stays. */
      readonly refreshToken: Secret<'refresh-token'> | undefined
      /** The provider's own ceiling, from refresh_expires_in and kin. */
      readonly refreshEndsAt: Instant | undefined
      /** Of a new ID token, verified; absent when none came or its keys could not be fetched. */
      readonly claims: Claims | undefined
      readonly idToken: Secret<'id-token'> | undefined
    }
  | { readonly kind: 'refused'; readonly reason: Refusal; readonly providerCode: string }
  /**
   * The provider answered 200 with something that must not be used: another user's ID token, a wrong audience or principal, an unusable token.
   * The old refresh token may be spent; `refreshToken` is its successor, if one came, so that it can be saved or revoked.
   * `session`: the identity is in doubt, the session ends. `audience`: only this token is unusable.
   */
  | {
      readonly kind: 'violation'
      readonly concerns: 'session' | 'audience'
      readonly check: string
      readonly refreshToken: Secret<'refresh-token'> | undefined
    }
  /**
   * `not-sent`: certainly not spent; `answered`: a refusal to work now (429, 503 with a body of its own), not spent; `unknown`: may be spent.
   * `cause` is a network code or one of ours: `throttled` (429) and `http-503` speak for the whole provider, which the broker then leaves alone.
   */
  | {
      readonly kind: 'unavailable'
      readonly sent: 'not-sent' | 'answered' | 'unknown'
      readonly retryAfter: Millis
      readonly cause: string
    }

/** What the broker answers. Exactly one of these; never an exception, never a silent downgrade. */
export type TokenOutcome =
  | { readonly kind: 'issued'; readonly access: AccessToken }
  | {
      readonly kind: 'refused'
      readonly code:
        | 'session.ended'
        | 'session.refresh-lost'
        | 'session.step-up-required'
        | 'token.consent-required'
        | 'token.audience-denied'
        | 'token.credential-rejected'
        | 'token.invalid'
    }
  | { readonly kind: 'unavailable'; readonly code: 'provider.unavailable' | 'store.unavailable'; readonly retryAfter: Millis }
