import * as z from 'zod'
import {
  bytes,
  canonicalPath,
  cookieName,
  count,
  duration,
  filePath,
  flag,
  headerName,
  httpUrl,
  plainText,
  scopeName,
  setting,
  text,
} from './setting.ts'
import { tokenSettings } from './settings-token.ts'

const names = (expects: string) => z.array(plainText(expects, 256)).min(1).max(256)
const json = z.union([z.string(), z.number(), z.boolean()])

export type AllowInput =
  | 'signed_in'
  | {
      readonly roles?: readonly string[] | undefined
      readonly groups?: readonly string[] | undefined
      readonly scopes?: readonly string[] | undefined
      readonly claims?: Readonly<Record<string, string | number | boolean | readonly (string | number | boolean)[]>> | undefined
      readonly tenant?: string | readonly string[] | undefined
      readonly clients?: readonly string[] | undefined
      readonly any_of?: readonly AllowInput[] | undefined
      readonly all_of?: readonly AllowInput[] | undefined
    }

/** Exactly one condition per mapping: `{ roles, groups }` could mean either of both (check-routes.ts). */
const allowRule: z.ZodType<AllowInput> = z.union([
  z.literal('signed_in'),
  z.strictObject({
    roles: setting(names('a role').optional(), { doc: 'Any of these in the `roles` claim.' }),
    groups: setting(names('a group').optional(), { doc: 'Any of these in the `groups` claim.' }),
    scopes: setting(z.array(scopeName()).min(1).max(64).optional(), { doc: 'Any of these was granted at login.' }),
    claims: setting(z.record(z.string().min(1).max(128), z.union([json, z.array(json).min(1).max(256)])).optional(), {
      doc: 'Claim names and the value, or values, of which one must match; several names must all match.',
    }),
    tenant: setting(z.union([plainText('a tenant', 256), names('a tenant')]).optional(), { doc: 'The tenant, or any of these.' }),
    clients: setting(names('a client id').optional(), {
      doc: 'The access token was issued to any of these applications. The only rule that lets in an application by itself.',
      since: '0.2',
    }),
    get any_of() {
      return setting(z.array(allowRule).min(1).max(32).optional(), { doc: 'At least one of these rules.' })
    },
    get all_of() {
      return setting(z.array(allowRule).min(1).max(32).optional(), { doc: 'All of these rules.' })
    },
  }),
])

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const

const routeSettings = z.strictObject({
  name: setting(
    text<string>('a short name', (value) =>
      /^[a-z0-9][a-z0-9/_.-]{0,63}$/i.test(value)
        ? { ok: value }
        : { code: 'config.value-invalid', reason: 'expected up to 64 of letters, digits, slash, dot, hyphen and underscore' },
    ).optional(),
    { doc: 'Label of metrics and logs; the path without its leading slash unless set.' },
  ),
  path: setting(canonicalPath('config.route-path-invalid'), {
    doc: 'Prefix: matches itself and everything below it, at a slash. Of several that match, the longest wins.',
    example: '/api/orders',
  }),
  upstream: setting(httpUrl('a URL such as http://orders:8080', { path: true }), {
    doc: 'The API. A path here is put in front of the forwarded one.',
    example: 'http://orders:8080',
  }),
  strip_prefix: setting(flag().prefault(false), { doc: 'Forward without `path`.' }),
  methods: setting(z.array(z.enum(METHODS)).min(1).max(METHODS.length).prefault(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']), {
    doc: 'Others are answered 405.',
  }),
  token: setting(tokenSettings, { doc: 'As whom the upstream is called. There is no default.' }),
  callers: setting(
    z
      .array(z.enum(['session', 'bearer']))
      .min(1)
      .max(2)
      .prefault(['session']),
    {
      since: '0.2',
      doc: '`session`: browsers with a session. `bearer`: services and native applications with an access token whose audience is the gateway.',
    },
  ),
  allow: setting(allowRule.optional(), {
    doc: 'Who may use the route: `signed_in`, or one of roles, groups, scopes, claims, tenant, clients, any_of, all_of. Required for `principal: app` and `grant: service_account`; `user` means `signed_in` unless set.',
  }),
  user_context: setting(z.enum(['signed']).optional(), {
    doc: '`signed`: a JWT about the user goes along in `sallyport-user-context`, for this route’s audience and for 60 s. Keys: `/.well-known/sallyport/context-jwks.json`.',
    since: '0.2',
  }),
  limits: setting(
    z
      .strictObject({
        body: setting(bytes(0).prefault('10MiB'), { doc: 'The largest request body; larger: 413.' }),
        timeout: setting(duration(1).prefault('30s'), { doc: 'Until the upstream’s answer begins; then 504.' }),
        idle_timeout: setting(duration(0).prefault('60s'), { doc: 'The longest pause within a body. Server-sent events are exempt.' }),
        connect_timeout: setting(duration(1, 120_000).prefault('5s'), { doc: 'Until a connection stands; then 502.' }),
        in_flight: setting(count(1, 1_000_000).prefault(1000), { doc: 'Requests of this route under way at once; more: 503.' }),
      })
      .prefault({}),
    { doc: 'Bounds of one route.' },
  ),
  headers: setting(
    z
      .strictObject({
        request: setting(
          z
            .strictObject({
              only: setting(z.array(headerName()).max(256).optional(), { doc: 'Pass these request headers only.' }),
              cookies: setting(z.array(cookieName()).max(64).prefault([]), { doc: 'Cookies of the browser that the upstream may see.' }),
              identity: setting(z.record(z.string().min(1).max(64), plainText('a claim name', 128)).optional(), {
                doc: 'Header names and the claim whose value each carries, unsigned: whoever reaches the upstream past the gateway can say the same. Better: `user_context: signed`.',
                example: '{ X-User: sub }',
                since: '0.2',
              }),
            })
            .prefault({}),
          { doc: 'From browser to upstream.' },
        ),
        response: setting(
          z
            .strictObject({
              set_cookie: setting(z.array(cookieName()).max(64).prefault([]), { doc: 'Cookies that the upstream may set.' }),
            })
            .prefault({}),
          {
            doc: 'From upstream to browser.',
          },
        ),
      })
      .prefault({}),
    { doc: 'What passes beside the fixed rules.' },
  ),
  tls: setting(
    z
      .strictObject({
        ca_file: setting(filePath().optional(), {
          doc: 'PEM bundle to verify the upstream with. Watched: holds for new connections, and those that stand end with their request.',
          reload: 'live',
        }),
        server_name: setting(plainText('a host name', 253).optional(), { doc: 'Name to verify in the upstream’s certificate.' }),
        certificate_file: setting(filePath().optional(), {
          doc: 'PEM certificate and chain that the gateway proves itself with to the upstream (mutual TLS). Watched like `ca_file`.',
          since: '0.2',
          reload: 'live',
        }),
        private_key_file: setting(filePath().optional(), { doc: 'PEM private key of `certificate_file`.', since: '0.2', reload: 'live' }),
      })
      .prefault({}),
    { doc: 'Of the connection to the upstream; always verified.' },
  ),
})

export const routesSettings = z.array(routeSettings).max(1000)
