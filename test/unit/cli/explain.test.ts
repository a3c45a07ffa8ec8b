import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Explanation } from '../../../src/cli/explanation.ts'
import { run } from '../../../src/cli/run.ts'
import { isDropped } from '../../../src/proxy/dropped-names.ts'
import { canary, expectNoLeak } from '../../harness/canary.ts'
import { good } from '../config/a-config.ts'
import { withAudience } from '../config/findings-of-callers.ts'
import { shell } from './a-shell.ts'

let folder = ''
let made = 0
const file = (text: string): string => {
  const path = join(folder, `${made++}.yaml`)
  writeFileSync(path, text)
  return path
}
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sallyport-explain-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const ROUTES = [
  'routes:',
  '  - path: /api/orders',
  '    upstream: http://orders:8080',
  '    token: { principal: user, audience: api://orders, scopes: [orders.write, orders.read] }',
  '  - path: /api/orders/admin',
  '    name: admin',
  '    upstream: http://orders:8080/v2',
  '    strip_prefix: true',
  '    methods: [GET]',
  '    token: { principal: app, grant: client_credentials, audience: api://orders, scopes: [all] }',
  '    allow: { all_of: [{ roles: [admin, ops] }, { any_of: [{ groups: [g1] }, { claims: { dept: it } }] }] }',
  '    limits: { body: 1MiB, timeout: 1500ms, in_flight: 5 }',
  '    headers: { request: { only: [accept], cookies: [theme] }, response: { set_cookie: [theme] } }',
  '  - path: /status',
  '    upstream: http://status',
  '    token: { principal: none }',
]
const config = (replace: Record<string, string> = {}, more: readonly string[] = []): string =>
  file(withAudience(good(replace, [...ROUTES, ...more])))

const explainedOf = async (path: string, ...operands: string[]): Promise<Explanation & { readonly claim?: unknown }> => {
  const { code, out, err } = await shell(['explain', '-c', path, '-o', 'json', ...operands], { S: 'x' })
  expect([code, err]).toEqual([0, ''])
  return JSON.parse(out) as Explanation
}
const withColumns = async (columns: number, argv: readonly string[], path: string): Promise<string> => {
  let out = ''
  const take = (text: string): void => {
    out += text
  }
  expect(await run(['explain', '-c', path, ...argv], { env: {}, out: take, err: take, colours: { out: false, err: false }, columns })).toBe(
    0,
  )
  return out
}

it('the JSON of a route has this shape: scripts read it', async () => {
  const { routes } = await explainedOf(config({ public_url: 'public_url: https://shop.example.com' }))
  expect(routes.map(({ name }) => name)).toEqual(['api/orders', 'admin', 'status'])
  expect(routes[1]).toEqual({
    name: 'admin',
    path: '/api/orders/admin',
    methods: ['GET'],
    upstream: 'http://orders:8080/v2',
    principal: 'app',
    callers: ['session'],
    grant: 'client_credentials',
    bearer_grant: null,
    grant_chosen: { by: 'settings', because: 'a token of the application itself, apart from any session' },
    audience: 'api://orders',
    scopes: ['all'],
    asked_as: {
      grant_type: 'client_credentials',
      resource: 'api://orders',
      audience: null,
      scope: 'all',
      note: 'the audience is named by `resource` (RFC 8707)',
      subject: null,
      actor: null,
    },
    allow: {
      rule: { all_of: [{ roles: ['admin', 'ops'] }, { any_of: [{ groups: ['g1'] }, { claims: { dept: ['it'] } }] }] },
      text: 'anyone signed in who has one of the roles admin, ops and (is in the group g1 or has the claim dept equal to "it")',
      lines: [
        'anyone signed in who fulfils all of:',
        '  - has one of the roles admin, ops',
        '  - any of:',
        '    - is in the group g1',
        '    - has the claim dept equal to "it"',
      ],
      reads: ['ID token: roles', 'ID token: groups', 'ID token: dept'],
    },
    csrf: { required: true, text: 'required: only pages of our own origin may call, others are answered 403' },
    headers: {
      request: {
        only: ['accept'],
        cookies: ['theme'],
        authorization: { attached: 'app', text: 'the browser’s is removed; the application’s access token for this audience is attached' },
        set: [
          'authorization',
          'forwarded',
          'traceparent',
          'x-forwarded-for',
          'x-forwarded-host',
          'x-forwarded-port',
          'x-forwarded-prefix',
          'x-forwarded-proto',
          'x-real-ip',
          'x-request-id',
        ],
        identity: {},
        user_context: null,
      },
      response: {
        set_cookie: ['theme'],
        cors: 'dropped',
        cache: { shared: false, text: expect.stringContaining('no shared cache') },
        set: ['cache-control', 'strict-transport-security', 'x-content-type-options', 'x-request-id'],
      },
    },
    limits: { body_bytes: 1_048_576, timeout_ms: 1500, idle_timeout_ms: 60_000, connect_timeout_ms: 5000, in_flight: 5 },
    upstream_sees: { principal: 'app', subject: 'client', client_id: 'shop', text: 'the application shop, no user' },
  })
})

