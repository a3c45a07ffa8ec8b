import { seconds } from '../../kernel/time.ts'
import type { ProviderProfile } from '../profile.ts'
import { generic } from './generic.ts'

/** Okta, by a custom authorization server: one server, one issuer, one audience. */
export const okta: ProviderProfile = {
  ...generic,
  name: 'okta',
  target: 'scope',
  audiences: 'one',
  // Where an application's refresh tokens rotate, 30 s is what a new one has; 0 to 60 can be set.
  rotation: 'grace',
  rotationGraceMs: seconds(30),
  logoutHint: 'id-token',
  credential: {
    ...generic.credential,
    registeredAt: {
      ...generic.credential.registeredAt,
      certificate:
        'Applications, this application, General, Client Credentials, Public keys: use the URL {public_url}/.well-known/sallyport/client-jwks.json, or add its public key as a JWK',
      jwk: 'Applications, this application, General, Client Credentials, Public keys: use the URL {public_url}/.well-known/sallyport/client-jwks.json, or add the key',
      secret: 'Applications, this application, General, Client Credentials, Client secrets',
    },
  },
  derivations: ['exchange'],
  // PS256 is not among what it takes.
  assertion: { ...generic.assertion, audience: 'token-endpoint', rsa: 'RS256' },
  claims: { ...generic.claims, tenant: undefined },
  accessToken: { ...generic.accessToken, alwaysReadable: true },
  callers: { typed: false, userClaims: ['uid'], application: [] },
  errors: [
    { error: 'mfa_required', means: 'step-up-required' },
    // Access policies of the authorization server.
    { error: 'no_matching_policy', means: 'audience-denied' },
    { error: 'no_matching_scope', means: 'audience-denied' },
  ],
}
