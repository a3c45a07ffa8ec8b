import type { ProviderProfile } from '../profile.ts'
import { generic } from './generic.ts'

/** Keycloak 26. One realm is one issuer. */
export const keycloak: ProviderProfile = {
  ...generic,
  name: 'keycloak',
  // A refresh knows no audience; what a token is for comes from mappers, roles and scopes.
  target: 'scope',
  // With "Revoke Refresh Token" a second use ends the client's session, the newest token included.
  rotation: 'strict',
  // Without id_token_hint the user is asked whether to sign out.
  logoutHint: 'id-token',
  credential: {
    ...generic.credential,
    registeredAt: {
      ...generic.credential.registeredAt,
      certificate:
        'Clients, this client, Keys: “Use JWKS URL” with {public_url}/.well-known/sallyport/client-jwks.json, and nothing is to be done again; or import the certificate, which takes the place of the one before',
      jwk: 'Clients, this client, Keys: “Use JWKS URL” with {public_url}/.well-known/sallyport/client-jwks.json, or import the key',
      secret: 'Clients, this client, Credentials; with a secret rotation policy the one before stays good for a while',
      tls: 'Clients, this client, Credentials, X509 Certificate: the subject DN',
    },
  },
  derivations: ['exchange'],
  // Refresh tokens come without `offline_access`. With it Keycloak begins an offline session and no other: no single sign-on, no word when the user signs out
  // there or an administrator ends the session, and a refresh token that outlives both (docs/interop.md R1).
  login: { ...generic.login, scopes: ['openid', 'profile'], detachingScopes: ['offline_access'] },
  claims: {
    ...generic.claims,
    // Only this client's roles: another client's `admin` says nothing here.
    roles: [['roles'], ['realm_access', 'roles'], ['resource_access', '{client_id}', 'roles']],
  },
  // The subject is the service account's own user. Notes of the session that client credentials begin, which has no `sid`; never the user name: anybody may
  // register one that begins with `service-account-`.
  callers: {
    typed: false,
    userClaims: ['sid', 'session_state'],
    application: [{ client_id: '{client}', azp: '{client}', clientHost: '*' }],
  },
  errors: [
    // So is a grant that is switched off at the client, with 401 as well ("Client not enabled to retrieve service account").
    { error: 'unauthorized_client', description: /^Client not enabled\b/, means: 'audience-denied' },
    // A wrong secret is answered with this one, an unknown client with invalid_client.
    { error: 'unauthorized_client', means: 'credential-rejected' },
    // Consent that was taken back looks like a wrong scope.
    { error: 'invalid_scope', description: /\bconsent/i, means: 'consent-required' },
    // Standard token exchange: an audience that is no client of the realm, and one that the user's roles and scopes do not yield.
    { error: 'invalid_client', description: /^Audience not found/, means: 'audience-denied' },
    { error: 'invalid_request', description: /^Requested audience not available/, means: 'audience-denied' },
    { error: 'invalid_request', description: /token exchange is not enabled/i, means: 'audience-denied' },
  ],
}
