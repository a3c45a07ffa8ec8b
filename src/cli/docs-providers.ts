import type { ProfileName, ProviderProfile } from '../domain/profile.ts'
import { PROFILE_NAMES, PROFILES } from '../domain/profiles/profiles.ts'
import { roleSources } from '../policy/decide.ts'
import { roleSourceText } from '../policy/explain.ts'
import { page, table } from './docs-pages.ts'
import { audienceNote } from './explain-words.ts'

const code = (text: string): string => `\`${text}\``
const none = '—'

const ROTATION_WORDS: Readonly<Record<ProviderProfile['rotation'], string>> = {
  none: 'stay valid when they are used',
  tolerant: 'rotate; a second use is forgiven',
  grace: 'rotate; a second use is forgiven for a while',
  strict: 'rotate; a second use ends the session at the provider',
}

const columns: readonly (readonly [string, (profile: ProviderProfile) => string])[] = [
  ['an audience is asked for', audienceNote],
  [
    'refresh tokens',
    ({ rotation, rotationGraceMs }) => `${ROTATION_WORDS[rotation]}${rotation === 'grace' ? ` (${rotationGraceMs / 1000} s)` : ''}`,
  ],
  [
    '`auto` is',
    ({ grants: { user, bearer, app } }) =>
      `for sessions ${code(user)}, for bearer callers ${bearer ? code(bearer) : none}, for the application ${app ? code(app) : none}`,
  ],
  ['the organisation', ({ claims }) => (claims.tenant ? code(claims.tenant) : none)],
  ['names a user for good', ({ claims }) => claims.user.map(code).join(' + ')],
  [
    'roles',
    ({ name }) =>
      roleSources(name, 'CLIENT_ID')
        .map((source) => code(roleSourceText(source)))
        .join(', '),
  ],
  [
    'client assertion',
    ({ assertion: { audience, key, rsa } }) =>
      `${code('aud')} is the ${audience === 'issuer' ? 'issuer' : 'token endpoint'}; the key by ${code(key)}; RSA signs ${rsa}`,
  ],
  [
    'at sign-out it is told',
    ({ logoutHint, logout }) =>
      logoutHint === 'id-token' ? 'the ID token' : logout.hintClaim ? `the account (${code(logout.hintClaim)})` : 'the client',
  ],
]

const SETUP: Readonly<Record<ProfileName, string>> = {
  generic:
    'Whatever speaks OpenID Connect. Say with `provider.target` and `provider.rotation` how it differs; the defaults are what the standards say, and the stricter way where they leave it open.',
  keycloak:
    'One realm is one issuer. Audiences come from mappers: give each API a client scope of its own with an *Audience* mapper, and name that scope on the route. *Revoke Refresh Token* may be on. For roles see [policy.md](policy.md).',
  entra:
    'Redirect URI of type **Web**. Each API is named by its App ID URI or client id as `audience`. `tenant` is one tenant’s id or domain; `organizations` or `common` open the door to all, and then `tenants` says who comes in, and `home_tenant` where the client is registered. National clouds by `cloud`. Add the optional claims `sid` and `login_hint` to the ID token: the first finds sessions at a front-channel sign-out, the second spares people the choice of an account. More than 200 groups do not fit: use app roles, or `groups.resolve`.',
  okta: 'An authorization server is one issuer and one audience: all routes share it, those of the application as well. For another server use `grant: exchange`. With a certificate, register its public key as a JWK under the `kid` that assertions name it by.',
  auth0:
    'The issuer ends with a slash. For several APIs enable multi-resource refresh tokens for each: an audience that is not covered is passed over in silence, which the gateway notices and answers with `token.invalid`. Where rotation has an overlap, say so: `rotation: grace` and `rotation_grace`. RP-initiated logout must be on.',
  google:
    'Leave `issuer` away. Routes name scopes and no audience: Google’s tokens are for Google’s own APIs. `tenants: [example.com]` lets in the people of a Workspace alone. People may untick single scopes: a route that needs one they did not grant answers `token.consent-required`. As an application, with the rights of a user: `grant: service_account`. There is nothing to sign out of at Google.',
}

/** docs/providers.md. */
export const providersDoc = (): string =>
  page(
    'Providers',
    'src/domain/profiles and src/cli/docs-providers.ts',
    'What `provider.profile` knows. It is data, one file per provider in src/domain/profiles; no other code compares with a provider’s name. Settings of the same name override single members.',
    ...columns.map(([title, tell]) =>
      table(
        ['profile', title],
        PROFILE_NAMES.map((name) => [code(name), tell(PROFILES[name])]),
      ),
    ),
    '## Setting one up',
    ...PROFILE_NAMES.map((name) => `### \`${name}\`\n\n${SETUP[name]}`),
    '## National clouds',
    table(
      ['`cloud`', 'issuer'],
      Object.entries(PROFILES.entra.issuer.hosts).map(([cloud, host]) => [code(cloud), code(`https://${host}/TENANT/v2.0`)]),
    ),
    '## Several tenants',
    'At `organizations` and `common` the provider announces a form for an issuer, `https://HOST/{tenantid}/v2.0`. Every ID token must come from the form filled with its own `tid`, be signed by a key that is for that issuer, and be of a tenant in `tenants`; anybody else is turned away with `login.tenant-refused`, and the audit event names the tenant. Sessions, sign-outs and refreshes stay in the tenant of the sign-in; a tenant that is taken from the list loses its sessions at their next refresh. What a code means of an answer is in [provider-errors.md](provider-errors.md).',
  )
