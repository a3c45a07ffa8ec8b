import type { Secret } from '../kernel/secret.ts'
import type { Instant, Millis } from '../kernel/time.ts'

/** `token.grant` of a route; a strategy of the broker implements one. The stored key of an entry contains the name. */
export type GrantName =
  /** RFC 6749 §6: of the session's own refresh token. */
  | 'refresh'
  /** RFC 8693: of an access token of the session, or of the caller's own. */
  | 'exchange'
  /** RFC 7523 §2.1 with `requested_token_use`: the same, as Entra says it. */
  | 'on_behalf_of'
  /** RFC 6749 §4.4: the application itself. */
  | 'client_credentials'
  /** RFC 7523 §2.1 with a key of its own and a user as `sub`: Google's domain-wide delegation. */
  | 'service_account'
  /** A key from a file; no provider is asked. */
  | 'static'
  /** The caller's own token, unchanged. */
  | 'pass_through'

/** Whose rights a token carries. `user-through-application`: a user's, and it says which application acts (`act`, RFC 8693 §4.1). */
export type TokenPrincipal = 'user' | 'application' | 'user-through-application'

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
  /** `exchange`, `on_behalf_of` for a session: its own access token that is turned in, itself asked for by `refresh`. A bearer caller brings one. */
  readonly subject?: Ask
  /** `exchange`: the application's own token that goes along as actor (RFC 8693 §2.1); absent: none does. */
  readonly actor?: Ask
  /** `static`: the key itself; `service_account`: the key file that Google issued. Absolute. */
  readonly keyFile?: string
  /** `service_account`: the claim of the session's ID token whose value is impersonated. */
  readonly subjectClaim?: string
}

/** An access token that was issued for one ask. */
export interface AccessToken {
  readonly key: TokenKey
  readonly token: Secret<'access-token'>
  readonly issuedAt: Instant
  readonly expiresAt: Instant
  readonly scopes: readonly string[]
  /** What the token says it stands for, where it can be read; checked once, when it was issued. Absent: it does not say, or was stored before 0.2. */
  readonly standsFor?: TokenPrincipal
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
  | {
      readonly kind: 'refused'
      readonly reason: Refusal
      readonly providerCode: string
      /** When the request went out; the broker notes it. */
      readonly askedAt?: Instant
    }
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
   * `cause` is a network code or one of ours: `throttled` (429) and `overloaded` (503 that says so) speak for the whole provider, which the broker
   * then leaves alone.
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
        /** The token of a bearer caller was not taken as an assertion: expired, revoked, or its user is gone. */
        | 'token.assertion-rejected'
        /** The token stands for somebody else than the route calls for: a user's on an application's, or the other way round. */
        | 'token.principal-mismatch'
        /** The file with the route's API key holds none. */
        | 'token.key-absent'
        | 'token.invalid'
    }
  | { readonly kind: 'unavailable'; readonly code: 'provider.unavailable' | 'store.unavailable'; readonly retryAfter: Millis }
