import * as z from 'zod'
import { PROFILE_NAMES, PROFILES } from '../domain/profiles/profiles.ts'
import { SEVERAL, TENANT_PLACE } from './tenant-place.ts'
import { duration, filePath, flag, plainText, refuseUrl, scopeName, setting, text } from './setting.ts'
import { clientAuthEntry, credentialRotationSettings } from './settings-credentials.ts'
import { bearerSettings } from './settings-callers.ts'

/** A GUID, or a domain; a bare name such as `contoso` is neither, and Entra knows no tenant by it. */
const TENANT = /^(?:common|organizations|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=.{4,253}$)[a-z0-9-]+(?:\.[a-z0-9-]+)+)$/i
const TENANT_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const CLOUDS = Object.keys(PROFILES.entra.issuer.hosts)

/** Kept as written: metadata is compared with it byte for byte (RFC 8414 §3.3). */
const issuerUrl = text<string>('the issuer, such as https://id.example.com/realms/shop', (value) => {
  const refused = refuseUrl(value.replace(TENANT_PLACE, SEVERAL), 'an https URL', true)
  return refused ?? { ok: value }
})

export const providerSettings = z.strictObject({
  profile: setting(z.enum(PROFILE_NAMES).prefault('generic'), {
    doc: 'What is known of the provider: how an audience is asked for, what refresh tokens do, how logout works, what its errors mean.',
  }),
  issuer: setting(issuerUrl.optional(), {
    doc: 'The issuer, byte for byte as in its discovery document. Entra: use `tenant`; a provider that speaks like it elsewhere is written with `{tenantid}` in the tenant’s place. Google: leave it away.',
    example: 'https://id.example.com/realms/shop',
  }),
  tenant: setting(
    text<string>('a tenant id or domain', (value) => {
      if (value.toLowerCase() === 'consumers')
        return {
          code: 'config.value-invalid',
          reason: 'personal accounts are a tenant of their own',
          fix: 'Write its id: `9188040d-6c67-4c5b-b112-36a304b66dad`.',
        }
      // In lower case, as Entra announces it: issuers are compared byte for byte.
      return TENANT.test(value)
        ? { ok: value.toLowerCase() }
        : { code: 'config.value-invalid', reason: 'expected a tenant id, or a domain such as contoso.onmicrosoft.com' }
    }).optional(),
    {
      doc: 'Entra only, instead of `issuer`: the tenant’s id or one of its domains; `organizations` for accounts of several, `common` with personal ones as well. With those two `tenants` says who may come in.',
      example: 'contoso.onmicrosoft.com',
    },
  ),
  tenants: setting(z.array(plainText('a tenant', 253)).min(1).max(50).optional(), {
    doc: 'The only organisations whose people may sign in, by the claim the profile has for them: tenant ids at Entra (`tid`), domains at Google (`hd`), organisation ids at Auth0 (`org_id`). Needed with `tenant: organizations` and `common`.',
    since: '0.2',
    example: '[5c1d0f6e-0000-4000-8000-000000000001]',
  }),
  home_tenant: setting(
    text<string>('a tenant id', (value) =>
      TENANT_ID.test(value) ? { ok: value.toLowerCase() } : { code: 'config.value-invalid', reason: 'expected a tenant id' },
    ).optional(),
    {
      doc: 'With several tenants: the one the client is registered in. Its own tokens (`principal: app`) are asked for there, and its client assertions addressed to it.',
      since: '0.2',
    },
  ),
  cloud: setting(z.enum(CLOUDS).optional(), {
    doc: 'Entra only, with `tenant`: the national cloud, `global` unless set.',
    since: '0.2',
  }),
  client_id: setting(plainText('the client id'), { doc: 'The gateway’s name at the provider.' }),
  client_auth: setting(z.array(clientAuthEntry).min(1).max(8), {
    doc: 'What the gateway proves itself with, the preferred one first. There are no public clients.',
  }),
  credential_rotation: setting(credentialRotationSettings, {
    doc: 'How the gateway goes from one of its credentials to the next.',
  }),
  scopes: setting(z.array(scopeName()).max(64).optional(), {
    doc: 'Asked for at login, together with the scopes of the user routes. `openid` is always asked for. Unless set: openid, profile and offline_access; with `profile: keycloak` openid and profile, for with `offline_access` it begins an offline session, which no sign-out there ends.',
  }),
  target: setting(z.enum(['resource', 'audience', 'scope']).optional(), {
    doc: 'Overrides the profile: how an audience is asked for (RFC 8707 `resource`, an `audience` parameter, or scopes alone).',
  }),
  rotation: setting(z.enum(['none', 'tolerant', 'grace', 'strict']).optional(), {
    doc: 'Overrides the profile: what spending a refresh token does to it. `none`: it stays valid; `tolerant`: a second use is forgiven; `grace`: for `rotation_grace`; `strict`: a second use ends the family.',
  }),
  rotation_grace: setting(duration(1000, 600_000).optional(), {
    doc: 'With `rotation: grace`: how long after its first use a refresh token may be used again, as set at the provider.',
    since: '0.2',
  }),
  groups: setting(
    z
      .strictObject({
        resolve: setting(flag().prefault(false), {
          doc: 'Entra: group memberships that do not fit into the ID token are asked for at Microsoft Graph, with a token of the user’s (`GroupMember.Read.All`, delegated, must be consented to). Off: rules on groups refuse such users.',
          since: '0.2',
        }),
      })
      .prefault({}),
    { doc: 'Group memberships.', since: '0.2' },
  ),
  assertion: setting(
    z
      .strictObject({
        audience: setting(z.enum(['issuer', 'token-endpoint']).optional(), { doc: 'What it is addressed to (`aud`).', since: '0.2' }),
        key: setting(z.enum(['kid', 'x5t#S256', 'x5t', 'x5c']).optional(), {
          doc: 'How its header names the key of a certificate. `x5c` sends the chain along, for providers that trust a subject and an issuer.',
          since: '0.2',
        }),
        type: setting(z.enum(['JWT', 'client-authentication+jwt']).optional(), { doc: 'Its `typ`.', since: '0.2' }),
        rsa: setting(z.enum(['PS256', 'RS256']).optional(), { doc: 'What the RSA key of a certificate signs with.', since: '0.2' }),
      })
      .prefault({}),
    { doc: 'Overrides the profile: how a client assertion (`private_key_jwt`) is written.', since: '0.2' },
  ),
  par: setting(z.enum(['auto', 'on', 'off']).prefault('auto'), {
    doc: 'Pushed authorization requests (RFC 9126), so that the browser carries none of the request: where the provider announces them, always, or only where it takes no other.',
  }),
  logout: setting(
    z
      .strictObject({
        backchannel: setting(flag().prefault(true), {
          doc: 'Back-channel logout: the provider posts a signed logout token to `/bff/logout/backchannel`. Register that address there.',
        }),
        frontchannel: setting(flag().optional(), {
          doc: 'Front-channel logout: the provider’s sign-out page frames `/bff/logout/frontchannel`. On with `profile: entra`, which has nothing else, otherwise off.',
        }),
        require_type: setting(flag().prefault(false), {
          doc: 'Takes only logout tokens of `typ: logout+jwt`. Many providers still send `JWT` or none.',
        }),
      })
      .prefault({}),
    { doc: 'Sign-outs that happen at the provider and end sessions here.' },
  ),
  bearer: setting(bearerSettings, { doc: 'Access tokens that callers bring, on routes with `callers: [bearer]`.', since: '0.2' }),
  ca_file: setting(filePath().optional(), {
    doc: 'PEM bundle to verify the provider with, instead of the system’s. Watched: holds for new connections.',
    reload: 'live',
  }),
  timeout: setting(duration(100, 60_000).prefault('5s'), { doc: 'The longest one call to the provider may take.' }),
  insecure_allow_http: setting(flag().prefault(false), { doc: 'Allows an http issuer on loopback, for development.' }),
})
