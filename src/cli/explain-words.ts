import type { ProviderProfile } from '../domain/provider.ts'
import type { RouteToken } from '../domain/route.ts'

/** The sentences of `explain` and of docs/policy.md: one place, so that they cannot disagree. */

type Principal = RouteToken['principal']

/** What stands in the upstream's own audit log about a call of this route. */
export const upstreamSees = (principal: Principal, clientId: string): string =>
  ({ user: `the signed-in user (sub), client ${clientId}`, app: `the application ${clientId}, no user`, none: 'nobody' })[principal]

export const GRANT_WORDS: Readonly<Record<Principal, string>> = {
  user: 'a token of the signed-in user, by the refresh token of the sign-in',
  app: 'a token of the application itself, apart from any session',
  none: 'no token is attached',
}

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
