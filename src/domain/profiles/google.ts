import type { ProviderProfile } from '../profile.ts'
import { generic } from './generic.ts'

/** Google, consumer accounts and Workspace. Access tokens are for Google's own APIs, and nobody but Google can read them. */
export const google: ProviderProfile = {
  ...generic,
  name: 'google',
  target: 'scope',
  audiences: 'none',
  // Refresh tokens stay as they are.
  rotation: 'none',
  credential: {
    ...generic.credential,
    registeredAt: {
      ...generic.credential.registeredAt,
      secret: 'Google Auth Platform, Clients, this client: add a secret beside the one in use',
    },
  },
  // No exchange, no application by itself: a service account's key is `grant: service_account`.
  grants: { user: 'refresh', bearer: undefined, app: undefined },
  derivations: [],
  issuer: { ...generic.issuer, fixed: 'https://accounts.google.com' },
  login: {
    ...generic.login,
    // A refresh token comes with these two only; earlier grants stay in the token.
    parameters: { access_type: 'offline', prompt: 'consent', include_granted_scopes: 'true' },
    withheldScopes: ['offline_access'],
    // One access token carries all that was granted.
    refreshScope: 'none',
    // People may untick single scopes on the consent page.
    grantsSingleScopes: true,
    refusals: [],
    scopeNames: {
      email: 'https://www.googleapis.com/auth/userinfo.email',
      profile: 'https://www.googleapis.com/auth/userinfo.profile',
    },
  },
  claims: { ...generic.claims, tenant: 'hd', tenantForm: 'domain' },
  errors: [
    // Workspace: the session length of the organisation is over, somebody must sign in again.
    { error: 'invalid_grant', suberrors: ['invalid_rapt', 'rapt_required'], means: 'step-up-required' },
    { error: 'admin_policy_enforced', means: 'audience-denied' },
    // A service account's key that was taken back; any other `invalid_grant` is about the user it names.
    { error: 'invalid_grant', description: /^Invalid JWT\b/, means: 'credential-rejected' },
    // Domain-wide delegation: these scopes were not allowed to this client.
    { error: 'unauthorized_client', means: 'audience-denied' },
    { error: 'deleted_client', means: 'credential-rejected' },
  ],
}
