import type { ProviderProfile } from '../profile.ts'
import { generic } from './generic.ts'

/** Auth0. The issuer ends with a slash. */
export const auth0: ProviderProfile = {
  ...generic,
  name: 'auth0',
  target: 'audience',
  // The overlap in which a second use is forgiven is 0 unless somebody sets one.
  rotation: 'strict',
  logoutHint: 'id-token',
  credential: {
    ...generic.credential,
    registeredAt: {
      ...generic.credential.registeredAt,
      certificate: 'Applications, this application, Credentials, Private Key JWT: add its public key in PEM',
      jwk: 'Applications, this application, Credentials, Private Key JWT: add its public key in PEM',
      secret:
        'Applications, this application, Settings: rotating the secret there ends the one before at once, so the file must be there first',
    },
  },
  derivations: ['exchange'],
  claims: { ...generic.claims, tenant: 'org_id' },
  // An audience that is not covered is passed over in silence: the token is for another one, or for none and then no JWT.
  accessToken: { ...generic.accessToken, alwaysReadable: true },
  callers: { typed: false, userClaims: [], application: [{ gty: 'client-credentials', sub: '{client}@clients' }] },
  errors: [{ error: 'mfa_required', means: 'step-up-required' }],
}