it('a route says whom the upstream’s log will show', async () => {
  const { routes } = await explainedOf(config())
  expect(routes.map(({ upstream_sees }) => upstream_sees)).toEqual([
    { principal: 'user', subject: 'user', client_id: 'shop', text: 'the signed-in user (sub), client shop' },
    { principal: 'app', subject: 'client', client_id: 'shop', text: 'the application shop, no user' },
    { principal: 'none', subject: 'none', client_id: null, text: 'nobody' },
  ])
})

it.each([
  ['{ principal: user, audience: orders, grant: exchange }', [], 'exchange', 'settings', 'token-exchange', 'the user (sub), client shop'],
  [
    '{ principal: user, audience: orders, grant: exchange, actor: { audience: shop } }',
    [],
    'exchange',
    'settings',
    'token-exchange',
    'the user (sub), acted for by the application shop (act)',
  ],
  [
    '{ principal: user, audience: orders, grant: on_behalf_of, subject: { audience: shop } }',
    [],
    'on_behalf_of',
    'settings',
    'jwt-bearer',
    'the user (sub), client shop',
  ],
  ['{ principal: user, audience: orders }', ['callers: [bearer]'], 'exchange', 'auto', undefined, 'the user (sub), client shop'],
  [
    '{ principal: user, audience: orders }',
    ['callers: [session, bearer]'],
    'refresh, exchange',
    'auto',
    'refresh_token',
    'the signed-in user (sub), client shop; or the user (sub), client shop',
  ],
  [
    '{ principal: user, audience: orders, grant: pass_through }',
    ['callers: [bearer]'],
    'pass_through',
    'settings',
    undefined,
    'the caller’s user (sub), and the caller’s own client',
  ],
  [
    '{ principal: user, scopes: [calendar], grant: service_account, key_file: /sa.json }',
    ['allow: { groups: [g] }'],
    'service_account',
    'settings',
    'jwt-bearer',
    'the user that the session’s claim names',
  ],
  [
    '{ principal: app, grant: static, key_file: /key, header: X-API-Key }',
    ['allow: { groups: [g] }'],
    'static',
    'settings',
    undefined,
    'whoever the key belongs to, no user',
  ],
] as const)('%s: the grant, who chose it, and what the upstream’s log shows', async (token, more, grant, by, type, sees) => {
  const path = config({}, [
    '  - path: /api/more',
    '    upstream: http://more:8080',
    `    token: ${token}`,
    ...more.map((line) => `    ${line}`),
  ])
  const route = (await explainedOf(path)).routes.at(-1)
  expect([...new Set([route?.grant, route?.bearer_grant])].filter(Boolean).join(', ')).toBe(grant)
  expect(route?.grant_chosen.by).toBe(by)
  if (type !== undefined) expect(route?.asked_as?.grant_type).toContain(type)
  expect(route?.upstream_sees.text).toContain(sees)
  expect((await shell(['explain', '-c', path, 'api/more'])).out).toContain(grant.split(', ')[0])
})

