import { PROFILES } from '../domain/profiles/profiles.ts'
import type { ProviderProfile } from '../domain/provider.ts'

/** What the settings may override: a realm that revokes refresh tokens, a provider with Auth0's `audience`. */
export interface ProfileOverrides {
  readonly target?: ProviderProfile['target'] | undefined
  readonly rotation?: ProviderProfile['rotation'] | undefined
}

export const profileOf = (name: ProviderProfile['name'], overrides: ProfileOverrides = {}): ProviderProfile => ({
  ...PROFILES[name],
  ...(overrides.target && { target: overrides.target }),
  ...(overrides.rotation && { rotation: overrides.rotation }),
})

/** What only this room knows of a profile. */
export interface ProfileTraits {
  readonly assertionAudience: ProviderProfile['assertion']['audience']
  readonly assertionKey: ProviderProfile['assertion']['key']
  readonly scopesCarryAudience: boolean
  readonly audienceMayBeRenamed: boolean
}

export const traitsOf = ({ assertion, scopesCarryAudience, accessToken }: ProviderProfile): ProfileTraits => ({
  assertionAudience: assertion.audience,
  assertionKey: assertion.key,
  scopesCarryAudience,
  audienceMayBeRenamed: accessToken.audienceMayBeRenamed,
})

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
