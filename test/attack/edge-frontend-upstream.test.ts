import type { IncomingMessage, ServerResponse } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { frontendRoute } from '../../src/assembly/frontend-route.ts'
import { type EdgeHost, edgeHost, fetching, navigation, signedIn } from '../harness/edge-host.ts'

let host: EdgeHost
afterEach(() => host.close())

/** What a server of pages might say, by path. */
const pages = (request: IncomingMessage, response: ServerResponse): void => {
  const url = new URL(request.url ?? '/', 'http://spa')
  const type = url.searchParams.get('type') ?? 'text/html; charset=utf-8'
  response.setHeader('content-type', type)
  response.setHeader('cache-control', 'public, max-age=600, s-maxage=600')
  response.setHeader('cdn-cache-control', 'max-age=600')
  response.setHeader('content-security-policy', "default-src 'self'; script-src 'nonce-abc'")
  response.setHeader('set-cookie', [
    '__Host-Http-sallyport=AAAA; Path=/; Secure; HttpOnly',
    `__Host-Http-sallyport-${host.port}=AAAA; Path=/; Secure; HttpOnly`,
    '__Host-sallyport-login-x=1; Path=/; Secure',
    'theme=dark',
  ])
  if (url.pathname === '/moved') response.writeHead(302, { location: `http://${request.headers.host ?? ''}/there?x=1` })
  if (url.pathname === '/away') response.writeHead(302, { location: 'https://docs.example.com/' })
  if (url.pathname === '/unchanged') response.writeHead(304)
  response.end('page')
}
const start = async (requireSignIn: readonly string[] = ['/app']): Promise<void> => {
  host = await edgeHost({ frontend: 'upstream', requireSignIn, upstream: pages })
}

describe('a frontend upstream', () => {
  it('never sees a cookie of anybody’s, on pages that are gated or not', async () => {
    await start()
    const cookie = await signedIn(host)
    const login = `__Host-Http-sallyport-login-${host.port}-abc=x; __Host-sallyport-login-x=1; theme=dark; =nameless`
    for (const path of ['/', '/app/x', '/main.js'])
      expect((await host.ask(path, { headers: { ...navigation(), cookie: `${login}; ${cookie}` } })).status).toBe(200)
    expect(host.upstreamSaw).toHaveLength(3)
    for (const seen of host.upstreamSaw) expect(seen).toMatchObject({ cookie: undefined, authorization: undefined })
  })

  it('sets no cookie, least of all one of the gateway’s; its own policy stays', async () => {
    await start()
    const got = await host.ask('/', { headers: navigation('none') })
    expect(got.headers['set-cookie']).toBeUndefined()
    expect(got.headers['content-security-policy']).toBe("default-src 'self'; script-src 'nonce-abc'")
  })

  it('is not told of in redirects, and others are', async () => {
    await start()
    expect((await host.ask('/moved', { headers: navigation() })).headers.location).toBe('/there?x=1')
    expect((await host.ask('/away', { headers: navigation() })).headers.location).toBe('https://docs.example.com/')
  })

  const kept = async (path: string, headers: Record<string, string>): Promise<(string | string[] | undefined)[]> => {
    const got = await host.ask(path, { headers })
    return [got.headers['cache-control'], got.headers['cdn-cache-control']]
  }

  it('has its pages kept by nobody, the browser included, once a session is there', async () => {
    await start()
    const cookie = await signedIn(host)
    const own = { ...navigation(), cookie }
    for (const path of ['/app/x', '/', '/moved', '/?type=TEXT/HTML', '/?type=application/xhtml%2Bxml;charset=utf-8'])
      expect(await kept(path, own), path).toEqual(['no-store', undefined])
    // A cookie that opens nothing counts as well: the page asks for itself, and the next request may bring one that does.
    expect(await kept('/', { ...own, cookie: `${cookie.slice(0, -4)}AAAA` })).toEqual(['no-store', undefined])
  })

  it('keeps its say over what is no page, and over pages that everybody gets', async () => {
    await start()
    const cookie = await signedIn(host)
    const said = ['public, max-age=600, s-maxage=600', 'max-age=600']
    expect(await kept('/main.js?type=text/javascript', { ...fetching, cookie })).toEqual(said)
    expect(await kept('/?type=text/htmlx', { ...fetching, cookie })).toEqual(said)
    expect(await kept('/', navigation('cross-site'))).toEqual(said)
    expect(await kept('/app/data?type=application/json', { ...fetching, cookie })).toEqual(['private, max-age=600', undefined])
  })

  it('is not asked for a WebSocket yet: hot reload of a development server does without', async () => {
    host = await edgeHost({ frontend: { kind: 'upstream', route: frontendRoute(new URL('http://127.0.0.1:9')) } })
    const got = await host.ask('/', {
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
        origin: host.origin,
      },
    })
    expect([got.status, JSON.parse(got.body).code]).toEqual([501, 'proxy.websocket-unsupported'])
  })
})
