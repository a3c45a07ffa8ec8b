import { afterEach, describe, expect, it } from 'vitest'
import type { HostOptions, PlainAnswer, ProxyHost } from '../harness/proxy-host.ts'
import { ask, CANARY_TOKEN, exchangeRaw, OWN_COOKIE, parseAnswer, proxyHost } from '../harness/proxy-host.ts'
import type { RawRequest, RawUpstream } from '../harness/raw-upstream.ts'
import { answer, rawUpstream } from '../harness/raw-upstream.ts'

let upstream: RawUpstream
let host: ProxyHost
const start = async (options: HostOptions = {}): Promise<void> => {
  upstream = await rawUpstream()
  host = await proxyHost(upstream.url, options)
}
afterEach(async () => {
  await host.close()
  await upstream.close()
})
/** What the upstream saw of a request with these header lines. */
const seen = async (lines: readonly string[]): Promise<RawRequest> => {
  const { status } = await ask(host.port, '/api/orders/7', lines)
  expect(status).toBe(200)
  const last = upstream.requests.at(-1)
  if (!last) throw new Error('the upstream saw nothing')
  return last
}
const says = async (head: string): Promise<PlainAnswer> => {
  upstream.script = answer(head, 'ok')
  return ask(host.port, '/api/orders')
}

const IDENTITY =
  `Authorization X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Forwarded-User X-Forwarded-Email X-Forwarded-Access-Token X-Forwarded-Uri
  X-Forwarded-Client-Cert X-Forwarded-Prefix X-Auth-Request-User X-Auth-Request-Access-Token X-MS-Client-Principal X-MS-CLIENT-PRINCIPAL-ID X-MS-TOKEN-AAD-ID-TOKEN X-Real-IP
  Forwarded X-User X-User-Id X-Username X-UserInfo Remote-User REMOTE-USER X-Remote-User X-WebAuth-User X-Client-IP True-Client-IP CF-Connecting-IP X-Cluster-Client-IP
  X-Goog-IAP-JWT-Assertion X-Goog-Authenticated-User-Email X-Amzn-Oidc-Data Cf-Access-Jwt-Assertion X-Pomerium-Claim-Email X-Authentik-Username X-Vouch-User X-Consumer-Username
  X-Credential-Identifier X-Envoy-Original-Path X-Original-URL X-Rewrite-URL X-HTTP-Method-Override X-Method-Override X-Impersonate-User Impersonate-User Impersonate-Group X-Scope-OrgID
  X-Email X-Groups X-Roles X-Sallyport-User Sallyport-Context X-Access-Token X-Id-Token X-SSL-Client-Cert X-Client-Cert Client-Cert X-Host X-Jwt-Claim-Sub OIDC-Claim-Sub
  X-Authenticated-Userid X-CSRF X-Keycloak-Username Shib-Session-ID`.split(/\s+/)

