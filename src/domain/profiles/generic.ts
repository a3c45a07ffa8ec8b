import { millis } from '../../kernel/time.ts'
import type { ProviderProfile } from '../profile.ts'

/** What the standards say, and the stricter way where they leave it open. The other profiles say how they differ. */
export const generic: ProviderProfile = {
  name: 'generic',
  target: 'resource',
  scopesCarryAudience: false,
  audiences: 'many',
  rotation: 'strict',
  rotationGraceMs: millis(0),
  grants: { user: 'refresh', bearer: 'exchange', app: 'client_credentials' },
  derivations: ['exchange', 'on_behalf_of'],
  logoutHint: 'client-id',
  issuer: { form: 'exact', fixed: undefined, hosts: {}, aliases: [] },
  // RFC 7523bis: the issuer. The type is not what most providers know yet.
  assertion: { audience: 'issuer', key: 'kid', type: 'JWT', lifetimeSeconds: 60, rsa: 'PS256' },
  // invalid_client comes before invalid_grant (RFC 6749 §3.2.1), and a refresh token that is none needs no permission.
  credential: {
    probe: 'refresh-token',
    probeScope: undefined,
    hopeless: [],
    registeredAt: {
      certificate:
        'the keys of this client: its certificate, its public key, or the address {public_url}/.well-known/sallyport/client-jwks.json',
      jwk: 'the keys of this client: the public key, or the address {public_url}/.well-known/sallyport/client-jwks.json',
      secret: 'the secrets of this client',
      federated: 'the trust of this client in the issuer, subject and audience of the assertion',
      tls: 'the certificate of this client (self_signed_tls_client_auth), or its subject name (tls_client_auth)',
    },
  },
  login: {
    scopes: ['openid', 'profile', 'offline_access'],
    detachingScopes: [],
    parameters: {},
    withheldScopes: [],
    refreshScope: 'narrow',
    grantsSingleScopes: false,
    pkceUnannounced: false,
    refusals: [],
    scopeNames: {},
  },
  logout: { hintClaim: undefined, frontchannelWithoutIssuer: false, frontchannelByDefault: false },
  claims: {
    user: ['iss', 'sub'],
    tenant: 'tid',
    tenantForm: 'word',
    providerSession: ['sid'],
    roles: [['roles']],
    directory: undefined,
  },
  accessToken: { audienceMayBeRenamed: false, alwaysReadable: false, userClaim: undefined },
  callers: { typed: true, userClaims: [], application: [] },
  errors: [],
}
