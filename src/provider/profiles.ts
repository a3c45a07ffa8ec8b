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
