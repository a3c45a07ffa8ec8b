import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ENDPOINTS } from '../../src/contract/paths.ts'
import { cookiesOf, type EdgeHost, edgeHost, fetching, type Got, jarOf, navigation, signedIn } from '../harness/edge-host.ts'
import { exchangeRaw, parseAnswer } from '../harness/proxy-host.ts'

/** What every answer carries for the browser that gets it. The public address is https; TLS ends in front. */
const www = mkdtempSync(join(tmpdir(), 'sallyport-answers-'))
mkdirSync(join(www, 'app'))
writeFileSync(join(www, 'index.html'), '<h1>start</h1>')
writeFileSync(join(www, 'main-4f3a9c1d.js'), 'let a')
writeFileSync(join(www, 'app', 'secret.json'), '{}')

let host: EdgeHost
let cookie: string
beforeAll(async () => {
  host = await edgeHost({
    https: true,
    frontend: { kind: 'dir', dir: www },
    requireSignIn: ['/app'],
    upstream: (request, response) => {
      response.writeHead(request.url?.endsWith('/missing') ? 404 : 200, {
        ...{
          'cache-control': 'public, max-age=600, s-maxage=86400',
          'cdn-cache-control': 'max-age=86400',
          'surrogate-control': 'max-age=86400',
        },
        ...{ age: '9', 'content-type': 'text/html', server: 'Upstream/1.2.3', 'x-powered-by': 'Upstream', 'set-cookie': 'a=b' },
        ...{ 'strict-transport-security': 'max-age=0', 'x-content-type-options': 'sniff', expires: 'Fri, 01 Jan 2100 00:00:00 GMT' },
      })
      response.end('{}')
    },
  })
  cookie = await signedIn(host)
})
afterAll(async () => {
  await host.close()
  rmSync(www, { recursive: true, force: true })
})

interface One {
  readonly name: string
  readonly ask: () => Promise<Got>
}
/** Every endpoint, asked for by a person and by a program, with a session and without, well and badly; and what nobody serves. */
const own: readonly One[] = [
  ...[...Object.values(ENDPOINTS).map((path) => `/bff${path}`), '/bff', '/bff/nothing', '/.well-known/sallyport/x'].flatMap((path) =>
    (['GET', 'POST', 'DELETE'] as const).flatMap((method) =>
      [navigation(), navigation('cross-site'), fetching, {}].flatMap((headers, at) =>
        [false, true].map(
          (withSession): One => ({
            name: `${method} ${path} #${at}${withSession ? ' signed in' : ''}`,
            // A sign-out that counts would end the session the others use.
            ask: () => host.ask(path, { method, headers: { ...headers, ...(withSession && !/logout/.test(path) && { cookie }) } }),
          }),
        ),
      ),
    ),
  ),
  { name: 'a problem of a route', ask: () => host.ask('/api/orders', { headers: fetching }) },
  { name: 'a refused rule', ask: () => host.ask('/api/admin', { headers: { ...fetching, cookie } }) },
  { name: 'an ambiguous path', ask: () => host.ask('/api/orders/..%2f', { headers: navigation() }) },
  { name: 'a missing file', ask: () => host.ask('/nowhere.js', { headers: fetching }) },
  { name: 'another host', ask: () => host.ask('/', { headers: { host: 'evil.example' } }) },
  { name: 'a bounce', ask: () => host.ask('/app/x', { headers: navigation('cross-site') }) },
  { name: 'a way to the login', ask: () => host.ask('/app/x', { headers: navigation() }) },
]
const answers = new Map<string, Got>()
beforeAll(async () => {
  for (const { name, ask } of own) answers.set(name, await ask())
}, 90_000)
const every = (check: (headers: IncomingHttpHeaders, name: string, got: Got) => void): void => {
  expect(answers.size).toBeGreaterThan(300)
  for (const [name, got] of answers) check(got.headers, name, got)
}
const others = async (): Promise<[string, Got][]> => [
  ['a proxied answer', await host.ask('/api/orders', { headers: { ...fetching, cookie } })],
  ['a proxied error', await host.ask('/api/orders/missing', { headers: { ...fetching, cookie } })],
  ['an open route', await host.ask('/public/x')],
  ['a page of the frontend', await host.ask('/', { headers: navigation() })],
  ['a script of the frontend', await host.ask('/main-4f3a9c1d.js')],
  ['a guarded file', await host.ask('/app/secret.json', { headers: { ...fetching, cookie } })],
]
const HSTS = 'max-age=31536000; includeSubDomains'