it('an API key is said to travel where it travels', async () => {
  const path = config({}, [
    '  - path: /api/more',
    '    upstream: http://more:8080',
    '    token: { principal: app, grant: static, key_file: /key, header: X-API-Key }',
    '    allow: { groups: [g] }',
  ])
  const request = (await explainedOf(path)).routes.at(-1)?.headers.request
  expect(request?.authorization.text).toContain('x-api-key')
  expect(request?.set).toContain('x-api-key')
  expect(request?.set).not.toContain('authorization')
})

it('a route without token: no Authorization, no CSRF guard, anybody’s answer', async () => {
  const open = (await explainedOf(config())).routes[2]
  expect(open).toMatchObject({
    grant: null,
    asked_as: null,
    allow: { rule: null, text: 'anyone, signed in or not' },
    csrf: { required: false },
    headers: { request: { only: null, authorization: { attached: 'none' } }, response: { cache: { shared: true } } },
  })
  expect(open?.headers.request.set).not.toContain('authorization')
  const guarded = await explainedOf(config({}, ['    allow: signed_in']))
  expect(guarded.routes[2]).toMatchObject({ csrf: { required: true }, headers: { response: { cache: { shared: false } } } })
})

describe('an audience is put to the provider as its profile wants it', () => {
  const entra = '  profile: entra\n  tenant: contoso.onmicrosoft.com'
  it.each`
    profile                       | issuer                                                     | user                                                                                                                             | app
    ${'generic'}                  | ${'  issuer: https://id.example.com'}                      | ${{ resource: 'api://orders', audience: null, scope: 'openid profile orders.read orders.write' }}                                | ${{ resource: 'api://orders', audience: null, scope: 'all' }}
    ${'generic, target audience'} | ${'  issuer: https://id.example.com\n  target: audience'}  | ${{ resource: null, audience: 'api://orders', scope: 'openid profile orders.read orders.write' }}                                | ${{ resource: null, audience: 'api://orders', scope: 'all' }}
    ${'keycloak'}                 | ${'  profile: keycloak\n  issuer: https://id.example.com'} | ${{ resource: null, audience: null, scope: 'openid profile orders.read orders.write', note: expect.stringContaining('mapper') }} | ${{ resource: null, audience: null, scope: 'all' }}
    ${'entra'}                    | ${entra}                                                   | ${{ resource: null, audience: null, scope: 'api://orders/orders.read api://orders/orders.write openid profile offline_access' }} | ${{ resource: null, audience: null, scope: 'api://orders/.default' }}
  `('$profile', async ({ issuer, user, app }) => {
    const { routes } = await explainedOf(config({ issuer }))
    expect(routes[0]?.asked_as).toMatchObject({ grant_type: 'refresh_token', ...user })
    expect(routes[1]?.asked_as).toMatchObject({ grant_type: 'client_credentials', ...app })
  })
})

it('what `auto` picked is told from what was written', async () => {
  const { routes } = await explainedOf(config())
  expect(routes.map(({ grant, grant_chosen }) => [grant, grant_chosen.by])).toEqual([
    ['refresh', 'auto'],
    ['client_credentials', 'settings'],
    [null, 'auto'],
  ])
  expect((await shell(['explain', '-c', config(), 'api/orders'])).out).toMatch(
    /^ {2}grant +refresh \(auto\): a token of the signed-in user/m,
  )
})

it('the removed headers it lists are those that the proxy drops', async () => {
  const { headers } = await explainedOf(config())
  expect(headers.request.removed).toEqual(expect.arrayContaining(['authorization', 'cookie', 'x-csrf', 'forwarded']))
  expect(headers.request.removed_beginning).toEqual(expect.arrayContaining(['x-forwarded-', 'x-auth-']))
  expect(headers.response.removed_beginning).toContain('access-control-')
  for (const name of headers.request.removed) expect(isDropped(name), name).toBe(true)
  for (const start of headers.request.removed_beginning) expect(isDropped(`${start}x`), start).toBe(true)
})

