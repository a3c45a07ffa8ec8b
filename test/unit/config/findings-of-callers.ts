import { good } from './a-config.ts'
import { c, type Case } from './finding-case.ts'

/** The route's own lines begin at 10. */
const withBearer = (token: string, ...more: readonly string[]): string =>
  good({}, [`routes:`, '  - path: /api', '    upstream: http://api:1', `    token: ${token}`, ...more])
const USER = '{ principal: user, audience: api }'
const OPEN = '{ principal: none }'
const CONTEXT = '    user_context: signed'
const identity = (names: string): string => `    headers: { request: { identity: ${names} } }`

/** The same file where the gateway has a name as an API. */
export const withAudience = (text: string): string =>
  text.replace('  client_id: shop', '  client_id: shop\n  bearer: { audiences: [gateway] }')

/** Who calls, and what upstreams are told of them. */
export const CALLER_CASES: readonly Case[] = [
  c('config.bearer-audience-absent', 'tokens for nobody', withBearer(USER, '    callers: [bearer]'), '10:5', 'callers', 'provider.bearer'),
  c('config.callers-for-nobody', 'an open route', withBearer(OPEN, '    callers: [bearer]'), '10:5', 'callers', 'allow'),
  c(
    'config.clients-unused',
    'sessions come through no application',
    withBearer('{ principal: app, audience: api }', '    allow: { any_of: [signed_in, { clients: [nightly] }] }'),
    '10:5',
    'allow',
    'bearer',
  ),
  c('config.identity-of-nobody', 'in a header', withBearer(OPEN, identity('{ X-User: sub }')), '10:27', 'identity', 'allow'),
  c('config.identity-of-nobody', 'signed', withBearer(OPEN, CONTEXT), '10:19', 'signed', 'allow'),
  c(
    'config.identity-unsigned',
    'a header anybody could send',
    withBearer(USER, identity('{ X-User: sub }')),
    '10:27',
    'identity',
    'signed',
  ),
  ...['Authorization', 'Cookie', 'X-Forwarded-For', 'Content-Length', 'x_user', 'Sallyport-User-Context', 'traceparent'].map((name) =>
    c('config.identity-header', name, withBearer(USER, identity(`{ ${name}: sub }`)), '10:39', name, 'X-User'),
  ),
  c('config.identity-header', 'one name twice', withBearer(USER, identity('{ X-User: sub, x-user: name }')), '10:52', 'x-user', 'X-User'),
  c(
    'config.identity-header',
    'the header of the route’s own key',
    withBearer(
      '{ principal: app, grant: static, key_file: /k, header: X-Api-Key }',
      '    allow: { roles: [reader] }',
      identity('{ x-api-key: sub }'),
    ),
    '11:39',
    'x-api-key',
    'X-User',
  ),
  c(
    'config.context-audience-absent',
    'scopes say nothing about whom it is for',
    withBearer('{ principal: user, scopes: [a] }', CONTEXT),
    '10:19',
    'signed',
    'audience',
  ),
  c(
    'config.context-keys-absent',
    'several replicas, no keys',
    good({}, [
      'session: { keys_dir: /keys, store: { redis: { url: rediss://redis } } }',
      'routes:',
      '  - path: /api',
      '    upstream: http://api:1',
      `    token: ${USER}`,
      CONTEXT,
    ]),
    '11:19',
    'signed',
    'keys rotate',
  ),
  c(
    'config.context-claim-reserved',
    'the subject is always there',
    good({}, ['user_context: { claims: [email, sub] }']),
    '6:33',
    'sub',
    'Remove',
  ),
  c(
    'config.route-path-reserved',
    'where metadata of routes lies',
    reserved(),
    '8:11',
    '/.well-known/oauth-protected-resource/x',
    'another path',
  ),
]

function reserved(): string {
  return good({ issuer: '  issuer: https://id.example.com\n  bearer: { audiences: [gw] }' }, [
    'routes:',
    '  - path: /.well-known/oauth-protected-resource/x',
    '    upstream: http://api:1',
    `    token: ${USER}`,
    '    callers: [bearer]',
  ])
}