describe('every own answer', () => {
  it('is nothing but what it says: nosniff, on proxied answers and files as well', async () => {
    every((headers, name) => expect(headers['x-content-type-options'], name).toBe('nosniff'))
    for (const [name, got] of await others()) expect(got.headers['x-content-type-options'], name).toBe('nosniff')
  })
  it('is for https alone, for a year and for subdomains, in place of what an upstream says; never over plain http', async () => {
    every((headers, name) => expect(headers['strict-transport-security'], name).toBe(HSTS))
    for (const [name, got] of await others()) expect(got.headers['strict-transport-security'], name).toBe(HSTS)
    const plain = await edgeHost()
    expect((await plain.ask('/bff/user')).headers['strict-transport-security']).toBeUndefined()
    expect((await plain.ask('/public/x')).headers['strict-transport-security']).toBeUndefined()
    await plain.close()
  })
  it('tells no other site where it came from, and may be framed by nobody', async () => {
    every((headers, name) => {
      // Our one page with forms tells us, and us only: an older browser is judged by the form's Origin, which would be `null` otherwise.
      expect(headers['referrer-policy'], name).toBe(
        /form-action 'self'/.test(String(headers['content-security-policy'])) ? 'same-origin' : 'no-referrer',
      )
      const policy = String(headers['content-security-policy'])
      expect(policy, name).toMatch(/^default-src 'none'/)
      for (const directive of ["frame-ancestors 'none'", "base-uri 'none'"]) expect(policy, name).toContain(directive)
    })
    // A page of the frontend loads its own things, but no more than that.
    const { headers } = await host.ask('/', { headers: navigation() })
    expect(headers['content-security-policy']).toMatch(/^default-src 'self';.*frame-ancestors 'none'/)
    expect(headers['referrer-policy']).toBe('strict-origin-when-cross-origin')
  })
  it('is for pages of our own origin, and a page of ours shares its window with nobody', () => {
    every((headers, name) => {
      expect(headers['cross-origin-resource-policy'], name).toBe('same-origin')
      if (String(headers['content-type']).startsWith('text/html') && headers['refresh'] === undefined)
        expect(headers['cross-origin-opener-policy'], name).toBe('same-origin')
    })
  })
  it('is kept by no cache, and sets or clears no cookie that was not presented', () => {
    every((headers, name, got) => {
      expect(headers['cache-control'], name).toBe('no-store')
      for (const line of cookiesOf(got)) expect(line, name).toMatch(/-login-[\w-]{22}=[^;]/)
    })
  })
  it('so is what the parser refuses before it is a request', async () => {
    for (const text of [
      'hello there\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n',
      `GET / HTTP/1.1\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`,
    ]) {
      const got = parseAnswer(await exchangeRaw(host.port, text))
      expect(got.status).toBeGreaterThanOrEqual(400)
      for (const [name, value] of [
        ['x-content-type-options', 'nosniff'],
        ['strict-transport-security', HSTS],
        ['cache-control', 'no-store'],
        ['referrer-policy', 'no-referrer'],
      ] as const)
        expect(got.header(name)).toBe(value)
      expect(got.header('content-security-policy')).toContain("frame-ancestors 'none'")
    }
  })
})