it('the table names every route and fits 100 columns, however long the words are', async () => {
  const long = 'a'.repeat(150)
  const path = config({}, [
    `  - path: /${long}/${long}`,
    `    name: long`,
    `    upstream: http://${'sub.'.repeat(30)}example`,
    `    token: { principal: user, audience: "https://${long}.example/${long}", scopes: [${Array.from({ length: 30 }, (_, i) => `scope-number-${i}`).join(', ')}] }`,
    `    allow: { roles: [${Array.from({ length: 200 }, (_, i) => `role-${i}`).join(', ')}] }`,
  ])
  const { code, out } = await shell(['explain', '-c', path])
  expect(code).toBe(0)
  const lines = out.split('\n')
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100)
  for (const word of ['/api/orders', '/status', 'client_credentials', 'api://orders', 'nobody', 'anyone signed in'])
    expect(out).toContain(word)
  expect(lines.length).toBeLessThan(120)
  const told = (await shell(['explain', '-c', path, 'long'])).out
  expect(told).toContain('role-199')
  expect(Math.max(...told.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100)
})

it('fits every terminal, and loses no word of a short rule in a narrow one', async () => {
  const path = config()
  for (const columns of [40, 60, 79, 80, 100, 133, 200])
    for (const argv of [[], ['admin'], ['/api/orders/7'], ['/api/%6f']]) {
      const out = await withColumns(columns, argv, path)
      expect(Math.max(...out.split('\n').map((line) => line.length)), `${columns} ${argv.join()}`).toBeLessThanOrEqual(columns)
    }
  const words = (text: string): string => text.replaceAll(/\s+/g, ' ')
  expect(words(await withColumns(40, [], path))).toContain(
    'anyone signed in who has one of the roles admin, ops and (is in the group g1 or',
  )
})

it('what a terminal would obey is not printed', async () => {
  const path = config({}, ['    allow: { claims: { "\\e[31mred\\u202e": "\\e]0;owned\\a" } }'])
  const told = await Promise.all([
    shell(['explain', '-c', path]),
    shell(['explain', '-c', path, 'status']),
    shell(['explain', '-c', path, '/x\u001b[31m']),
  ])
  for (const { code, out } of told) {
    expect(code).toBe(0)
    expect(out).not.toMatch(/[^\n\P{Cc}]|\p{Cf}/u)
  }
})

it('is plain in a pipe and dims only on a terminal', async () => {
  const path = config()
  expect((await shell(['explain', '-c', path], {}, false)).out).not.toContain('\u001b')
  expect((await shell(['explain', '-c', path], {}, true)).out).toContain('\u001b[2m')
})

describe('of what it is given', () => {
  it('a name that no route has is answered with those there are, and is not repeated', async () => {
    const typed = canary('typed')
    const done = await shell(['explain', '-c', config(), typed])
    expect(done.code).toBe(1)
    expect(done.err).toContain('api/orders, admin, status')
    const asJson = await shell(['explain', '-c', config(), '-o', 'json', typed])
    expect([asJson.code, JSON.parse(asJson.out)]).toEqual([1, { ok: false, reason: 'no route has this name' }])
    expectNoLeak([typed], { err: done.err, json: asJson.out + asJson.err })
  })
  it('the query of a path is not repeated: it may hold a code', async () => {
    const typed = canary('query')
    const told = await Promise.all([
      shell(['explain', '-c', config(), `/api/orders?code=${typed}`]),
      shell(['explain', '-c', config(), '-o', 'json', `/api/orders?code=${typed}`]),
      shell(['explain', '-c', config(), `http://localhost:8080/api/orders?code=${typed}`]),
    ])
    expect(told.map(({ code }) => code)).toEqual([0, 0, 0])
    expectNoLeak([typed], { out: told.map(({ out, err }) => out + err).join() })
  })
  it('a whole URL of ours is a path; another’s is wrong usage', async () => {
    const ours = await explainedOf(config(), 'http://localhost:8080/api/orders/7')
    expect(ours.claim).toMatchObject({ kind: 'route', name: 'api/orders', path: '/api/orders/7' })
    expect(ours.routes.map(({ name }) => name)).toEqual(['api/orders'])
    expect((await shell(['explain', '-c', config(), 'https://other.example/api'])).code).toBe(2)
    expect((await shell(['explain', '-c', config(), '/a', '/b'])).code).toBe(2)
  })
  it('a configuration that is refused is not explained', async () => {
    const path = file(good({ client_id: '' }))
    expect(await shell(['explain', '-c', path])).toMatchObject({ code: 1, out: '', err: expect.stringContaining('config.value-missing') })
    expect(JSON.parse((await shell(['explain', '-c', path, '-o', 'json'])).out)).toMatchObject({ ok: false })
  })
})

