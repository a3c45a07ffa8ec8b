import type { ProviderProfile } from '../domain/provider.ts'
import type { Ask } from '../domain/token.ts'
import { applicationScopes, assertionScopes, codeScopes, exchangeScopes, refreshScopes } from './scopes.ts'
import type { ScopeRules } from './scopes.ts'

/** RFC 6749 §4.1.3: what the code of a sign-in is redeemed for. */
export const codeParameters = (ask: Ask | undefined, rules: ScopeRules): URLSearchParams =>
  parameters(ask, rules.profile, codeScopes(ask, rules))

/** RFC 6749 §6. @param granted at the sign-in: a refresh may narrow, never widen */
export const refreshParameters = (ask: Ask, granted: readonly string[], rules: ScopeRules): URLSearchParams =>
  parameters(ask, rules.profile, refreshScopes(ask, granted, rules))

/** RFC 6749 §4.4. */
export const applicationParameters = (ask: Ask, profile: ProviderProfile): URLSearchParams =>
  parameters(ask, profile, applicationScopes(ask, profile))

/**
 * RFC 8693 §2.1: `resource` is an absolute URI, `audience` a name that provider and client know. Where scopes say it all in a refresh, an exchange still
 * names its audience: it is what exchanges are for.
 */
export const exchangeParameters = (ask: Ask, profile: ProviderProfile): URLSearchParams => {
  const byUri = profile.target === 'resource' && ask.audience !== undefined && URL.canParse(ask.audience)
  return parameters(ask, { ...profile, target: byUri ? 'resource' : 'audience' }, exchangeScopes(ask))
}

/** RFC 7523 §2.1 as Entra takes it: one resource, in the scopes. */
export const onBehalfOfParameters = (ask: Ask, profile: ProviderProfile): URLSearchParams =>
  parameters(ask, profile, assertionScopes(ask, profile))

/** How the profile names the audience of a token request (RFC 8707 §2.2, or Auth0's parameter); scopes are another matter. */
const parameters = (ask: Ask | undefined, profile: ProviderProfile, scopes: readonly string[] | undefined): URLSearchParams => {
  const put = new URLSearchParams()
  if (ask?.audience !== undefined && profile.target !== 'scope') put.set(profile.target, ask.audience)
  if (scopes && scopes.length > 0) put.set('scope', scopes.join(' '))
  return put
}
