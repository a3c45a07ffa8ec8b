import type { ConfigCode } from '../../../src/config/codes.ts'
import { c, tokenRoute, type Case } from './finding-case.ts'
import { good } from './a-config.ts'

const TOKEN = '    token: { '
const TOKEN_LINE = 9

/** @param marked what stands in `token: { … }`; the caret stands at `«`, which is taken out. Without one, under the key `token`. */
const token = (code: ConfigCode, because: string, marked: string, under: string, fix: string, ...more: readonly string[]): Case => {
  const at = marked.indexOf('«')
  const place = at < 0 ? `${TOKEN_LINE}:5` : `${TOKEN_LINE}:${TOKEN.length + at + 1}`
  return c(code, `a token: ${because}`, tokenRoute(`{ ${marked.replace('«', '')} }`, ...more), place, under, fix)
}

const SIGNED_IN = '    allow: signed_in'
const BEARER = '    callers: [bearer]'
const BOTH = '    callers: [session, bearer]'
const USER = 'principal: user, audience: a'
const APP = 'principal: app, audience: a'

const two = (first: string, second: string): string =>
  good({}, [
    'routes:',
    '  - path: /one',
    '    upstream: http://one:1',
    `    token: { ${first} }`,
    '  - path: /two',
    '    upstream: http://two:1',
    `    token: { ${second} }`,
  ])

/** Ways to a token that cannot be, and ways that give away too much. */
export const TOKEN_CASES: readonly Case[] = [
  token('config.route-grant-mismatch', 'an application by exchange', `${APP}, grant: «exchange`, 'exchange', '`auto` knows', SIGNED_IN),
  token('config.route-grant-mismatch', 'a user by an API key', `${USER}, grant: «static, key_file: /k`, 'static', '`auto` knows'),
  token(
    'config.route-grant-mismatch',
    'passing through what no session has',
    `${USER}, grant: «pass_through`,
    'pass_through',
    'callers: [bearer]',
  ),
  token(
    'config.route-grant-mismatch',
    'refreshing for somebody without a session',
    `${USER}, grant: «refresh`,
    'refresh',
    '`auto` knows',
    BEARER,
  ),
  c(
    'config.route-grant-mismatch',
    'a token: a provider that knows no application by itself',
    tokenRoute('{ principal: app, scopes: [x] }', SIGNED_IN).replace('  issuer: https://id.example.com', '  profile: google'),
    '9:5',
    'token',
    '`auto` knows',
  ),
  ...(
    [
      ['entra', '  profile: entra\n  tenant: 5c1d0f6e-0000-4000-8000-00000000000a', 'exchange', 'grant: on_behalf_of', '10:51'],
      ['keycloak', '  profile: keycloak\n  issuer: https://id.example.com', 'on_behalf_of', 'grant: exchange', '10:51'],
      ['google', '  profile: google', 'exchange', '`auto` knows', '9:51'],
    ] as const
  ).map(([name, provider, grant, fix, place]) =>
    c(
      'config.route-grant-unavailable',
      `a token: ${name} does not know ${grant}`,
      tokenRoute(`{ ${USER}, grant: ${grant}, subject: { scopes: [a] } }`).replace('  issuer: https://id.example.com', provider),
      place,
      grant,
      fix,
    ),
  ),
  token('config.route-key-file-absent', 'an API key from nowhere', `${APP}, grant: «static`, 'static', 'key_file', SIGNED_IN),
  token(
    'config.route-key-file-absent',
    'a service account without its key',
    `${USER}, grant: «service_account`,
    'service_account',
    'key_file',
    SIGNED_IN,
  ),
  c(
    'config.route-allow-absent',
    'a token: anybody may be acted for',
    tokenRoute(`{ ${USER}, grant: service_account, key_file: /k }`),
    '7:5',
    'path',
    'allow: signed_in',
  ),
  token(
    'config.route-subject-absent',
    'on behalf of a token that is not named',
    `${USER}, grant: «on_behalf_of`,
    'on_behalf_of',
    'subject',
  ),
  token('config.route-token-for-nobody', 'an empty subject', `${USER}, grant: exchange, «subject: {}`, 'subject', 'Add `audience`'),
  token('config.route-token-for-nobody', 'an empty actor', `${USER}, grant: exchange, «actor: {}`, 'actor', 'Add `audience`'),
  token(
    'config.route-token-for-nobody',
    'passing through whatever comes',
    'principal: user, scopes: [x], grant: pass_through',
    'token',
    'Add `audience`',
    BEARER,
  ),
  token(
    'config.route-token-for-nobody',
    'a service account without scopes',
    `${USER}, grant: service_account, key_file: /k`,
    'token',
    'Add `scopes`',
    SIGNED_IN,
  ),
  token('config.route-token-unused', 'an actor without exchange', `${USER}, «actor: { audience: b }`, 'actor', 'Remove it'),
  token('config.route-token-unused', 'a header for a token', `${APP}, «header: X-API-Key`, 'header', 'Remove it', SIGNED_IN),
  token(
    'config.route-token-unused',
    'a subject for an application',
    `${APP}, «subject: { audience: b }`,
    'subject',
    'Remove it',
    SIGNED_IN,
  ),
  token(
    'config.route-token-contradiction',
    'no token, but a key',
    'principal: none, key_file: /k',
    'token',
    'Keep `principal: none` alone',
  ),
  token(
    'config.route-key-header',
    'a key as a cookie',
    `${APP}, grant: static, key_file: /k, header: «Cookie`,
    'Cookie',
    'X-API-Key',
    SIGNED_IN,
  ),
  ...(['X-Real-IP', 'Proxy-Authorization', 'Accept-Encoding'] as const).map((header) =>
    token(
      'config.route-key-header',
      `a key in the place of ${header}`,
      `${APP}, grant: static, key_file: /k, header: «${header}`,
      header,
      'X-API-Key',
      SIGNED_IN,
    ),
  ),
  token(
    'config.route-key-header',
    'a key that frames the body',
    `${APP}, grant: static, key_file: /k, header: «Content-Length`,
    'Content-Length',
    'X-API-Key',
    SIGNED_IN,
  ),
  token(
    'config.value-invalid',
    'a scheme of two words',
    `${APP}, grant: static, key_file: /k, scheme: «"Api Key"`,
    '"Api Key"',
    'ApiKey',
    SIGNED_IN,
  ),
  c(
    'config.app-rights-for-everybody',
    'a token: anybody signed in writes as the application',
    tokenRoute(`{ ${APP} }`, SIGNED_IN),
    '10:12',
    'signed_in',
    'Narrow `allow`',
    { also: '9:5' },
  ),
  token('config.scopes-default-mixed', '.default among others', `${USER}, scopes: [read, «.default]`, '.default', 'single scopes'),
  token('config.scopes-over-broad', 'all there is', `${USER}, scopes: [«api://a/.default]`, 'api://a/.default', 'single rights'),
  token(
    'config.scopes-over-broad',
    'a whole directory',
    `${USER}, scopes: [«Directory.ReadWrite.All]`,
    'Directory.ReadWrite.All',
    'single rights',
  ),
  token('config.scopes-over-broad', 'administration', `${USER}, scopes: [read, «orders:admin]`, 'orders:admin', 'single rights'),
  token('config.scopes-over-broad', 'a star', `${USER}, scopes: [«orders.*]`, 'orders.*', 'single rights'),
  token(
    'config.token-for-two-audiences',
    'scopes of two APIs',
    'principal: user, scopes: [api://a/read, «api://b/read]',
    'api://b/read',
    'one route per API',
  ),
  token(
    'config.token-for-two-audiences',
    'a scope of another API',
    'principal: user, audience: api://a, scopes: [«api://b/read]',
    'api://b/read',
    'one route per API',
    BOTH,
  ),
  token(
    'config.subject-claim-chosen',
    'a name that its owner may change',
    'principal: user, scopes: [calendar], grant: service_account, key_file: /k, subject_claim: «preferred_username',
    'preferred_username',
    'only a verified one',
    '    allow: { groups: [g] }',
  ),
  // Keycloak's token without scopes is for all APIs of the user: each upstream got what opens the others.
  c(
    'config.token-for-two-audiences',
    'a token: nothing says for which of two APIs',
    two('principal: user, audience: a, scopes: [a]', 'principal: user, audience: b').replace('  issuer:', '  profile: keycloak\n  issuer:'),
    '13:41',
    'b',
    'name its scopes',
    { also: '10:41' },
  ),
  c('config.token-for-two-audiences', 'a token: two upstreams, one audience', two(USER, USER), '12:41', 'a', 'one route per API', {
    also: '9:41',
  }),
]

