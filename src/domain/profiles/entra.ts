import type { ProviderProfile } from '../profile.ts'
import { generic } from './generic.ts'

/** Microsoft Entra ID, v2.0 endpoints, in every cloud. */
export const entra: ProviderProfile = {
  ...generic,
  name: 'entra',
  // `resource` is refused (AADSTS901002); a request names one audience, by its scopes (AADSTS28000), and always one (AADSTS90009).
  target: 'scope',
  scopesCarryAudience: true,
  // A used refresh token stays valid, and no second use is noticed.
  rotation: 'none',
  grants: { user: 'refresh', bearer: 'on_behalf_of', app: 'client_credentials' },
  derivations: ['on_behalf_of'],
  issuer: {
    form: 'tenant',
    fixed: undefined,
    hosts: {
      global: 'login.microsoftonline.com',
      us: 'login.microsoftonline.us',
      china: 'login.partner.microsoftonline.cn',
      france: 'login.sovcloud-identity.fr',
      germany: 'login.sovcloud-identity.de',
      singapore: 'login.sovcloud-identity.sg',
    },
    aliases: ['common', 'organizations'],
  },
  assertion: { audience: 'token-endpoint', key: 'x5t#S256', type: 'JWT', lifetimeSeconds: 300, rsa: 'PS256' },
  // Not assigned to the application, where it demands that.
  login: { ...generic.login, pkceUnannounced: true, refusals: ['AADSTS50105'] },
  // A token for itself needs no role. 700016, 90002: no such application or tenant; 7000112: switched off; 7000218: none was seen.
  credential: {
    probe: 'client-credentials',
    probeScope: '{client_id}/.default',
    hopeless: [700016, 90002, 7000112, 7000218],
    registeredAt: {
      ...generic.credential.registeredAt,
      certificate:
        'App registrations, this application, Certificates & secrets, Certificates: upload the .crt; the list there shows the SHA-1 thumbprint',
      secret: 'App registrations, this application, Certificates & secrets, Client secrets',
      federated: 'App registrations, this application, Certificates & secrets, Federated credentials',
    },
  },
  // An optional claim; without it the user picks the account.
  logout: { hintClaim: 'login_hint', frontchannelWithoutIssuer: true, frontchannelByDefault: true },
  claims: {
    ...generic.claims,
    // `sub` is another at each client.
    user: ['tid', 'oid'],
    tenant: 'tid',
    tenantForm: 'guid',
    // `sid` is an optional claim; nais relies on the other one where it is not configured.
    providerSession: ['sid', 'session_state'],
    directory: {
      hostMember: 'msgraph_host',
      // Roles and administrative units are in it as well, by ids of their own; cast to groups, Graph would answer by an index that lags behind.
      path: '/v1.0/me/transitiveMemberOf?$select=id&$top=999',
      // Without an API in front it is Graph's, in whatever cloud.
      scope: 'GroupMember.Read.All',
    },
  },
  // Asked by URI it answers with a GUID, or the other way round; `scp` stands only where a user delegated.
  accessToken: { audienceMayBeRenamed: true, alwaysReadable: false, userClaim: 'scp' },
  // Of service principals alone `oid` and `sub` are the same; `idtyp`, which would say it, is optional.
  callers: { typed: false, userClaims: ['scp'], application: [{ oid: '{sub}' }] },
  // By `error`, `suberror` and `claims`; of the numbers, which may change, only those without which the rest misleads.
  errors: [
    // Loop detection: a throttle in the clothes of `invalid_grant`.
    { numbers: [50196], means: 'later' },
    // Federated credentials, also while a new one is not everywhere yet; the `error` varies.
    { numbers: [70021, 700211, 700212, 700213, 7002138], means: 'credential-rejected' },
    { error: 'invalid_grant', suberrors: ['consent_required'], means: 'consent-required' },
    // An older endpoint sends no `suberror` for it.
    { error: 'invalid_grant', numbers: [65001], means: 'consent-required' },
    // The application has no role where one is needed.
    { numbers: [501051], means: 'audience-denied' },
    { error: 'invalid_grant', claims: true, means: 'step-up-required' },
    { error: 'invalid_grant', suberrors: ['bad_token', 'token_expired', 'user_password_expired'], means: 'grant' },
    // "Tell the user, do not loop": another sign-in would end in the same words.
    { error: 'invalid_grant', suberrors: ['message_only'], means: 'audience-denied' },
    { error: 'invalid_grant', suberrors: 'any', means: 'step-up-required' },
  ],
}