describe('outbound: what the gateway says, nobody else can say', () => {
  it.each(IDENTITY.filter((name) => name !== ''))('%s of the browser never reaches the upstream', async (name) => {
    await start()
    const request = await seen([`${name}: forged-value`])
    expect(request.headers.filter(([, value]) => value.includes('forged-value'))).toEqual([])
  })

  it.each([
    'X_Forwarded_User',
    'x_user',
    'Remote_User',
    'X.User',
    'X~User',
    'HTTP_AUTHORIZATION',
    'X-Ok_',
    "X'User",
    'X!User',
    'X|User',
    '$x',
    '__proto__',
  ])('%s: a name that CGI would fold into another never passes', async (name) => {
    await start()
    const request = await seen([`${name}: forged-value`])
    expect(request.headers.filter(([, value]) => value.includes('forged-value'))).toEqual([])
  })

  it('drops hop-by-hop headers and those that Connection names', async () => {
    await start()
    const answerText = await exchangeRaw(
      host.port,
      [
        'GET /api/orders HTTP/1.1',
        'Host: shop.example',
        'Connection: close, X-Secret-Hop, Authorization, Traceparent, X-Forwarded-For, Content-Type',
        'X-Secret-Hop: hop',
        'Keep-Alive: timeout=5',
        'Proxy-Connection: keep-alive',
        'Proxy-Authorization: Basic hop',
        'TE: trailers',
        'Trailer: X-Hop',
        'Content-Type: text/plain',
        'X-Kept: kept',
        '',
        '',
      ].join('\r\n'),
    )
    expect(parseAnswer(answerText).status).toBe(200)
    const [request] = upstream.requests
    const names = request?.headers.map(([name]) => name)
    expect(names).toEqual([
      ...['host', 'connection', 'content-type', 'x-kept', 'x-forwarded-for', 'forwarded', 'x-real-ip'],
      ...['x-forwarded-host', 'x-forwarded-proto', 'x-forwarded-port', 'traceparent', 'x-request-id', 'authorization'],
    ])
    expect(request?.header('connection')).toBe('keep-alive')
    expect(request?.header('host')).toBe(upstream.url.host)
  })

  it('passes other end-to-end headers byte for byte, repeated ones too', async () => {
    await start()
    const request = await seen([
      'Accept: a/b',
      'X-Thing: caf\xe9',
      'X-Thing: two',
      'Range: bytes=0-1',
      'X-User-Agent: grpc-web',
      'Accept-Encoding: br',
    ])
    expect(request.all('x-thing')).toEqual(['caf\xc3\xa9', 'two']) // the test's client writes UTF-8; its bytes stay as they are
    expect(request.header('accept')).toBe('a/b')
    expect(request.header('range')).toBe('bytes=0-1')
    expect(request.header('x-user-agent')).toBe('grpc-web')
    expect(request.header('accept-encoding')).toBe('br')
  })

  it('attaches exactly one Authorization, its own, and only there the token stands', async () => {
    await start()
    const request = await seen(['Authorization: Bearer forged', 'authorization: Bearer forged2'])
    expect(request.all('authorization')).toEqual([`Bearer ${CANARY_TOKEN}`])
    expect(request.headers.filter(([name, value]) => name !== 'authorization' && value.includes(CANARY_TOKEN))).toEqual([])
  })

  it('sends no Authorization on a route without a token, not even the browser’s', async () => {
    await start({ route: { token: { principal: 'none' } } })
    expect((await seen(['Authorization: Bearer forged'])).all('authorization')).toEqual([])
  })

  it('sends no cookie but the listed ones, and never its own', async () => {
    await start({ headers: { requestCookies: ['theme', OWN_COOKIE] } })
    const request = await seen([
      `Cookie: ${OWN_COOKIE}=secret; theme=dark; other=1; themes=2; theme=light`,
      `Cookie: ${OWN_COOKIE}-x=secret`,
    ])
    expect(request.all('cookie')).toEqual(['theme=dark; theme=light'])
  })
  it('sends no Cookie header at all by default', async () => {
    await start()
    expect((await seen([`Cookie: ${OWN_COOKIE}=secret; theme=dark`])).all('cookie')).toEqual([])
  })

  it('keeps to the allow-list of the route, but for what frames the body', async () => {
    await start({ headers: { requestOnly: ['accept', 'x-user'] } })
    upstream.script = async ({ body, write }) => {
      expect((await body()).toString()).toBe('{}')
      write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')
    }
    await ask(
      host.port,
      '/api/orders',
      ['Accept: a/b', 'X-Other: 1', 'X-User: forged', 'Content-Type: application/json', 'Content-Length: 2'],
      'POST',
      '{}',
    )
    const [request] = upstream.requests
    expect(request?.header('accept')).toBe('a/b')
    expect(request?.header('content-type')).toBe('application/json')
    expect(request?.all('x-other')).toEqual([])
    expect(request?.all('x-user')).toEqual([])
  })

  it('rebuilds the forwarded headers from what it knows itself', async () => {
    await start()
    const request = await seen([
      'X-Forwarded-For: 6.6.6.6',
      'Forwarded: for=6.6.6.6',
      'X-Forwarded-Host: evil.example',
      'X-Forwarded-Proto: http',
    ])
    expect(request.all('x-forwarded-for')).toEqual(['127.0.0.1'])
    expect(request.all('x-forwarded-host')).toEqual(['shop.example'])
    expect(request.all('x-forwarded-proto')).toEqual(['https'])
    expect(request.all('x-forwarded-port')).toEqual(['443'])
    expect(request.all('x-real-ip')).toEqual(['127.0.0.1'])
    expect(request.all('forwarded')).toEqual(['for=127.0.0.1;host="shop.example";proto=https'])
  })
  it('believes a trusted proxy as far as the right-most address that is not one', async () => {
    await start({ trusted: ['127.0.0.0/8', '10.0.0.0/8'] })
    const request = await seen(['X-Forwarded-For: 6.6.6.6, 2001:db8::7, 10.1.2.3'])
    expect(request.all('x-forwarded-for')).toEqual(['2001:db8::7, 10.1.2.3, 127.0.0.1'])
    expect(request.all('x-real-ip')).toEqual(['2001:db8::7'])
    expect(request.all('forwarded')).toEqual(['for="[2001:db8::7]";host="shop.example";proto=https, for=10.1.2.3, for=127.0.0.1'])
    await host.logged(1)
    expect(host.entries[0]?.address).toBe('2001:db8::7')
  })

  it('continues a valid trace and starts its own otherwise', async () => {
    await start()
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
    const continued = await seen([`Traceparent: 00-${trace}-00f067aa0ba902b7-01`, 'Tracestate: a=1'])
    expect(continued.header('traceparent')).toMatch(new RegExp(`^00-${trace}-(?!00f067aa0ba902b7)[0-9a-f]{16}-01$`))
    expect(continued.header('tracestate')).toBe('a=1')
    for (const bad of [
      `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
      '00-x-y-01',
      `ff-${trace}-00f067aa0ba902b7-01`,
      `00-${trace.toUpperCase()}-00f067aa0ba902b7-01`,
    ]) {
      const fresh = await seen([`Traceparent: ${bad}`, 'Tracestate: a=1'])
      expect(fresh.all('traceparent')).toHaveLength(1)
      expect(fresh.header('traceparent')).toMatch(/^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01$/)
      expect(fresh.header('traceparent')).not.toContain(trace)
      expect(fresh.all('tracestate')).toEqual([])
    }
  })
  it('names the request itself', async () => {
    await start()
    expect((await seen(['X-Request-Id: forged-value'])).all('x-request-id')).toEqual(['req-1'])
  })
  it('still decides right when a client has filled the memory of header names', async () => {
    await start()
    for (let i = 0; i < 13; i += 1) await seen(Array.from({ length: 90 }, (_, j) => `x-invented-${i}-${j}: 1`))
    const request = await seen(['x-FORWARDED-usER: forged', 'REmote-USER: forged', 'X-FrEsH: kept'])
    expect(request.headers.filter(([, value]) => value === 'forged')).toEqual([])
    expect(request.header('x-fresh')).toBe('kept')
  })
})

describe('framing and limits: refused before the upstream', () => {
  const raw = (lines: readonly string[], body = ''): Promise<PlainAnswer> =>
    exchangeRaw(host.port, [...lines, '', body].join('\r\n')).then(parseAnswer)
  it.each<[string, readonly string[], string, number]>([
    ['two Host headers', ['GET /api/orders HTTP/1.1', 'Host: a', 'Host: b', 'Connection: close'], '', 400],
    [
      'two Content-Types',
      ['POST /api/orders HTTP/1.1', 'Host: a', 'Content-Type: a/b', 'Content-Type: c/d', 'Content-Length: 0', 'Connection: close'],
      '',
      400,
    ],
    ['a HEAD with a body', ['HEAD /api/orders HTTP/1.1', 'Host: a', 'Content-Length: 2', 'Connection: close'], 'hi', 400],
    [
      'a chunked GET',
      ['GET /api/orders HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked', 'Connection: close'],
      '2\r\nhi\r\n0\r\n\r\n',
      400,
    ],
    [
      '101 header lines',
      ['GET /api/orders HTTP/1.1', 'Host: a', 'Connection: close', ...Array.from({ length: 99 }, (_, i) => `a${i}: 1`)],
      '',
      431,
    ],
    [
      'Content-Length and Transfer-Encoding',
      ['POST /api/orders HTTP/1.1', 'Host: a', 'Content-Length: 2', 'Transfer-Encoding: chunked'],
      '0\r\n\r\n',
      400,
    ],
    ['two Content-Lengths', ['POST /api/orders HTTP/1.1', 'Host: a', 'Content-Length: 2', 'Content-Length: 3'], 'hi', 400],
    [
      'a Content-Length over the limit',
      ['POST /api/orders HTTP/1.1', 'Host: a', 'Content-Length: 99999999', 'Connection: close'],
      'hi',
      413,
    ],
  ])('%s', async (_what, lines, body, status) => {
    await start()
    expect((await raw(lines, body)).status).toBe(status)
    expect(upstream.requests).toHaveLength(0)
  })
  it('a GET with a body, by its code', async () => {
    await start()
    const got = await raw(['GET /api/orders HTTP/1.1', 'Host: a', 'Content-Length: 2', 'Connection: close'], 'hi')
    expect([got.status, (JSON.parse(got.body) as { code: string }).code]).toEqual([400, 'request.body-unexpected'])
    expect(upstream.requests).toHaveLength(0)
  })
  it('100 header lines pass', async () => {
    await start()
    const { status } = await raw([
      'GET /api/orders HTTP/1.1',
      'Host: a',
      'Connection: close',
      ...Array.from({ length: 97 }, (_, i) => `a${i}: 1`),
    ])
    expect(status).toBe(200)
  })
  it('refuses above the in-flight limit with 503 and Retry-After, and recovers', async () => {
    await start({ limits: { inFlightMax: 1 } })
    let release: () => void = () => {}
    let arrived: () => void = () => {}
    const isThere = new Promise<void>((resolve) => (arrived = resolve))
    const gate = new Promise<void>((resolve) => (release = resolve))
    upstream.script = async ({ write }) => {
      arrived()
      await gate
      write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')
    }
    const first = ask(host.port, '/api/orders')
    await isThere
    const second = await ask(host.port, '/api/orders')
    expect([second.status, (JSON.parse(second.body) as { code: string }).code]).toEqual([503, 'proxy.overloaded'])
    expect(second.header('retry-after')).toBe('1')
    release()
    expect((await first).status).toBe(200)
    await host.logged(2)
    expect((await ask(host.port, '/api/orders')).status).toBe(200)
    expect(host.forwarder.inFlight()).toBe(0)
  })
  it('refuses a method the route does not list', async () => {
    await start({ route: { methods: ['GET'] } })
    const refused = await ask(host.port, '/api/orders', ['Content-Length: 0'], 'POST')
    expect(refused.status).toBe(405)
    expect(upstream.requests).toHaveLength(0)
  })
})

describe('inbound: what an upstream must not say to our browser', () => {
  it('drops hop-by-hop, Connection-named, CORS and gateway-directed headers', async () => {
    await start()
    const got = await says(
      `HTTP/1.1 200 OK\nconnection: keep-alive, x-secret\nx-secret: 1\nkeep-alive: timeout=9\nproxy-authenticate: Basic\nauthorization: Bearer leak\ntrailer: x\n` +
        `access-control-allow-origin: *\naccess-control-allow-credentials: true\nx-accel-redirect: /internal\nx-sendfile: /etc/passwd\nalt-svc: h3=":443"\nx-request-id: theirs\n` +
        `clear-site-data: "cookies"\nx-kept: kept`,
    )
    expect(got.status).toBe(200)
    expect(got.lines.map(([name]) => name).sort()).toEqual(
      ['cache-control', 'connection', 'content-length', 'date', 'x-content-type-options', 'x-kept', 'x-request-id'].sort(),
    )
    expect(got.header('x-request-id')).toBe('req-1')
    expect(got.header('connection')).toBe('close')
  })
  it('keeps duplicates and bytes', async () => {
    await start()
    const got = await says('HTTP/1.1 200 OK\nlink: <a>\nlink: <b>\nx-name: caf\xe9\nvary: accept\ndate: Mon, 01 Jan 2024 00:00:00 GMT')
    expect(got.all('link')).toEqual(['<a>', '<b>'])
    expect(got.header('x-name')).toBe('caf\xe9')
    expect(got.all('date')).toEqual(['Mon, 01 Jan 2024 00:00:00 GMT'])
  })
  it('lets only listed cookies be set, for this host, and never its own', async () => {
    await start({ headers: { responseSetCookie: ['theme', 'lang', OWN_COOKIE] } })
    const got = await says(
      `HTTP/1.1 200 OK\nset-cookie: theme=dark; Path=/\nset-cookie: other=1\nset-cookie: lang=de; Domain=example\nset-cookie: lang=en; dOmAiN =x\nset-cookie: ${OWN_COOKIE}=stolen; Secure\n` +
        `set-cookie: =${OWN_COOKIE}=stolen\nset-cookie: ${OWN_COOKIE}\nset-cookie:  theme = x\nset-cookie: Theme=y\nset-cookie2: theme=z`,
    )
    expect(got.all('set-cookie')).toEqual(['theme=dark; Path=/', 'theme = x'])
    expect(got.all('set-cookie2')).toEqual([])
  })
  it('lets none be set by default', async () => {
    await start()
    expect((await says('HTTP/1.1 200 OK\nset-cookie: a=1')).all('set-cookie')).toEqual([])
  })
  it.each`
    theirs                                               | ours                                            | because
    ${''}                                                | ${['no-store']}                                 | ${'silent'}
    ${'cache-control: no-store'}                         | ${['no-store']}                                 | ${'right already'}
    ${'cache-control: private, max-age=60'}              | ${['private, max-age=60']}                      | ${'right already'}
    ${'cache-control: public, max-age=60'}               | ${['private, max-age=60']}                      | ${'public'}
    ${'cache-control: max-age=60'}                       | ${['private, max-age=60']}                      | ${'a cookie does not stop a shared cache'}
    ${'cache-control: no-cache'}                         | ${['private, no-cache']}                        | ${'may be stored'}
    ${'cache-control: s-maxage=600, max-age=1'}          | ${['private, max-age=1']}                       | ${'for shared caches'}
    ${'cache-control: private="set-cookie", max-age=60'} | ${['private, max-age=60']}                      | ${'private for one field only'}
    ${'cache-control: PUBLIC , S-MaxAge = 9, immutable'} | ${['private, immutable']}                       | ${'any case'}
    ${'cache-control: no-cache="a, public", max-age=1'}  | ${['private, no-cache="a, public", max-age=1']} | ${'quoted commas'}
    ${'cache-control: max-age=1\ncache-control: public'} | ${['private, max-age=1']}                       | ${'two lines'}
    ${'expires: Thu, 01 Jan 2099 00:00:00 GMT'}          | ${['private']}                                  | ${'only Expires'}
    ${'surrogate-control: max-age=9'}                    | ${['no-store']}                                 | ${'addressed to a CDN'}
    ${'cdn-cache-control: max-age=9\nage: 3'}            | ${['no-store']}                                 | ${'addressed to a CDN'}
    ${'cloudflare-cdn-cache-control: max-age=9'}         | ${['no-store']}                                 | ${'addressed to a CDN'}
  `('cache: $theirs becomes $ours on an authenticated answer: $because', async ({ theirs, ours }) => {
    await start()
    const got = await says(`HTTP/1.1 200 OK\n${theirs}`)
    expect(got.all('cache-control')).toEqual(ours)
    for (const name of ['surrogate-control', 'cdn-cache-control', 'cloudflare-cdn-cache-control', 'age']) expect(got.all(name)).toEqual([])
  })
  it('leaves the caching of anonymous answers alone', async () => {
    await start({ route: { token: { principal: 'none' } } })
    expect((await says('HTTP/1.1 200 OK\ncache-control: public, s-maxage=9')).all('cache-control')).toEqual(['public, s-maxage=9'])
    expect((await says('HTTP/1.1 200 OK')).all('cache-control')).toEqual([])
  })
  it('sends the gateway’s own headers once', async () => {
    await start({ responseHeaders: ['strict-transport-security', 'max-age=31536000'] })
    const got = await says('HTTP/1.1 200 OK\nstrict-transport-security: max-age=0\nx-content-type-options: sniff')
    expect(got.all('strict-transport-security')).toEqual(['max-age=31536000'])
    expect(got.all('x-content-type-options')).toEqual(['nosniff'])
  })
  it('shows no internal host in a redirect and follows none', async () => {
    await start({ route: { upstreamPath: '/v2' } })
    const got = await says(`HTTP/1.1 302 Found\nlocation: ${upstream.url.origin}/v2/items?x=1`)
    expect(got.status).toBe(302)
    expect(got.header('location')).toBe('/api/orders/items?x=1')
    expect(upstream.requests).toHaveLength(1)
    expect(upstream.requests[0]?.target).toBe('/v2')
    expect(upstream.requests[0]?.header('x-forwarded-prefix')).toBe('/api/orders')
  })
  it('reports an upstream that rejects our token, once, and tells its challenge to nobody', async () => {
    await start()
    const got = await says('HTTP/1.1 401 Unauthorized\nwww-authenticate: Bearer error="invalid_token"')
    expect(got.status).toBe(401)
    expect(host.unauthorized).toEqual([{ route: 'api/orders', session: 'aaaaaaaaaaaaaaaaaaaaaa' }])
    expect(got.header('www-authenticate')).toBeUndefined()
  })
})
