import { buildAuthorizationUrl, buildEndSessionUrl, calculatePKCECodeChallenge } from 'openid-client'
import type { Provider, ProviderProfile } from '../domain/provider.ts'
import type { Ask } from '../domain/token.ts'
import { Secret } from '../kernel/secret.ts'
import { offlineConfiguration } from './call.ts'
import type { Metadata } from './discovery.ts'
import { stringOf } from './json.ts'
import { authorizationScopes } from './scopes.ts'
import type { ScopeRules } from './scopes.ts'

export interface ClientFacts {
  readonly clientId: string
  readonly profile: ProviderProfile
  /** Who may sign in; in lower case. undefined: whoever the issuer admits. */
  readonly tenants: readonly string[] | undefined
  /** Where the client is registered; matters where the issuer is of several. */
  readonly homeTenant: string | undefined
  readonly redirectUri: URL
  readonly postLogoutRedirectUri: URL
  readonly scopes: ScopeRules
}

export type AuthorizationRequest = Parameters<Provider['authorizationUrl']>[0]

/** RFC 6749 §4.1.1 with RFC 7636 S256 always, whatever the metadata says. Extras cannot replace a parameter of ours. */
export const authorizationParameters = async (client: ClientFacts, request: AuthorizationRequest): Promise<URLSearchParams> => {
  const parameters = new URLSearchParams({ ...client.profile.login.parameters, ...request.extras })
  const own = {
    client_id: client.clientId,
    response_type: 'code',
    redirect_uri: client.redirectUri.href,
    scope: authorizationScopes(request.scopes, request.ask, client.scopes).join(' '),
    state: request.state.reveal(),
    nonce: request.nonce.reveal(),
    code_challenge: await calculatePKCECodeChallenge(request.verifier.reveal()),
    code_challenge_method: 'S256',
  }
  for (const [name, value] of Object.entries(own)) parameters.set(name, value)
  for (const name of REFUSED_EXTRAS) parameters.delete(name)
  for (const audience of audiences(request.ask, client)) parameters.append(client.profile.target, audience)
  return parameters
}

/** @param parameters the whole request, or the `request_uri` that stands for it */
export const authorizationUrl = (metadata: Metadata, client: ClientFacts, parameters: URLSearchParams): string =>
  buildAuthorizationUrl(offlineConfiguration(metadata, client.clientId), parameters).href

/** Would change what is asked, or how the answer comes back. */
const REFUSED_EXTRAS = ['request', 'request_uri', 'response_mode', 'resource', 'audience', 'registration'] as const

/** RFC 8707 §2.1: all audiences are named now, or a refresh for the second one is refused as not granted. An `audience` parameter takes one. */
const audiences = (ask: Ask | undefined, { profile, scopes }: ClientFacts): readonly string[] => {
  const named = [ask, ...scopes.userAsks].flatMap((one) => (one?.audience === undefined ? [] : [one.audience]))
  if (profile.target === 'scope') return []
  return profile.target === 'resource' ? [...new Set(named)] : named.slice(0, 1)
}

/** RP-Initiated Logout 1.0 §2. */
export const endSessionUrl = (
  metadata: Metadata,
  client: ClientFacts,
  hint: Parameters<Provider['endSessionUrl']>[0],
): Secret<'logout-url'> | undefined => {
  if (!metadata.endSessionEndpoint) return undefined
  const parameters = new URLSearchParams({ post_logout_redirect_uri: client.postLogoutRedirectUri.href, state: hint.state })
  if (client.profile.logoutHint === 'id-token' && hint.idToken) parameters.set('id_token_hint', hint.idToken.reveal())
  const { hintClaim } = client.profile.logout
  const account = hintClaim === undefined || !hint.claims ? undefined : stringOf(hint.claims, hintClaim)
  if (account !== undefined) parameters.set('logout_hint', account)
  return Secret.of('logout-url', buildEndSessionUrl(offlineConfiguration(metadata, client.clientId), parameters).href)
}
