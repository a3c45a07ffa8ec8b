import * as z from 'zod'
import { duration, filePath, flag, plainText, refuseUrl, scopeName, setting, text } from './setting.ts'

const clientAuthEntry = z.strictObject({
  certificate_dir: setting(filePath().optional(), {
    doc: 'Folder of certificate and key pairs (`*.crt`/`*.key`) for `private_key_jwt`. Files are watched.',
  }),
  jwk_file: setting(filePath().optional(), {
    doc: 'File of one private JSON Web Key for `private_key_jwt`; its `kid` names it at the provider. Read again when it changes.',
  }),
  client_secret_file: setting(filePath().optional(), { doc: 'File that holds the client secret.' }),
  client_secret: setting(plainText('a reference to the client secret', 4096).optional(), {
    doc: 'The client secret, as a reference only.',
    secret: true,
    example: '${env:CLIENT_SECRET}',
  }),
  method: setting(z.enum(['client_secret_basic', 'client_secret_post']).optional(), {
    doc: 'How a secret is sent; `client_secret_basic` unless set.',
  }),
})

/** A GUID, or a domain; a bare name such as `contoso` is neither, and Entra knows no tenant by it. */
const TENANT = /^(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=.{4,253}$)[a-z0-9-]+(?:\.[a-z0-9-]+)+)$/i

/** Kept as written: metadata is compared with it byte for byte (RFC 8414 §3.3). */
const issuerUrl = text<string>('the issuer, such as https://id.example.com/realms/shop', (value) => {
  const refused = refuseUrl(value, 'an https URL', true)
  return refused ?? { ok: value }
})

export const providerSettings = z.strictObject({
  profile: setting(z.enum(['generic', 'keycloak', 'entra']).prefault('generic'), {
    doc: 'What is known of the provider: how an audience is asked for, what refresh tokens do, how logout works.',
  }),
  issuer: setting(issuerUrl.optional(), {
    doc: 'The issuer, byte for byte as in its discovery document. Entra: use `tenant`.',
    example: 'https://id.example.com/realms/shop',
  }),
  tenant: setting(
    text<string>('a tenant id or domain', (value) => {
      if (/^(common|organizations|consumers)$/i.test(value))
        return {
          code: 'config.not-supported-yet',
          reason: 'several tenants are not supported yet',
          fix: 'Write the id or domain of one tenant.',
        }
      // In lower case, as Entra announces it: issuers are compared byte for byte.
      return TENANT.test(value)
        ? { ok: value.toLowerCase() }
        : { code: 'config.value-invalid', reason: 'expected a tenant id, or a domain such as contoso.onmicrosoft.com' }
    }).optional(),
    { doc: 'Entra only, instead of `issuer`: the tenant’s id or one of its domains.', example: 'contoso.onmicrosoft.com' },
  ),
  client_id: setting(plainText('the client id'), { doc: 'The gateway’s name at the provider.' }),
  client_auth: setting(z.array(clientAuthEntry).min(1).max(8), {
    doc: 'What the gateway proves itself with, the preferred one first. There are no public clients.',
  }),
  scopes: setting(z.array(scopeName()).max(64).prefault(['openid', 'profile', 'offline_access']), {
    doc: 'Asked for at login, together with the scopes of the user routes. `openid` is always asked for.',
  }),
  target: setting(z.enum(['resource', 'audience', 'scope']).optional(), {
    doc: 'Overrides the profile: how an audience is asked for (RFC 8707 `resource`, an `audience` parameter, or scopes alone).',
  }),
  rotation: setting(z.enum(['none', 'tolerant', 'strict']).optional(), {
    doc: 'Overrides the profile: what spending a refresh token does to it.',
  }),
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
  ca_file: setting(filePath().optional(), { doc: 'PEM bundle to verify the provider with, instead of the system’s.' }),
  timeout: setting(duration(100, 60_000).prefault('5s'), { doc: 'The longest one call to the provider may take.' }),
  insecure_allow_http: setting(flag().prefault(false), { doc: 'Allows an http issuer on loopback, for development.' }),
})
