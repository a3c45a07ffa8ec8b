import type { ProviderProfile } from '../domain/provider.ts'
import type { RouteToken } from '../domain/route.ts'
import type { GrantName } from '../domain/token.ts'
import { assertNever } from '../kernel/assert.ts'

/** The sentences of `explain` and of docs/policy.md: one place, so that they cannot disagree. */

type Principal = RouteToken['principal']

/** What stands in the upstream's own audit log about a call of this route. */
export const upstreamSees = (principal: Principal, clientId: string, grant?: GrantName, isActing = false): string => {
  switch (grant) {
    case 'exchange':
      return isActing ? `the user (sub), acted for by the application ${clientId} (act)` : `the user (sub), client ${clientId}`
    case 'on_behalf_of':
      return `the user (sub), client ${clientId}`
    case 'service_account':
      return 'the user that the session’s claim names; that a service account acts for them stands in the provider’s audit log only'
    case 'static':
      return 'whoever the key belongs to, no user'
    case 'pass_through':
      return 'the caller’s user (sub), and the caller’s own client'
    case 'refresh':
    case 'client_credentials':
    case undefined:
      return { user: `the signed-in user (sub), client ${clientId}`, app: `the application ${clientId}, no user`, none: 'nobody' }[
        principal
      ]
    default:
      return assertNever(grant)
  }
}

/** What a grant yields, and from what. */
export const GRANT_WORDS: Readonly<Record<GrantName | 'none', string>> = {
  refresh: 'a token of the signed-in user, by the refresh token of the sign-in',
  exchange: 'a token of the user, by token exchange (RFC 8693) of an access token of theirs',
  on_behalf_of: 'a token of the user, on behalf of an access token of theirs (RFC 7523)',
  client_credentials: 'a token of the application itself, apart from any session',
  service_account: 'a token of the signed-in user, by a service account that may act for its whole domain',
  static: 'an API key from a file; no provider is asked',
  pass_through: 'the caller’s own token, unchanged, and only where it is meant for this audience',
  none: 'no token is attached',
}

/** `grant_type` of the token request; null: none is made. */
export const GRANT_TYPES = {
  refresh: 'refresh_token',
  exchange: 'urn:ietf:params:oauth:grant-type:token-exchange',
  on_behalf_of: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
  client_credentials: 'client_credentials',
  service_account: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
  static: null,
  pass_through: null,
} as const satisfies Readonly<Record<GrantName, string | null>>

/** How a profile names an audience, as a note beside the parameters themselves. */
export const audienceNote = (profile: ProviderProfile): string => {
  switch (profile.target) {
    case 'resource':
      return 'the audience is named by `resource` (RFC 8707)'
    case 'audience':
      return 'the audience is named by the parameter `audience`'
    case 'scope':
      if (profile.scopesCarryAudience) return 'the audience stands in front of each scope'
      return {
        many: 'no parameter names the audience: a mapper of one of the scopes must add it to the token',
        one: 'no parameter names the audience: the authorization server, which is the issuer, is for one audience',
        none: 'tokens are for the provider’s own APIs: the scopes say it all, and one token carries all that were granted',
      }[profile.audiences]
  }
}

/** What becomes of `Authorization` on the way to the upstream. The browser's own never passes. */
export const AUTHORIZATION_WORDS: Readonly<Record<Principal, string>> = {
  user: 'the browser’s is removed; the user’s access token for this audience is attached',
  app: 'the browser’s is removed; the application’s access token for this audience is attached',
  none: 'removed; none is attached',
}

/** An API key may travel in a header of its own. */
export const keyWords = (header: string): string => `the browser’s is removed; the API key goes into \`${header}\``

export const PASSING = {
  all: 'all end-to-end headers pass but those removed (docs/policy.md lists them)',
  only: 'only those listed pass, and what frames the body',
} as const

export const CONNECTION_WORDS = 'what `Connection` names, and names outside `a-z 0-9 -`'

/** @param isForSession the route's answers are made for one session */
export const cacheWords = (isForSession: boolean): string =>
  isForSession
    ? '`no-store` where the upstream says nothing, else never `public`: no shared cache may keep it'
    : 'as the upstream says: the answer is everybody’s'

export const CORS_WORDS = 'the upstream’s CORS headers are dropped'
export const LOCATION_WORDS = 'the upstream’s own address becomes the route’s path'

export const csrfWords = (isGuarded: boolean): string =>
  isGuarded
    ? 'required: only pages of our own origin may call, others are answered 403'
    : 'none: nothing that the cookie authorises can be reached here'
