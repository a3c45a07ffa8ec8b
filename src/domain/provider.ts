import type { Secret } from '../kernel/secret.ts'
import type { Instant, Millis } from '../kernel/time.ts'
import type { ServiceAccountKey } from './key-file.ts'
import type { BearerRead } from './caller.ts'
import type { ProviderProfile } from './profile.ts'
import type { AccessToken, Ask, Claims, TokenAnswer } from './token.ts'

export type { ProviderProfile } from './profile.ts'

/** What must come back with the callback. */
export interface RedeemChecks {
  readonly state: Secret<'state'>
  readonly nonce: Secret<'nonce'>
  readonly verifier: Secret<'code-verifier'>
  readonly maxAgeSeconds: number | undefined
  readonly acrValues: readonly string[]
}

export interface SignedIn {
  readonly kind: 'signed-in'
  readonly issuer: string
  readonly subject: string
  readonly tenant: string | undefined
  readonly providerSessionId: string | undefined
  readonly authTime: Instant | undefined
  readonly issuedAt: Instant
  readonly claims: Claims
  /** Only when the profile needs it for logout. */
  readonly idToken: Secret<'id-token'> | undefined
  readonly refreshToken: Secret<'refresh-token'> | undefined
  readonly refreshEndsAt: Instant | undefined
  readonly scopes: readonly string[]
  /** The access token of the ask the code was redeemed for, if there was one and its audience checks out. */
  readonly access: AccessToken | undefined
}

export type Redeemed =
  | SignedIn
  /** The provider said no in the callback (`error=…`): cancelled by the user, or refused. Nothing was redeemed. */
  | { readonly kind: 'refused'; readonly cancelled: boolean; readonly providerCode: string }
  /** A check of ours failed; `check` is from a closed set (state, iss, nonce, signature, …). Tokens that came were dropped, a refresh token revoked. */
  | { readonly kind: 'invalid'; readonly check: string }
  /** A good sign-in, of an organisation that may not sign in here (`provider.tenants`). Tokens that came were dropped, a refresh token revoked. */
  | { readonly kind: 'tenant-refused'; readonly tenant: string | undefined }
  /** invalid_client and kin. */
  | { readonly kind: 'credential-rejected'; readonly providerCode: string }
  /** `unspent`: the code certainly was not; the same callback may be tried again. */
  | { readonly kind: 'unavailable'; readonly retryAfter: Millis; readonly cause: string; readonly unspent: boolean }

/** Where a login goes, or why it cannot start. */
export type Authorization =
  | { readonly kind: 'url'; readonly url: string }
  /** The pushed request was refused, for what it asks or for how it came: the registration or the settings are wrong, not the user. */
  | { readonly kind: 'refused'; readonly providerCode: string }
  | { readonly kind: 'credential-rejected'; readonly providerCode: string }
  | { readonly kind: 'unavailable'; readonly retryAfter: Millis; readonly cause: string }

/** What a logout token says (OpenID Connect Back-Channel Logout 1.0 §2.4), checked but for its replay. */
export type LogoutTokenRead =
  | {
      readonly kind: 'valid'
      readonly issuer: string
      /** At least one of these two. */
      readonly subject: string | undefined
      readonly providerSessionId: string | undefined
      /** `jti`: unique at this issuer. */
      readonly tokenId: string
      readonly issuedAt: Instant
    }
  /** `check` is from a closed set. */
  | { readonly kind: 'invalid'; readonly check: string }
  /** Its key could not be asked for: nothing is known of the token. */
  | { readonly kind: 'unavailable'; readonly retryAfter: Millis; readonly cause: string }

/** What a refreshed ID token must repeat (OpenID Connect Core 1.0 §12.2), and what may be asked for again. */
export interface KnownIdentity {
  readonly issuer: string
  readonly subject: string
  /** `auth_time` of the login; a later one on refresh is another sign-in. */
  readonly authTime?: Instant | undefined
  /** `Grant.scopes`: identity scopes among them are repeated where a refresh narrows, so that the new ID token keeps their claims. undefined: all of the login. */
  readonly scopes?: readonly string[] | undefined
}

