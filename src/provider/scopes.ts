import type { ProviderProfile } from '../domain/provider.ts'
import type { Ask } from '../domain/token.ts'

const IDENTITY = ['openid', 'profile', 'offline_access']

export interface ScopeRules {
  readonly profile: ProviderProfile
  /** `provider.scopes` of the settings. */
  readonly loginScopes: readonly string[]
  /** The asks of all user routes. */
  readonly userAsks: readonly Ask[]
}

/** Those of the settings that the provider knows. */
export const knownScopes = (scopes: readonly string[], { login }: Pick<ProviderProfile, 'login'>): readonly string[] =>
  scopes.filter((scope) => !login.withheldScopes.includes(scope))

/** Scopes of the ask that the answer leaves out, where people may take single ones away. An answer that lists none grants what was asked (RFC 6749 §5.1). */
export const withheld = (told: readonly string[] | undefined, ask: Ask, { login }: Pick<ProviderProfile, 'login'>): readonly string[] =>
  !login.grantsSingleScopes || !told
    ? []
    : ask.scopes.filter((scope) => !told.includes(scope) && !told.includes(login.scopeNames[scope] ?? scope))

const distinct = (scopes: Iterable<string>): readonly string[] => [...new Set(scopes)]

/** `orders.read` of `api://orders` is `api://orders/orders.read` at Entra, and `api://orders/.default` stands for whatever was consented to. */
const namedScopes = (ask: Ask): readonly string[] => {
  const { audience } = ask
  if (audience === undefined) return ask.scopes
  if (ask.scopes.length === 0) return [`${audience}/.default`]
  return ask.scopes.map((scope) => (scope.includes('/') ? scope : `${audience}/${scope}`))
}

/** The authorization request may name several audiences at once, unlike a token request. @param asked by the flow: login scopes and those of user routes */
export const authorizationScopes = (asked: readonly string[], ask: Ask | undefined, rules: ScopeRules): readonly string[] => {
  if (!rules.profile.scopesCarryAudience) return distinct(['openid', ...knownScopes(asked, rules.profile), ...(ask?.scopes ?? [])])
  const asks = ask ? [...rules.userAsks, ask] : rules.userAsks
  // A bare `orders.read` would mean Microsoft Graph: those that belong to an ask appear under its audience only.
  const owned = new Set(asks.filter((one) => one.audience !== undefined).flatMap((one) => one.scopes))
  const own = asked.filter((scope) => rules.loginScopes.includes(scope) || !owned.has(scope))
  return distinct(['openid', ...own, ...oneDefault(asks.flatMap(namedScopes))])
}

/** Entra refuses `.default` beside other resources' scopes (AADSTS70011): the ask that wants it gets it on first use. */
const oneDefault = (scopes: readonly string[]): readonly string[] => {
  const named = scopes.filter((scope) => !scope.endsWith('/.default'))
  return named.length > 0 ? named : scopes.slice(0, 1)
}

/** RFC 6749 §4.1.3 knows no scope here; Entra wants it always. undefined: send none. */
export const codeScopes = (ask: Ask | undefined, rules: ScopeRules): readonly string[] | undefined => {
  if (!rules.profile.scopesCarryAudience) return undefined
  return distinct([...(ask ? namedScopes(ask) : []), ...IDENTITY])
}

/** RFC 6749 §6: only what was granted; `openid` was, or there would be no ID token. undefined: all that was granted. */
export const refreshScopes = (ask: Ask, granted: readonly string[], rules: ScopeRules): readonly string[] | undefined => {
  if (rules.profile.scopesCarryAudience) return distinct([...namedScopes(ask), ...IDENTITY])
  if (ask.scopes.length === 0 || rules.profile.login.refreshScope === 'none') return undefined
  const identity = rules.loginScopes.filter((scope) => scope !== 'offline_access' && granted.includes(scope))
  return distinct(['openid', ...identity, ...ask.scopes])
}

export const applicationScopes = (ask: Ask, profile: ProviderProfile): readonly string[] => {
  if (!profile.scopesCarryAudience) return ask.scopes
  return ask.audience === undefined ? ask.scopes : [`${ask.audience}/.default`] // AADSTS1002012
}

/** Of an access token alone: no identity scopes, no refresh token. */
export const exchangeScopes = (ask: Ask): readonly string[] => ask.scopes
export const assertionScopes = (ask: Ask, profile: ProviderProfile): readonly string[] =>
  profile.scopesCarryAudience ? namedScopes(ask) : ask.scopes

/**
 * What the session may claim to have been granted. Where an answer lists only the scopes of one resource, the identity scopes it leaves out were
 * granted nevertheless: RFC 6749 §5.1 speaks of the access token.
 */
export const grantedScopes = (
  told: readonly string[] | undefined,
  asked: readonly string[],
  loginScopes: readonly string[],
): readonly string[] => {
  const granted = told === undefined ? asked : told.includes('openid') ? told : [...told, ...loginScopes]
  return distinct(granted).toSorted()
}
