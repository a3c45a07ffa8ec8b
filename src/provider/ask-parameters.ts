import type { ProviderProfile } from '../domain/provider.ts'
import type { Ask } from '../domain/token.ts'
import { applicationScopes, codeScopes, refreshScopes } from './scopes.ts'
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

/** How the profile names the audience of a token request (RFC 8707 §2.2, or Auth0's parameter); scopes are another matter. */
const parameters = (ask: Ask | undefined, profile: ProviderProfile, scopes: readonly string[] | undefined): URLSearchParams => {
  const put = new URLSearchParams()
  if (ask?.audience !== undefined && profile.target !== 'scope') put.set(profile.target, ask.audience)
  if (scopes && scopes.length > 0) put.set('scope', scopes.join(' '))
  return put
}
