import type { Credential } from './credential.ts'
import type { Millis } from '../kernel/time.ts'
import type { Refusal } from './token.ts'

export type ProfileName = 'generic' | 'keycloak' | 'entra' | 'okta' | 'auth0' | 'google'

/**
 * How providers differ, as data; chosen by `provider.profile`, never guessed from answers. Nothing outside src/domain/profiles knows one provider from
 * another: what some code has to do differently for one has a member here that says what, not for whom.
 */
export interface ProviderProfile {
  readonly name: ProfileName
  /** How an ask is put at the token endpoint: RFC 8707 `resource`, an `audience` parameter, or nothing but scopes. */
  readonly target: 'resource' | 'audience' | 'scope'
  /** `scope` values are `<audience>/<scope>`, and every request names exactly one audience. */
  readonly scopesCarryAudience: boolean
  /** How many audiences tokens may be for: `one` (an authorization server is one), or none that anybody could check. */
  readonly audiences: 'many' | 'one' | 'none'
  /**
   * What spending a refresh token does to it. `none`: it stays valid (no lease, no mark). `tolerant`: rotated, a second use is forgiven. `grace`: for
   * `rotationGraceMs` only. `strict`: rotated, a second use looks like theft and ends the family.
   */
  readonly rotation: 'none' | 'tolerant' | 'grace' | 'strict'
  /** Of `grace`; 0 otherwise. */
  readonly rotationGraceMs: Millis
  /** What `token.grant: auto` comes to, by who calls and as whom. undefined: there is no such way at this provider. */
  readonly grants: {
    /** A session, `principal: user`. */
    readonly user: 'refresh' | 'exchange'
    /** A caller that brings an access token of a user. */
    readonly bearer: 'on_behalf_of' | 'exchange' | undefined
    /** `principal: app`. */
    readonly app: 'client_credentials' | undefined
  }
  /** By which grants the provider makes one access token from another; a route that names any other is refused. */
  readonly derivations: readonly ('exchange' | 'on_behalf_of')[]
  /** What the end_session_endpoint needs to do without a question to the user. */
  readonly logoutHint: 'client-id' | 'id-token'
  readonly issuer: IssuerFacts
  readonly assertion: AssertionFacts
  readonly credential: CredentialFacts
  readonly login: LoginFacts
  readonly logout: LogoutFacts
  readonly claims: ClaimFacts
  readonly accessToken: AccessTokenFacts
  readonly callers: CallerFacts
  /** Over the table that all providers share (provider/token-outcome.ts), the first that fits. */
  readonly errors: readonly ErrorRule[]
}

export interface IssuerFacts {
  /**
   * `exact`: one issuer, byte for byte. `tenant`: `https://HOST/{tenantid}/v2.0`; asked by a domain it names the tenant by its id, asked by one of
   * `aliases` it announces the form itself, and each ID token fills it with its own tenant (docs/decisions/0026).
   */
  readonly form: 'exact' | 'tenant'
  /** Instead of `provider.issuer`. */
  readonly fixed: string | undefined
  /** `provider.cloud` → host of the issuer. */
  readonly hosts: Readonly<Record<string, string>>
  /** Words in the tenant's place that stand for several; then `provider.tenants` says which. */
  readonly aliases: readonly string[]
}

/** RFC 7523 §3, as the provider wants it. Always one audience, as a string (CVE-2025-27370). */
export interface AssertionFacts {
  readonly audience: 'issuer' | 'token-endpoint'
  /** How the header names the key of a certificate; `kid`: by its public key (kernel/key-id.ts), as it is published. */
  readonly key: 'kid' | 'x5t#S256' | 'x5t' | 'x5c'
  readonly type: 'JWT' | 'client-authentication+jwt'
  readonly lifetimeSeconds: number
  /** What an RSA key of a certificate signs with. */
  readonly rsa: 'PS256' | 'RS256'
}

/** How the provider shows that it takes a credential of ours (spec §6). */
export interface CredentialFacts {
  /**
   * The cheapest honest request that it answers differently to a client that has proven itself: client credentials for next to nothing, or a refresh
   * token that nobody ever issued. `none`: there is no such request.
   */
  readonly probe: 'client-credentials' | 'refresh-token' | 'none'
  /** Of client credentials; `{client_id}` stands for ours. */
  readonly probeScope: string | undefined
  /** `error_codes` that say nothing of the credential: with any other one the answer would be the same. */
  readonly hopeless: readonly number[]
  /** Where operators register each kind, in the words of the provider's own pages; what they do on the way from one to the next is the same everywhere. */
  readonly registeredAt: Readonly<Record<Credential['kind'], string>>
}

