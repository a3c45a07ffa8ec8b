import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { loadSettings } from '../../../src/config/load.ts'
import { good, load, loaded, ROUTE } from './a-config.ts'

const here = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')

const SPEC = `public_url: https://shop.example.com
provider:
  profile: entra                        # entra | keycloak | okta | auth0 | google | generic
  tenant: contoso.onmicrosoft.com       # or issuer: https://…
  client_id: 5c1d0f6e-…
  client_auth: [{ certificate_dir: /run/sallyport/credential }]
session:
  keys_dir: /run/sallyport/session-keys
  store: { redis: { url: rediss://redis:6379, password_file: /run/redis/password } }
frontend: { dir: /srv/www }              # require_sign_in: [/app] for pages that need a session
routes:
  - path: /api/orders
    upstream: http://orders:8080
    token: { principal: user, audience: api://orders, scopes: [orders.read] }
  - path: /api/catalog
    upstream: http://catalog:8080
    token: { principal: app, audience: api://catalog }
    allow: signed_in
`

describe('the 18-line configuration of the contract', () => {
  const { settings, warnings } = loaded(SPEC)

  // docs/decisions/0029: its catalogue is written to with the application's rights by whoever is signed in.
  it('loads with one warning, which is meant', () => {
    expect(warnings.map(({ code, path }) => `${code} ${path}`)).toEqual(['config.app-rights-for-everybody routes[1].allow'])
  })

  it('is an Entra tenant with a certificate', () => {
    expect(settings.providers.default).toMatchObject({
      profile: 'entra',
      issuer: 'https://login.microsoftonline.com/contoso.onmicrosoft.com/v2.0',
      tenant: 'contoso.onmicrosoft.com',
      clientAuth: [{ kind: 'certificate-dir', dir: '/run/sallyport/credential' }],
      scopes: ['openid', 'profile', 'offline_access'],
      timeoutMs: 5000,
      insecureAllowHttpIssuer: false,
    })
  })

  it('names a tenant as Entra does, however it is written', () => {
    const written = SPEC.replace('contoso.onmicrosoft.com ', '5C1D0F6E-0000-4000-8000-00000000000A')
    expect(loaded(written).settings.providers.default.issuer).toBe(
      'https://login.microsoftonline.com/5c1d0f6e-0000-4000-8000-00000000000a/v2.0',
    )
  })

  it('has the defaults of the contract', () => {
    expect(settings.login.rate).toEqual({ perAddress: { count: 60, perMs: 60_000 }, global: { count: 600, perMs: 60_000 } })
    expect(settings.providers.default.par).toBe('auto')
    expect(settings.basePath).toBe('/bff')
    expect(settings.listen).toEqual({
      public: { kind: 'tcp', host: '0.0.0.0', port: 8080 },
      ops: { kind: 'tcp', host: '0.0.0.0', port: 9090 },
      admin: { kind: 'unix', path: '/run/sallyport/admin.sock' },
      trustedProxies: [],
      tls: undefined,
    })
    expect(settings.session).toMatchObject({
      idleTimeoutMs: 3_600_000,
      absoluteTimeoutMs: 36_000_000,
      recheckMs: 3_600_000,
      recheckGraceMs: 3_600_000,
      keysSettleMs: 300_000,
      store: {
        kind: 'redis',
        graceMs: 15_000,
        redis: {
          servers: { kind: 'one', host: 'redis', port: 6379, database: 0 },
          tls: true,
          passwordFile: '/run/redis/password',
          keyPrefix: 'sallyport',
        },
      },
    })
  })

  it('calls one upstream as the user and one as the application', () => {
    expect(settings.routes.map(({ name, token, allow, upstreamPath }) => ({ name, token, allow, upstreamPath }))).toMatchObject([
      {
        name: 'api/orders',
        token: { principal: 'user', grant: 'refresh', audience: 'api://orders', scopes: ['orders.read'] },
        allow: { kind: 'signed-in' },
        upstreamPath: '/api/orders',
      },
      {
        name: 'api/catalog',
        token: { principal: 'app', grant: 'client_credentials', audience: 'api://catalog', scopes: [] },
        allow: { kind: 'signed-in' },
        upstreamPath: '/api/catalog',
      },
    ])
  })
})

const readmeYaml = (): string => /```yaml\n([^]*?)```/.exec(here('README.md'))?.[1] ?? ''
const DEMO = {
  DEMO_PORT: '8080',
  DEMO_FOLDER: '/f',
  DEMO_ISSUER: 'http://localhost:1',
  DEMO_CLIENT_SECRET: 's',
  DEMO_FRONTEND: '/w',
  DEMO_ORDERS: 'http://127.0.0.1:2',
  DEMO_CUSTOMERS: 'http://127.0.0.1:3',
  DEMO_INVENTORY: 'http://127.0.0.1:4',
  DEMO_CONTROLS: 'http://127.0.0.1:5',
}