describe('data is data', () => {
  it('JSON says its charset, is an object, and is never a script: no JSONP, whatever the query asks for', async () => {
    every((headers, name, got) => {
      const type = String(headers['content-type'] ?? '')
      if (got.body !== '') expect(type, name).toMatch(/^(application\/(problem\+)?json|text\/html); charset=utf-8$/)
      if (type.includes('json')) expect(got.body[0], name).toBe('{')
      expect(type, name).not.toContain('javascript')
    })
    for (const query of ['callback=alert', 'jsonp=alert', 'cb=alert', 'format=js']) {
      const got = await host.ask(`/bff/user?${query}`, { headers: { ...fetching, accept: 'text/javascript', cookie } })
      expect([got.status, got.headers['content-type'], got.body[0]]).toEqual([200, 'application/json; charset=utf-8', '{'])
      expect(got.body).not.toContain('alert')
    }
  })
  it('no page of ours has anything from elsewhere, nor a script but the two constants that carry a fragment over the bounce and to the sign-in', async () => {
    const scriptOf = (body: string): string | undefined => /<script>(.*?)<\/script>/s.exec(body)?.[1]
    every((headers, name, got) => {
      if (!String(headers['content-type']).startsWith('text/html')) return
      const policy = String(headers['content-security-policy'])
      expect(policy, name).not.toMatch(/unsafe|\*|https?:/)
      expect(got.body, name).not.toMatch(/javascript:|\son\w+=|src=|https?:\/\//i)
      expect((/script-src ([^;]*)/.exec(policy)?.[1] ?? '').replace(/'sha256-[\w+/]{43}='/, ''), name).toBe('')
      expect([scriptOf(got.body) === undefined, /<script/.test(got.body)], name).toEqual(
        name === 'a bounce' || (name.startsWith('GET /bff/continue ') && got.status === 200) ? [false, true] : [true, false],
      )
    })
    const scripts = async (paths: readonly string[], site: 'cross-site' | 'same-origin') =>
      new Set((await Promise.all(paths.map((path) => host.ask(path, { headers: navigation(site) })))).map(({ body }) => scriptOf(body)))
    expect((await scripts(['/app/a', '/app/b?x=1'], 'cross-site')).size).toBe(1)
    expect((await scripts(['/bff/continue', '/bff/continue?to=/a', '/bff/continue?to=</script>'], 'same-origin')).size).toBe(1)
  })
})

describe('what was made for one session', () => {
  it('is kept by no shared cache, whatever the upstream says of it', async () => {
    for (const path of ['/api/orders', '/api/orders/missing', '/api/reports', '/api/orders/style.css', '/api/orders/x.js?v=1']) {
      const { headers } = await host.ask(path, { headers: { ...fetching, cookie } })
      expect(String(headers['cache-control']), path).toMatch(/^(private|no-store)/)
      expect(String(headers['cache-control']), path).not.toMatch(/public|s-maxage/)
      for (const name of ['cdn-cache-control', 'surrogate-control', 'age']) expect(headers[name], path).toBeUndefined()
      expect(headers['set-cookie'], path).toBeUndefined()
    }
    const guarded = await host.ask('/app/secret.json', { headers: { ...fetching, cookie } })
    expect(guarded.headers['cache-control']).toBe('no-store')
  })
  it('what is for everybody stays as its upstream made it', async () => {
    const { headers } = await host.ask('/public/x')
    expect([headers['cache-control'], headers['surrogate-control']]).toEqual(['public, max-age=600, s-maxage=86400', 'max-age=86400'])
  })
  it('neither are the answers that set or clear a cookie', async () => {
    const started = await host.ask('/bff/login', { headers: navigation() })
    const state = new URL(String(started.headers.location)).searchParams.get('state') ?? ''
    const back = await host.ask(`/bff/callback?${new URLSearchParams({ code: 'c', state }).toString()}`, {
      headers: { ...navigation('cross-site'), cookie: jarOf(...cookiesOf(started)) },
    })
    const out = await host.ask('/bff/logout/local', { method: 'POST', headers: { ...fetching, cookie: jarOf(cookiesOf(back)[0] ?? '') } })
    for (const got of [started, back, out]) {
      expect(cookiesOf(got).length).toBeGreaterThan(0)
      expect(got.headers['cache-control']).toBe('no-store')
    }
  })
})
