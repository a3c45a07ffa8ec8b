import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ENDPOINTS } from '../../src/contract/paths.ts'
import { type EdgeHost, edgeHost, fetching, navigation, signedIn } from '../harness/edge-host.ts'
import { aRoute, exchangeRaw, parseAnswer } from '../harness/proxy-host.ts'
import { the } from '../harness/the.ts'

/** What pages of other origins can make a browser send, and what they cannot make it count for. */
let host: EdgeHost
let cookie: string
beforeAll(async () => {
  host = await edgeHost({
    // An upstream that would gladly let anybody in.
    upstream: (request, response) => {
      response.writeHead(200, {
        ...{ 'access-control-allow-origin': request.headers.origin ?? '*', 'access-control-allow-credentials': 'true' },
        ...{ 'access-control-allow-headers': 'x-csrf', 'access-control-allow-methods': '*', 'access-control-expose-headers': '*' },
        ...{ 'access-control-max-age': '86400', 'access-control-allow-private-network': 'true' },
      })
      response.end('upstream')
    },
    routes: (upstream) => [
      aRoute(upstream, { route: { token: { principal: 'user', ask: { ...the.orders, grant: 'refresh' } } } }),
      aRoute(upstream, {
        route: { name: 'public', path: '/public', upstreamPath: '/public', allow: undefined, token: { principal: 'none' } },
      }),
    ],
  })
  cookie = await signedIn(host)
})
afterAll(() => host.close())
beforeEach(() => {
  host.upstreamSaw.length = 0
  host.events.length = 0
})

const SIMPLE = ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']
const from = (site: string, mode: string, dest: string): Record<string, string> => ({
  ...{ 'sec-fetch-site': site, 'sec-fetch-mode': mode, 'sec-fetch-dest': dest, origin: 'https://evil.example' },
})
/** Everything a page can have sent without a preflight, by method and how it was loaded. */
const SHAPES: readonly (readonly [string, string, Record<string, string>])[] = [
  ...(['cross-site', 'same-site'] as const).flatMap((site) => [
    ...SIMPLE.map((type) => [`a ${site} form of ${type}`, 'POST', { ...navigation(site), 'content-type': type, origin: 'null' }] as const),
    ...SIMPLE.map((type) => [`a ${site} fetch of ${type}`, 'POST', { ...from(site, 'no-cors', 'empty'), 'content-type': type }] as const),
    [`a ${site} fetch`, 'GET', from(site, 'no-cors', 'empty')] as const,
    [`a ${site} HEAD`, 'HEAD', from(site, 'no-cors', 'empty')] as const,
    [`a ${site} image`, 'GET', from(site, 'no-cors', 'image')] as const,
    [`a ${site} script`, 'GET', from(site, 'no-cors', 'script')] as const,
    [`a ${site} frame`, 'GET', { ...navigation(site), 'sec-fetch-dest': 'iframe' }] as const,
    [`a ${site} link`, 'GET', navigation(site)] as const,
    [`a ${site} beacon`, 'POST', { ...from(site, 'no-cors', 'empty'), 'content-type': 'text/plain' }] as const,
    [`a ${site} EventSource`, 'GET', { ...from(site, 'cors', 'empty'), accept: 'text/event-stream' }] as const,
  ]),
  ['a typed address', 'GET', navigation('none')],
  ['an old browser’s image', 'GET', { accept: 'image/*' }],
  ['an old browser’s form', 'POST', { origin: 'https://evil.example', 'content-type': 'text/plain' }],
  ['an old browser’s form without origin', 'POST', { 'content-type': 'application/x-www-form-urlencoded' }],
]
const GUARDED = ['/api/orders', `/bff${ENDPOINTS.user}`, `/bff${ENDPOINTS.session}`, `/bff${ENDPOINTS.sessionRefresh}`]