it.each([
  ['README.md', readmeYaml()],
  ['deploy/sallyport.yaml', here('deploy/sallyport.yaml')],
  ['src/dev/demo.yaml', here('src/dev/demo.yaml')],
])('the configuration in %s loads', (_name, text) => {
  expect(text.length).toBeGreaterThan(100)
  expect(loaded(text, { env: DEMO }).settings.routes.length).toBeGreaterThan(0)
})

it('the README shows the whole of it in 18 lines, and nothing is left to be warned about', () => {
  expect(readmeYaml().trimEnd().split('\n')).toHaveLength(18)
  expect(loaded(readmeYaml()).warnings).toEqual([])
})

it.each`
  upstream            | strip    | lands        | because
  ${'http://a:1'}     | ${false} | ${'/api'}    | ${'the path is forwarded as it is'}
  ${'http://a:1/'}    | ${false} | ${'/api'}    | ${'a bare slash is no path'}
  ${'http://a:1/v2'}  | ${false} | ${'/v2/api'} | ${'the path of the upstream comes first'}
  ${'http://a:1/v2/'} | ${true}  | ${'/v2'}     | ${'stripped, the upstream’s path stays'}
  ${'http://a:1'}     | ${true}  | ${''}        | ${'stripped down to the root'}
`('$upstream, strip_prefix $strip, forwards to "$lands": $because', ({ upstream, strip, lands }) => {
  const { settings } = loaded(
    good({}, [
      'routes:',
      '  - path: /api',
      `    upstream: ${upstream}`,
      `    strip_prefix: ${strip}`,
      '    token: { principal: user, audience: a }',
    ]),
  )
  expect(settings.routes[0]?.upstreamPath).toBe(lands)
  expect(settings.routes[0]?.upstream.href).toBe('http://a:1/')
})

it('nested routes are plain: the longest path wins', () => {
  expect(
    loaded(good({}, [...ROUTE, '  - path: /api/orders', '    upstream: http://b:1', '    token: { principal: none }'])).settings.routes,
  ).toHaveLength(2)
  expect(
    loaded(good({}, [...ROUTE, '  - path: /apiary', '    upstream: http://b:1', '    token: { principal: none }'])).settings.routes,
  ).toHaveLength(2)
})

it('a rule keeps its shape', () => {
  const allow =
    '{ any_of: [{ roles: [clerk] }, { all_of: [{ claims: { dept: [a, b], level: 3 } }, { tenant: t1 }, { scopes: [x] }, signed_in] }] }'
  expect(loaded(good({}, [...ROUTE, `    allow: ${allow}`])).settings.routes[0]?.allow).toEqual({
    kind: 'any-of',
    rules: [
      { kind: 'role', anyOf: ['clerk'] },
      {
        kind: 'all-of',
        rules: [
          {
            kind: 'all-of',
            rules: [
              { kind: 'claim', name: 'dept', anyOf: ['a', 'b'] },
              { kind: 'claim', name: 'level', anyOf: [3] },
            ],
          },
          { kind: 'tenant', anyOf: ['t1'] },
          { kind: 'scope', anyOf: ['x'] },
          { kind: 'signed-in' },
        ],
      },
    ],
  })
})

