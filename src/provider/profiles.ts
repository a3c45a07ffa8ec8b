import type { ProviderProfile } from '../domain/provider.ts'

/** What the settings may override: a realm that revokes refresh tokens, a provider with Auth0's `audience`. */
export interface ProfileOverrides {
  readonly target?: ProviderProfile['target'] | undefined
  readonly rotation?: ProviderProfile['rotation'] | undefined
}

const PROFILES: Readonly<Record<ProviderProfile['name'], ProviderProfile>> = {
  generic: { name: 'generic', target: 'resource', rotation: 'strict', logoutHint: 'client-id' },
  // Without id_token_hint Keycloak asks the user whether to sign out.
  keycloak: { name: 'keycloak', target: 'scope', rotation: 'strict', logoutHint: 'id-token' },
  // A used refresh token stays valid, no reuse detection; `resource` is refused (AADSTS901002).
  entra: { name: 'entra', target: 'scope', rotation: 'none', logoutHint: 'client-id' },
}

export const profileOf = (name: ProviderProfile['name'], overrides: ProfileOverrides = {}): ProviderProfile => ({
  ...PROFILES[name],
  ...(overrides.target && { target: overrides.target }),
  ...(overrides.rotation && { rotation: overrides.rotation }),
})

/** What only this room knows of a profile. */
export interface ProfileTraits {
  /** RFC 7523bis wants the issuer; Entra documents its token endpoint. Always one string (CVE-2025-27370). */
  readonly assertionAudience: 'issuer' | 'token-endpoint'
  /** How the assertion names its key. */
  readonly assertionKey: 'kid' | 'x5t#S256'
  /** `scope` values are `<audience>/<scope>`, and every request names exactly one audience (AADSTS90009, AADSTS28000). */
  readonly scopesCarryAudience: boolean
  /** Entra writes the GUID of an API into `aud` whatever name it was asked by. */
  readonly audienceMayBeRenamed: boolean
}

export const traitsOf = (profile: ProviderProfile): ProfileTraits =>
  profile.name === 'entra'
    ? { assertionAudience: 'token-endpoint', assertionKey: 'x5t#S256', scopesCarryAudience: true, audienceMayBeRenamed: true }
    : { assertionAudience: 'issuer', assertionKey: 'kid', scopesCarryAudience: false, audienceMayBeRenamed: false }

const GUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
export const isGuid = (value: string): boolean => GUID.test(value)

const DOMAIN = /^[a-z0-9-]+(?:\.[a-z0-9-]+)+$/i
const ENTRA_ISSUER = /^https:\/\/login\.microsoftonline\.com\/([^/]+)\/v2\.0$/

/**
 * RFC 8414 §3.3: byte for byte, or somebody else's endpoints would be used under this name. The one exception: Entra, asked by a tenant's domain, names
 * the tenant by its GUID; host and form are still fixed, and the GUID is what sessions and ID tokens are held to from then on.
 */
export const isIssuerOf = (configured: string, announced: string | undefined): announced is string => {
  if (announced === configured) return true
  const domain = ENTRA_ISSUER.exec(configured)?.[1] ?? ''
  return DOMAIN.test(domain) && isGuid(ENTRA_ISSUER.exec(announced ?? '')?.[1] ?? '')
}