/** One configured provider, behind the one door to openid-client and jose. Nothing of a library's error passes it, not even as a `cause`. */
export interface Provider {
  readonly name: string
  readonly profile: ProviderProfile
  /**
   * The authorization request: code flow, PKCE S256, `state`, `nonce`; scopes as asked. Discovery happens here if it did not before, and so does the
   * push of the request (RFC 9126) where it is pushed.
   */
  authorizationUrl(request: {
    readonly state: Secret<'state'>
    readonly nonce: Secret<'nonce'>
    readonly verifier: Secret<'code-verifier'>
    readonly scopes: readonly string[]
    /** The ask the code will be redeemed for. */
    readonly ask: Ask | undefined
    /** Allow-listed extras of /bff/login. */
    readonly extras: Readonly<Record<string, string>>
  }): Promise<Authorization>
  /** @param query of the callback URL, as it came */
  redeem(query: URLSearchParams, checks: RedeemChecks, ask: Ask | undefined): Promise<Redeemed>
  /** Ends within `requestTimeoutMs`, discovery and key fetches included. `idToken` of the answer: only when the profile needs it for logout. */
  refresh(refreshToken: Secret<'refresh-token'>, ask: Ask, known: KnownIdentity): Promise<TokenAnswer>
  /** Asks for something harmless, whether the provider is there at all. Before a step that could not be taken back. */
  answers(): Promise<boolean>
  /** RFC 6749 §4.4. */
  application(ask: Ask): Promise<TokenAnswer>
  /**
   * RFC 8693. `issued_token_type` and `token_type` are checked: an answer that is no bearer access token is a violation. A refusal of the subject token is
   * `grant-rejected`. A refresh token that comes along is dropped.
   */
  exchange(subject: Secret<'access-token'>, ask: Ask, actor: Secret<'access-token'> | undefined): Promise<TokenAnswer>
  /** RFC 7523 §2.1 with `requested_token_use=on_behalf_of`. */
  onBehalfOf(assertion: Secret<'access-token'>, ask: Ask): Promise<TokenAnswer>
  /** RFC 7523 §2.1 at the key's own token endpoint. @param subject from a claim of the verified session, never from a request */
  serviceAccount(key: ServiceAccountKey, subject: string, ask: Ask): Promise<TokenAnswer>
  /** RFC 7009, bounded, best effort. */
  revoke(token: Secret<'refresh-token'>): Promise<'revoked' | 'unsupported' | 'unavailable'>
  /** RP-Initiated Logout 1.0 §2; undefined when the provider has no end_session_endpoint or discovery is away. The URL may hold an id_token_hint. */
  endSessionUrl(hint: {
    readonly idToken: Secret<'id-token'> | undefined
    /** Of the session: for profiles that are told the account by a claim of theirs. */
    readonly claims?: Claims | undefined
    readonly state: string
  }): Promise<Secret<'logout-url'> | undefined>
  /** @param rules requireType: only `typ: logout+jwt` will do */
  readLogoutToken(token: Secret<'logout-token'>, rules: { readonly requireType: boolean }): Promise<LogoutTokenRead>
  /**
   * An access token that a caller brought (RFC 9068 §4), whole: signature, issuer, audience, time, type.
   * @param rules audiences: the gateway's own names as an API; requireType: only `typ: at+jwt` will do
   */
  readBearerToken(
    token: Secret<'access-token'>,
    rules: { readonly audiences: readonly string[]; readonly requireType: boolean },
  ): Promise<BearerRead>
  /** As sessions of today are indexed by; undefined while discovery is away and nothing is held, and where there are several. */
  issuer(): Promise<string | undefined>
  /** All that sessions of today are indexed by: one per tenant where the provider has several. undefined: they cannot be named now. */
  issuers(): Promise<readonly string[] | undefined>
  /** Who may frame the front-channel logout endpoint: origins of the provider's own pages, as far as known now. No I/O. */
  logoutOrigins(): readonly string[]
  /** The longest a token request may take, for the spending mark. */
  readonly requestTimeoutMs: Millis
}
