import type { JWK } from 'jose'

/** Seconds unless told; the defaults are those of a fresh realm. Tests may change them while the emulator runs. */
export interface RealmSettings {
  name: string
  accessTokenLifespan: number
  /** SSO Session Idle: each refresh starts it anew. */
  ssoSessionIdle: number
  ssoSessionMax: number
  /** Keycloak counts a session as alive this much longer than it says, for clusters that hear of a refresh late. */
  idleWindow: number
  offlineSessionIdle: number
  /** undefined: "Offline Session Max Limited" is off. */
  offlineSessionMax: number | undefined
  accessCodeLifespan: number
  /** "Revoke Refresh Token": each is good for one use more than `refreshTokenMaxReuse`. */
  revokeRefreshToken: boolean
  refreshTokenMaxReuse: number
  /** Level of authentication by name (`acr.loa.map`). */
  acrLoaMap: Readonly<Record<string, number>>
  notBefore: number
}

export const REALM_DEFAULTS: RealmSettings = {
  name: 'shop',
  accessTokenLifespan: 300,
  ssoSessionIdle: 1800,
  ssoSessionMax: 36_000,
  idleWindow: 120,
  offlineSessionIdle: 2_592_000,
  offlineSessionMax: undefined,
  accessCodeLifespan: 60,
  revokeRefreshToken: false,
  refreshTokenMaxReuse: 0,
  acrLoaMap: {},
  notBefore: 0,
}

export type SignatureAlgorithm = 'RS256' | 'PS256' | 'ES256' | 'EdDSA'

/** The attributes of a client in the admin console, by shorter names. */
export interface ClientSettings {
  readonly clientId: string
  enabled: boolean
  /** `bearer-only`: an API; it never logs in, it is an audience. */
  authenticator: 'client-secret' | 'client-jwt' | 'public' | 'bearer-only'
  secret: string | undefined
  /** The one before, still good after a secret rotation. */
  rotatedSecret: string | undefined
  /** `jwt.credential.certificate`: PEM; a second one is not possible, as in Keycloak. */
  certificate: string | undefined
  /** `use.jwks.url` and `jwks.url`. */
  jwksUrl: string | undefined
  /** `jwks.string`. */
  jwks: readonly JWK[] | undefined
  /** `token.endpoint.auth.signing.alg`; undefined: any. */
  assertionAlgorithm: string | undefined
  /** `token.endpoint.auth.signing.max.exp`. */
  assertionMaxAge: number
  redirectUris: readonly string[]
  /** `+`: those of `redirectUris`. */
  postLogoutRedirectUris: readonly string[]
  /** `pkce.code.challenge.method`; undefined: as the request likes. */
  pkce: 'S256' | undefined
  standardFlow: boolean
  serviceAccount: boolean
  /** `standard.token.exchange.enabled`. */
  tokenExchange: boolean
  /** `standard.token.exchange.enableRefreshRequestedTokenType`: SAME_SESSION. */
  tokenExchangeRefresh: boolean
  consentRequired: boolean
  /** `access.token.header.type.rfc9068`. */
  rfc9068: boolean
  /** Roles of every client the user has, as `aud` of the tokens ("audience resolve"). */
  fullScope: boolean
  optionalScopes: readonly string[]
  /** `id.token.signed.response.alg`, also of logout tokens. */
  idTokenAlgorithm: SignatureAlgorithm
  accessTokenLifespan: number | undefined
  backchannelLogoutUrl: string | undefined
  /** `backchannel.logout.session.required`: `sid` in the logout token. */
  backchannelSessionRequired: boolean
  /** `backchannel.logout.revoke.offline.tokens`. */
  backchannelRevokeOffline: boolean
  /** With one, the client gets no back-channel logout. */
  frontchannelLogoutUrl: string | undefined
  /** In place of the realm's. */
  acrLoaMap: Readonly<Record<string, number>> | undefined
  notBefore: number
}

export type ClientOptions = Partial<ClientSettings> & { readonly clientId: string }

export const clientOf = (options: ClientOptions): ClientSettings => ({
  enabled: true,
  authenticator: 'client-secret',
  secret: undefined,
  rotatedSecret: undefined,
  certificate: undefined,
  jwksUrl: undefined,
  jwks: undefined,
  assertionAlgorithm: undefined,
  assertionMaxAge: 60,
  redirectUris: [],
  postLogoutRedirectUris: ['+'],
  pkce: undefined,
  standardFlow: true,
  serviceAccount: false,
  tokenExchange: false,
  tokenExchangeRefresh: false,
  consentRequired: false,
  rfc9068: false,
  fullScope: true,
  optionalScopes: [],
  idTokenAlgorithm: 'RS256',
  accessTokenLifespan: undefined,
  backchannelLogoutUrl: undefined,
  backchannelSessionRequired: true,
  backchannelRevokeOffline: false,
  frontchannelLogoutUrl: undefined,
  acrLoaMap: undefined,
  notBefore: 0,
  ...options,
})

export interface UserSettings {
  /** `sub`. */
  readonly id: string
  readonly username: string
  name: string
  email: string
  password: string
  enabled: boolean
  realmRoles: readonly string[]
  /** Client → roles there. */
  clientRoles: Readonly<Record<string, readonly string[]>>
  /** The highest level of authentication this user has the means for. */
  loaMax: number
  notBefore: number
  /** Client → scopes consented to. */
  readonly consents: Map<string, Set<string>>
}

/** A client scope: optional at the clients that list it. */
export interface ClientScope {
  readonly name: string
  /** Audience mappers: clients that get into `aud`. */
  readonly audiences: readonly string[]
}