it('never prints a secret, in no format', async () => {
  const secret = canary('explain')
  const path = file(
    good({ client_auth: '  client_auth: [{ client_secret: "${env:S}" }]' }, [
      'session:',
      '  keys_dir: keys',
      '  store: { redis: { url: "redis://u:${env:S}@127.0.0.1" } }',
      ...ROUTES,
    ]),
  )
  for (const operands of [[], ['admin'], ['/api/orders/1'], ['/bff/login'], ['nothing']])
    for (const output of ['text', 'json']) {
      const done = await shell(['explain', '-c', path, '-o', output, ...operands], { S: secret })
      expectNoLeak([secret], { [`${operands.join()} ${output}`]: done.out + done.err })
    }
})

it('whatever the words and the width, no line is wider and no word lost', async () => {
  const { labelled, table, wrapped } = await import('../../../src/cli/text-table.ts')
  const text = fc.array(fc.stringMatching(/^[a-z0-9/.,:-]{1,40}$/), { maxLength: 8 }).map((words) => words.join(' '))
  fc.assert(
    fc.property(text, fc.integer({ min: 8, max: 60 }), (words, width) => {
      const lines = wrapped(words, width)
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(width)
      expect(lines.join('').replaceAll(' ', '')).toBe(words.replaceAll(' ', ''))
    }),
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(text, text, text), { maxLength: 5 }), fc.integer({ min: 40, max: 120 }), (rows, width) => {
      for (const line of table(['one', 'two', 'three'], rows, width).split('\n')) expect(line.length).toBeLessThanOrEqual(width)
    }),
  )
  expect(
    labelled(
      [
        ['name', 'x y'],
        ['', '  - z'],
      ],
      40,
    ),
  ).toBe('  name  x y\n          - z\n')
})

it('a route for callers with access tokens: who they are told to the upstream, and where they find what they need', async () => {
  const path = config({}, [
    '  - path: /api/told',
    '    upstream: http://told:8080',
    '    token: { principal: app, audience: api://told }',
    '    callers: [session, bearer]',
    '    allow: { any_of: [{ roles: [clerk] }, { clients: [nightly] }] }',
    '    user_context: signed',
    '    headers: { request: { identity: { X-User: sub } } }',
  ])
  const got = await shell(['explain', '-c', path, '-o', 'json'], { S: 'x' })
  const { routes, endpoints } = JSON.parse(got.out) as Explanation
  expect(routes.at(-1)).toMatchObject({
    callers: ['session', 'bearer'],
    allow: {
      text: 'any caller who has the role clerk or calls through the application nightly',
      reads: ['ID token or access token: roles', 'the caller’s access token'],
    },
    headers: {
      request: {
        identity: { 'x-user': 'sub' },
        user_context: { header: 'sallyport-user-context', audience: 'api://told', claims: ['sub', 'tid'] },
      },
    },
  })
  expect(endpoints.slice(-3)).toEqual([
    { name: 'context-keys', path: '/.well-known/sallyport/context-jwks.json' },
    { name: 'protected-resource', path: '/.well-known/oauth-protected-resource' },
    { name: 'protected-resource', path: '/.well-known/oauth-protected-resource/api/told' },
  ])
  const { out } = await shell(['explain', '-c', path, 'api/told'], { S: 'x' })
  expect(out).toContain('x-user: the user’s sub, unsigned')
  expect(out.replaceAll(/\s+/g, ' ')).toContain('sallyport-user-context: signed, for api://told: sub, tid')
  const claim = await shell(['explain', '-c', path, '/.well-known/oauth-protected-resource/nothing'], { S: 'x' })
  expect(claim.out).toContain('there is no such endpoint')
})