/** Right in everything, and not a word about them. */
export const QUIET_TOKENS: readonly (readonly [because: string, text: string])[] = [
  ['an exchange with an actor', tokenRoute(`{ ${USER}, grant: exchange, actor: { audience: b } }`)],
  ['an exchange of a named token', tokenRoute(`{ ${USER}, grant: exchange, subject: { audience: b } }`)],
  ['exchange for both kinds of callers', tokenRoute(`{ ${USER}, grant: exchange }`, BOTH)],
  ['refresh for sessions, the profile’s way for bearers', tokenRoute(`{ ${USER}, grant: refresh }`, BOTH)],
  ['passing through for bearers', tokenRoute(`{ ${USER}, grant: pass_through }`, BEARER)],
  [
    'a key in a header of its own',
    tokenRoute('{ principal: app, grant: static, key_file: /k, header: X-API-Key }', '    allow: { roles: [a] }'),
  ],
  ['an application that reads for whoever is signed in', tokenRoute(`{ ${APP} }`, SIGNED_IN, '    methods: [GET, HEAD]')],
  [
    'a service account for some',
    tokenRoute('{ principal: user, scopes: [calendar], grant: service_account, key_file: /k }', '    allow: { groups: [g] }'),
  ],
  ['two APIs that `resource` names', two('principal: user, audience: a', 'principal: user, audience: b')],
  [
    'two APIs at Keycloak, by their scopes',
    two('principal: user, audience: a, scopes: [a]', 'principal: user, audience: b, scopes: [b]').replace(
      '  issuer:',
      '  profile: keycloak\n  issuer:',
    ),
  ],
  [
    'two APIs at Keycloak, one by exchange',
    two('principal: user, audience: a', 'principal: user, audience: b, grant: exchange').replace(
      '  issuer:',
      '  profile: keycloak\n  issuer:',
    ),
  ],
  ['scopes of one API by its full name', tokenRoute('{ principal: user, audience: api://a, scopes: [api://a/read, api://a/write] }')],
]
