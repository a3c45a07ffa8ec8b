import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compileRoutes } from '../../src/assembly/compile-routes.ts'
import { claimOf, type Claim } from '../../src/cli/explain-path.ts'
import { explanationOf } from '../../src/cli/explanation.ts'
import { type EdgeHost, edgeHost, fetching, navigation } from '../harness/edge-host.ts'
import { good, loaded } from '../unit/config/a-config.ts'

/** `explain` must not have an opinion of its own: whom it names for a path is who takes it when the path is really asked for. */
const configuration = (upstream: string) =>
  loaded(
    good({}, [
      `frontend: { upstream: "${upstream}", require_sign_in: [/app] }`,
      'routes:',
      ...['/api', '/api/orders', '/api/orders/v2/items', '/files'].flatMap((path) => [
        `  - path: ${path}`,
        `    upstream: ${upstream}`,
        '    token: { principal: user, audience: a }',
      ]),
    ]),
  )

let host: EdgeHost
let explained: ReturnType<typeof configuration>
beforeAll(async () => {
  host = await edgeHost({
    frontend: 'upstream',
    requireSignIn: ['/app'],
    routes: (upstream) => {
      explained = configuration(upstream.origin)
      return compileRoutes(explained.settings.routes)
    },
  })
})
afterAll(() => host.close())

const PATHS = [
  ...[
    '/',
    '/index.html',
    '/deep/er',
    '/app',
    '/app/x',
    '/App/x',
    '/apps',
    '/apix',
    '/API/orders',
    '/fil',
    '/files',
    '/files/',
    '/files/a/b',
  ],
  ...[
    '/api',
    '/api/',
    '/api/x',
    '/api/orders',
    '/api/orders/',
    '/api/orders/7?x=%2f',
    '/api/ordersx',
    '/api/orders/v2',
    '/api/orders/v2/items/1',
  ],
  ...[
    '/api/Orders',
    '/api/ORDERS/7',
    '/api/orders/V2/items',
    '/api/Other',
    '/api/%61',
    '/api%2forders',
    '/api/orders%2f7',
    '/api/./x',
    '/api/../x',
  ],
  ...[
    '/api//orders',
    '//api',
    '/api/x;y',
    '/api/x%00',
    '/api/caf%C3%A9',
    '/api/a%2520b',
    '/api/a%252fb',
    '/api\\x',
    '/%2e/x',
    '/.well-known/x',
  ],
  ...[
    '/bff',
    '/bff/',
    '/bff/nothing',
    '/bff/user',
    '/bff/user?slide=false',
    '/bff/user/',
    '/bff/login',
    '/bff/logout',
    '/bff/logout/callback',
    '/BFF/user',
  ],
  ...[
    '/.well-known/sallyport/client-jwks.json',
    '/.well-known/sallyport',
    '/bffx',
    '/bff/session',
    '/bff/session/refresh',
    '/bff/continue',
    '/bff/callback',
    '/bff/log%6fut',
  ],
]

describe('explain names for a path who really takes it', () => {
  it.each(PATHS)('%s', async (path) => {
    const claim = claimOf(path, explained.settings, explanationOf(explained))
    host.access.length = 0
    const page = claim.kind === 'frontend'
    const got = await host.ask(path, { headers: page ? navigation() : fetching })
    expect(host.access).toHaveLength(1)
    const [{ route } = { route: '' }] = host.access
    const code = got.headers['content-type']?.includes('problem+json') ? (JSON.parse(got.body) as { code: string }).code : undefined
    switch (claim.kind) {
      case 'route':
        return expect([route, got.status, code]).toEqual([claim.name, 401, 'session.absent'])
      case 'endpoint':
        expect(route).toBe(claim.name)
        return expect(code).not.toBe('endpoint.unknown')
      case 'frontend':
        return expect([route, got.status]).toEqual(['frontend', claim.sign_in ? 302 : 200])
      case 'refused':
        return expect([code, got.status]).toEqual([claim.problem, claim.problem === 'request.path-ambiguous' ? 400 : 404])
      case 'nobody':
        throw new Error('there is a frontend')
    }
  })

  it('and the paths above are of every kind', () => {
    const claims = PATHS.map((path): Claim => claimOf(path, explained.settings, explanationOf(explained)))
    expect(new Set(claims.map(({ kind, problem, sign_in }) => `${kind} ${problem} ${sign_in}`))).toEqual(
      new Set([
        'route null false',
        'endpoint null false',
        'frontend null false',
        'frontend null true',
        'refused request.path-ambiguous false',
        'refused endpoint.unknown false',
      ]),
    )
  })
})

it('without a frontend nobody takes the rest', () => {
  const { settings, origins } = loaded(good())
  expect(claimOf('/x', settings, explanationOf({ settings, origins }))).toMatchObject({ kind: 'nobody', problem: 'endpoint.unknown' })
})
