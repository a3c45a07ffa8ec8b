import type { ProfileName, ProviderProfile } from '../profile.ts'
import { auth0 } from './auth0.ts'
import { entra } from './entra.ts'
import { generic } from './generic.ts'
import { google } from './google.ts'
import { keycloak } from './keycloak.ts'
import { okta } from './okta.ts'

export const PROFILES: Readonly<Record<ProfileName, ProviderProfile>> = { generic, keycloak, entra, okta, auth0, google }
/** By whose words an answer to a service account's assertion is read: they are of one provider, wherever users sign in. */
export const SERVICE_ACCOUNTS: ProviderProfile = google
export const PROFILE_NAMES = ['generic', 'keycloak', 'entra', 'okta', 'auth0', 'google'] as const satisfies readonly ProfileName[]