export interface LoginFacts {
  /** `provider.scopes` unless set. */
  readonly scopes: readonly string[]
  /** With one of these a sign-in begins a session that sign-outs at the provider do not reach. */
  readonly detachingScopes: readonly string[]
  /** Beside our own parameters of the authorization request; the extras of /bff/login win over them. */
  readonly parameters: Readonly<Record<string, string>>
  /** Of `provider.scopes`, those the provider does not know and would refuse the sign-in for. */
  readonly withheldScopes: readonly string[]
  /** Whether a refresh may narrow by `scope`; `none`: one token carries all that was granted. */
  readonly refreshScope: 'narrow' | 'none'
  /** The answer says which scopes were granted, and people may take single ones away: an ask whose scopes are not among them is not served. */
  readonly grantsSingleScopes: boolean
  /** It takes S256 and does not announce it (RFC 8414 §2): nothing to warn of. */
  readonly pkceUnannounced: boolean
  /** How the description of an `access_denied` begins that nobody but the provider decided: the user did not cancel. */
  readonly refusals: readonly string[]
  /** What a scope is called in the answer, where that differs. */
  readonly scopeNames: Readonly<Record<string, string>>
}

export interface LogoutFacts {
  /** The claim that `logout_hint` repeats, so that nobody is asked which account to sign out. */
  readonly hintClaim: string | undefined
  /** A front-channel notice has no `iss` (it has `sid` alone). */
  readonly frontchannelWithoutIssuer: boolean
  /** `provider.logout.frontchannel` unless set. */
  readonly frontchannelByDefault: boolean
}

export interface ClaimFacts {
  /** What names a user for good, together: for upstreams and audit. `sub` may be another at each client. */
  readonly user: readonly string[]
  /** Which organisation a user belongs to; undefined: the provider knows of none. */
  readonly tenant: string | undefined
  /** What `provider.tenants` lists. */
  readonly tenantForm: 'guid' | 'domain' | 'word'
  /** What a sign-out at the provider names the session by, in this order: a claim, or a parameter of the callback. */
  readonly providerSession: readonly ('sid' | 'session_state')[]
  /** Claim paths that lead to role names; `{client_id}` stands for ours. */
  readonly roles: readonly (readonly string[])[]
  /** Too many groups to list can be asked for at the directory, with a token of the user's. */
  readonly directory: DirectoryFacts | undefined
}

/** Where group memberships can be asked for. */
export interface DirectoryFacts {
  /** Member of the discovery document that names the host. */
  readonly hostMember: string
  /** With its query; answers `value`, a list of objects with an `id`, and `@odata.nextLink` where there is more. */
  readonly path: string
  /** Of a token for it, which is asked for by refresh. */
  readonly scope: string
}

export interface AccessTokenFacts {
  /** The `aud` may be another name of the same API than it was asked by. */
  readonly audienceMayBeRenamed: boolean
  /** A token for an audience is always a JWT: one that is none was issued for something else. */
  readonly alwaysReadable: boolean
  /** A claim that only tokens of users have. */
  readonly userClaim: string | undefined
}

/** How access tokens that others bring tell what they are and whom they stand for (RFC 9068 §2.2). */
export interface CallerFacts {
  /** They say `typ: at+jwt`; otherwise `JWT` and no type at all are taken as well. */
  readonly typed: boolean
  /** Claims that only tokens of users have. */
  readonly userClaims: readonly string[]
  /**
   * What shows an application by itself where `sub` is not its client id: all of one entry. `{client}` stands for its client id, `{sub}` for the subject,
   * `*` for any text. Never a name that people may choose.
   */
  readonly application: readonly Readonly<Record<string, string>>[]
}

/** All that is given must fit. */
export interface ErrorRule {
  readonly error?: string
  /** Of the member `suberror`, or `error_subtype`; `any`: there is one. */
  readonly suberrors?: readonly string[] | 'any'
  /** One of `error_codes`. */
  readonly numbers?: readonly number[]
  /** There is a `claims` member, or there is none. */
  readonly claims?: boolean
  /** Only where nothing else tells; a text that was changed must make the answer milder, never end a session. */
  readonly description?: RegExp
  readonly means: ErrorMeaning
}

/** `grant`: what RFC 6749 §5.2 means by `invalid_grant`. `later`: a refusal to work now. */
export type ErrorMeaning = Exclude<Refusal, 'grant-rejected'> | 'grant' | 'later'