describe('a request that a page of another origin can make is refused before the session is looked at', () => {
  it.each(SHAPES)('%s', async (_name, method, headers) => {
    for (const path of GUARDED) {
      const got = await host.ask(path, { method, headers: { ...headers, cookie } })
      // 405: the endpoint knows no such method at all.
      expect([403, 405], `${method} ${path}`).toContain(got.status)
      expect(got.headers['set-cookie']).toBeUndefined()
    }
    expect(host.upstreamSaw).toEqual([])
    expect((await host.ask('/bff/user', { headers: { ...fetching, cookie } })).status).toBe(200)
  })

  it.each(['same-site', 'cross-site', 'none', 'same-origin, same-origin', ''])(
    'not even with the header when Sec-Fetch-Site says %j',
    async (site) => {
      for (const [path, method] of [
        ['/api/orders', 'POST'],
        ['/api/orders', 'GET'],
        ['/bff/user', 'GET'],
        ['/bff/logout', 'POST'],
      ] as const) {
        const got = await host.ask(path, { method, headers: { ...fetching, origin: host.origin, 'sec-fetch-site': site, cookie } })
        expect([got.status, JSON.parse(got.body)], path).toMatchObject([403, { code: 'csrf.cross-site' }])
      }
      expect(host.upstreamSaw).toEqual([])
    },
  )

  it('each refusal is audited with where it came from, and the rules let the frontend itself through', async () => {
    await host.ask('/api/orders', { method: 'POST', headers: { ...from('cross-site', 'no-cors', 'empty'), cookie } })
    expect(host.events).toMatchObject([{ event: 'csrf.refused', code: 'csrf.cross-site', route: 'api/orders', address: '127.0.0.1' }])
    expect((await host.ask('/api/orders', { method: 'POST', headers: { ...fetching, cookie } })).status).toBe(200)
    // Images, downloads and EventSource of our own pages cannot set a header; only reads pass so.
    const image = { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image', cookie }
    expect((await host.ask('/api/orders', { headers: image })).status).toBe(200)
    expect((await host.ask('/api/orders', { method: 'POST', headers: image })).status).toBe(403)
  })
})

describe('X-CSRF counts as a header and as nothing else', () => {
  const head = (target: string, ...lines: string[]): string =>
    [
      `POST ${target} HTTP/1.1`,
      `Host: localhost:${host.port}`,
      `Cookie: ${cookie}`,
      `Origin: ${host.origin}`,
      'Connection: close',
      ...lines,
    ].join('\r\n')
  it.each<[string, number, string, () => string]>([
    ['in the query', 403, 'csrf.header-absent', () => `${head('/api/orders?x-csrf=1&X-CSRF=1', 'Content-Length: 0')}\r\n\r\n`],
    [
      'in the body',
      403,
      'csrf.header-absent',
      () => `${head('/api/orders', 'Content-Type: application/x-www-form-urlencoded', 'Content-Length: 8')}\r\n\r\nx-csrf=1`,
    ],
    [
      'in the trailer',
      403,
      'csrf.header-absent',
      () => `${head('/api/orders', 'Transfer-Encoding: chunked', 'Trailer: x-csrf')}\r\n\r\n1\r\nx\r\n0\r\nX-CSRF: 1\r\n\r\n`,
    ],
    ['in a cookie', 403, 'csrf.header-absent', () => `${head('/api/orders', 'Cookie: x-csrf=1', 'Content-Length: 0')}\r\n\r\n`],
    ['empty', 403, 'csrf.header-absent', () => `${head('/api/orders', 'X-CSRF:', 'Content-Length: 0')}\r\n\r\n`],
    ['with another value', 403, 'csrf.header-absent', () => `${head('/api/orders', 'X-CSRF: true', 'Content-Length: 0')}\r\n\r\n`],
    ['twice', 403, 'csrf.header-absent', () => `${head('/api/orders', 'X-CSRF: 1', 'X-CSRF: 1', 'Content-Length: 0')}\r\n\r\n`],
    ['with an underscore', 403, 'csrf.header-absent', () => `${head('/api/orders', 'X_CSRF: 1', 'Content-Length: 0')}\r\n\r\n`],
    [
      'as a part of a longer name',
      403,
      'csrf.header-absent',
      () => `${head('/api/orders', 'X-CSRF-Token: 1', 'Content-Length: 0')}\r\n\r\n`,
    ],
    [
      'folded into the line before',
      400,
      'request.malformed',
      () => `${head('/api/orders', 'X-A: b\r\n X-CSRF: 1', 'Content-Length: 0')}\r\n\r\n`,
    ],
    ['with a blank before the colon', 400, 'request.malformed', () => `${head('/api/orders', 'X-CSRF : 1', 'Content-Length: 0')}\r\n\r\n`],
  ])('%s it is none', async (_name, status, code, text) => {
    const got = parseAnswer(await exchangeRaw(host.port, text()))
    expect([got.status, JSON.parse(got.body)]).toMatchObject([status, { code }])
    expect(host.upstreamSaw).toEqual([])
  })
  it('and as a header, however it is written, it does', async () => {
    const got = parseAnswer(await exchangeRaw(host.port, `${head('/api/orders', 'x-CsRf:1', 'Content-Length: 0')}\r\n\r\n`))
    expect([got.status, host.upstreamSaw.length]).toEqual([200, 1])
  })
})

describe('no other origin is ever approved of', () => {
  const corsOf = (headers: object): string[] => Object.keys(headers).filter((name) => name.startsWith('access-control-'))
  const PATHS = [
    '/',
    '/api/orders',
    '/public/x',
    '/nowhere',
    '/bff',
    '/.well-known/sallyport/x',
    ...Object.values(ENDPOINTS).map((path) => `/bff${path}`),
  ]

  it.each(['https://evil.example', 'null', 'https://localhost', 'https://sub.localhost', 'http://localhost'])(
    'a preflight of %s is answered here, with a refusal and not one CORS header, for every route and endpoint',
    async (origin) => {
      for (const path of PATHS)
        for (const method of ['GET', 'POST', 'DELETE']) {
          const headers = {
            origin,
            'access-control-request-method': method,
            'access-control-request-headers': 'x-csrf',
            'sec-fetch-mode': 'cors',
          }
          const got = await host.ask(path, { method: 'OPTIONS', headers })
          expect(got.status, path).toBeGreaterThanOrEqual(400)
          expect(corsOf(got.headers)).toEqual([])
        }
      expect(host.upstreamSaw).toEqual([])
    },
  )
  it('an upstream that approves of everybody is not heard', async () => {
    for (const path of ['/api/orders', '/public/x']) {
      const got = await host.ask(path, { headers: { ...fetching, origin: host.origin, cookie } })
      expect([got.status, corsOf(got.headers)]).toEqual([200, []])
    }
    const open = await host.ask('/public/x', { headers: { origin: 'https://evil.example', ...from('cross-site', 'cors', 'empty') } })
    expect([open.status, open.body, corsOf(open.headers)]).toEqual([200, 'upstream', []])
  })
  it('an OPTIONS that is no preflight passes like any other method of an open route', async () => {
    expect((await host.ask('/public/x', { method: 'OPTIONS' })).status).toBe(200)
  })
})

describe('a WebSocket handshake', () => {
  const handshake = [
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
  ]
  it.each<[string, () => string[]]>([
    ['of another origin', () => ['Origin: https://evil.example']],
    ['without an origin', () => []],
    ['of two origins', () => [`Origin: ${host.origin}`, 'Origin: https://evil.example']],
    ['of origin null', () => ['Origin: null']],
    ['of a sibling', () => [`Origin: http://sub.localhost:${host.port}`]],
    ['of our own origin', () => [`Origin: ${host.origin}`]],
  ])('%s opens nothing and reaches no upstream, with a session and without', async (_name, origin) => {
    for (const lines of [[], [`Cookie: ${cookie}`]])
      for (const path of ['/api/orders', '/public/x', '/bff/session', '/']) {
        const request = [`GET ${path} HTTP/1.1`, `Host: localhost:${host.port}`, ...handshake, ...origin(), ...lines, '', '']
        const got = parseAnswer(await exchangeRaw(host.port, request.join('\r\n')))
        expect([got.status, JSON.parse(got.body)]).toMatchObject([501, { code: 'proxy.websocket-unsupported' }])
      }
    expect(host.upstreamSaw).toEqual([])
  })
  it('an event stream without a session is 401 before the upstream hears of it', async () => {
    const got = await host.ask('/api/orders/events', { headers: { ...fetching, accept: 'text/event-stream' } })
    expect([got.status, host.upstreamSaw]).toEqual([401, []])
  })
})

describe('nothing that changes state is done by another site', () => {
  it.each(['/bff/logout', '/bff/logout/local', '/bff/session/refresh'])('%s', async (path) => {
    for (const [, method, headers] of SHAPES) {
      const got = await host.ask(path, { method, headers: { ...headers, cookie } })
      expect([403, 405], `${method} ${JSON.stringify(headers)}`).toContain(got.status)
      expect(got.headers['set-cookie']).toBeUndefined()
      expect(got.headers['clear-site-data']).toBeUndefined()
    }
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH'])
      expect((await host.ask(path, { method, headers: { ...fetching, cookie } })).status, method).toBe(405)
    expect((await host.ask('/bff/user', { headers: { ...fetching, cookie } })).status).toBe(200)
    expect(host.events.filter(({ event }) => event === 'session.ended')).toEqual([])
  })
  it('no method override turns a read into a write', async () => {
    for (const name of ['x-http-method-override', 'x-method-override', 'x-http-method'])
      await host.ask('/bff/logout?_method=POST', { headers: { ...fetching, [name]: 'POST', cookie } })
    expect((await host.ask('/bff/user', { headers: { ...fetching, cookie } })).status).toBe(200)
  })
})