describe('references', () => {
  it('are expanded inside a value, and what they yield is not expanded again', () => {
    const { settings } = loaded(good({ client_id: '  client_id: "a-${env:A}-${file:id}"' }), {
      env: { A: '${env:B}', B: 'no' },
      files: { '/etc/sallyport/id': 'x\n' },
    })
    expect(settings.providers.default.clientId).toBe('a-${env:B}-x')
  })

  it('yield text that stays text: a secret of digits is not a number', () => {
    const { settings } = loaded(good({ client_auth: '  client_auth: [{ client_secret: "${env:S}" }]' }), { env: { S: '00012345' } })
    const [auth] = settings.providers.default.clientAuth
    expect(auth?.kind === 'secret' && auth.secret.reveal()).toBe('00012345')
  })

  it('are understood where a number, a size or a duration is wanted', () => {
    const { settings } = loaded(good({}, ['session: { idle_timeout: "${env:T}", l1: { entries_max: "${env:N}" } }']), {
      env: { T: '90s', N: '5' },
    })
    expect(settings.session).toMatchObject({ idleTimeoutMs: 90_000, l1: { entriesMax: 5 } })
  })

  it('of Redis name a Cluster or sentinels, with TLS unless they say otherwise', () => {
    const at = (line: string) => {
      const { store } = loaded(good({}, ['session:', '  keys_dir: keys', `  store: { redis: { ${line} } }`])).settings.session
      return store.kind === 'redis' ? store.redis : undefined
    }
    expect(at('cluster: { nodes: [redis_1:7000, "[::1]:7001"] }')).toMatchObject({
      servers: {
        kind: 'cluster',
        nodes: [
          { host: 'redis_1', port: 7000 },
          { host: '::1', port: 7001 },
        ],
      },
      tls: true,
    })
    const sentinel = at('tls: false, sentinel: { name: main, nodes: [localhost:26379], username: s, password_file: p }')
    expect(sentinel).toMatchObject({
      servers: { kind: 'sentinel', name: 'main', username: 's', passwordFile: '/etc/sallyport/p' },
      tls: false,
    })
    const proof = at('url: rediss://r, certificate_file: c.pem, private_key_file: k.pem')
    expect(proof).toMatchObject({ certificateFile: '/etc/sallyport/c.pem', privateKeyFile: '/etc/sallyport/k.pem' })
  })
  it('may be the password of the Redis URL', () => {
    const store = (url: string): string => good({}, ['session:', '  keys_dir: keys', `  store: { redis: { url: "${url}" } }`])
    const from = { env: { PW: 'p%40ss', URL: 'rediss://u:whole@r:1/2' }, files: { '/pw': 'p%40ss' } }
    for (const url of ['rediss://u:${env:PW}@r:1/2', 'rediss://u:${file:/pw}@r:1/2']) {
      const { store: made } = loaded(store(url), from).settings.session
      expect(made).toMatchObject({ redis: { servers: { host: 'r', port: 1, database: 2 }, username: 'u', tls: true } })
      expect(made.kind === 'redis' && made.redis.password?.reveal()).toBe('p@ss')
    }
    const { store: whole } = loaded(store('${env:URL}'), from).settings.session
    expect(whole.kind === 'redis' && whole.redis.password?.reveal()).toBe('whole')
  })
})

it('relative paths start from the folder of the file', () => {
  const { settings } = loaded(
    good({ client_auth: '  client_auth: [{ client_secret_file: secrets/client }]' }, [
      'frontend: { dir: ../www }',
      'session: { keys_dir: keys }',
    ]),
  )
  expect(settings.providers.default.clientAuth).toEqual([
    { kind: 'secret-file', file: '/etc/sallyport/secrets/client', method: 'client_secret_basic' },
  ])
  expect(settings.frontend).toEqual({
    kind: 'dir',
    dir: '/etc/www',
    requireSignIn: [],
    csp: 'default',
    immutable: 'auto',
    sourceMaps: false,
  })
  expect(settings.session.keysDir).toBe('/etc/sallyport/keys')
})

it('the issuer stays as written, byte for byte', () => {
  for (const issuer of ['https://id.example.com', 'https://id.example.com/', 'https://ID.example.com/Realms/x'])
    expect(loaded(good({ issuer: `  issuer: ${issuer}` })).settings.providers.default.issuer).toBe(issuer)
})

it('aliases repeat a part of the file', () => {
  const { settings } = loaded(
    good({}, [
      'routes:',
      '  - &r',
      '    path: /a',
      '    upstream: &u http://a:1',
      '    token: &t { principal: user, audience: a }',
      '  - { path: /b, upstream: *u, token: *t }',
    ]),
  )
  expect(settings.routes[1]).toMatchObject({ path: '/b', token: { principal: 'user', audience: 'a' } })
})

it('aliases that multiply are cut off before they fill memory', () => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefgh'.split('').map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefg'[i]}`).join(',')}]`),
  ].join('\n')
  const result = load(`${good()}\n${bomb}`)
  expect(result.kind === 'refused' && result.findings.some(({ code }) => code === 'config.yaml-too-complex')).toBe(true)
})

it('an alias inside itself ends', () => {
  expect(load(`${good()}\nframeworks: &x [*x]`).kind).toBe('refused')
})

it('prototype keys change nothing', () => {
  const result = load(good({}, ['session: { __proto__: { polluted: 1 } }']))
  expect(result.kind).toBe('refused')
  expect(Reflect.get({}, 'polluted')).toBeUndefined()
})

it('a byte order mark and Windows line ends are harmless', () => {
  expect(loadSettings({ file: 'x.yaml', text: `\uFEFF${good().replaceAll('\n', '\r\n')}`, env: {} }).kind).toBe('ok')
})

it('secrets print as [secret], whoever prints the settings', () => {
  const { settings } = loaded(good({ client_auth: '  client_auth: [{ client_secret: "${env:S}" }]' }), { env: { S: 'planted' } })
  expect(JSON.stringify(settings)).not.toContain('planted')
})
