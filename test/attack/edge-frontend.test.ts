import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { frontendRoute } from '../../src/assembly/frontend-route.ts'
import { type EdgeHost, type EdgeHostOptions, edgeHost, fetching, navigation, signedIn } from '../harness/edge-host.ts'

const www = mkdtempSync(join(tmpdir(), 'sallyport-frontend-'))
mkdirSync(join(www, 'app'))
for (const file of ['index.html', 'main.js', '.env', 'app/salaries-4f3a9c1d.json']) writeFileSync(join(www, file), `content of ${file}`)
afterAll(() => rmSync(www, { recursive: true, force: true }))

let host: EdgeHost
const start = async (options: EdgeHostOptions): Promise<void> => {
  host = await edgeHost(options)
}
afterEach(() => host.close())
const lines = (): string[] => host.access.map(({ method, path, route, status }) => `${method} ${path} ${route} ${status}`)

const KINDS = [
  ['files', { frontend: { kind: 'dir', dir: www } }],
  ['an upstream', { frontend: 'upstream' }],
] as const

describe.each(KINDS)('the sign-in gate before %s', (_kind, options) => {
  it('on / guards everything', async () => {
    await start({ ...options, requireSignIn: ['/'] })
    for (const path of ['/', '/main.js', '/app/salaries-4f3a9c1d.json']) {
      expect((await host.ask(path, { headers: fetching })).status).toBe(401)
      expect((await host.ask(path, { headers: navigation('cross-site') })).headers['refresh']).toMatch(/^0;url=\/bff\/continue/)
    }
    expect(host.upstreamSaw).toEqual([])
    const cookie = await signedIn(host)
    expect((await host.ask('/main.js', { headers: { ...fetching, cookie } })).status).toBe(200)
  })

  it.each(['/APP/salaries-4f3a9c1d.json', '/App'])('is not passed by %s, which is /app to whoever folds case', async (path) => {
    await start({ ...options, requireSignIn: ['/app'] })
    expect((await host.ask(path, { headers: fetching })).status).toBe(401)
    expect(host.upstreamSaw).toEqual([])
  })

  it('lets no shared cache keep what is behind it, whatever its name or its upstream say', async () => {
    await start({
      ...options,
      requireSignIn: ['/app'],
      upstream: (_request, response) =>
        void response.writeHead(200, { 'cache-control': 'public, max-age=600', 'content-length': 2 }).end('ok'),
    })
    const cookie = await signedIn(host)
    const got = await host.ask('/app/salaries-4f3a9c1d.json', { headers: { ...fetching, cookie } })
    expect(got.status).toBe(200)
    expect(got.headers['cache-control']).toMatch(/no-store|private/)
    expect(got.headers['cache-control']).not.toMatch(/public/)
    expect(host.access.at(-1)?.sessionRef).toMatch(/^[\w-]{22}$/)
  })

  it('keeps the session of somebody who reads alive', async () => {
    await start({ ...options, requireSignIn: ['/app'] })
    const cookie = await signedIn(host)
    for (let hour = 0; hour < 3; hour += 1) {
      host.clock.shift(40 * 60_000)
      expect((await host.ask('/app/salaries-4f3a9c1d.json', { headers: { ...navigation(), cookie } })).status).toBe(200)
    }
  })

  it('leaves one access line for each that it stops', async () => {
    await start({ ...options, requireSignIn: ['/app'] })
    const dead = `__Host-Http-sallyport-${host.port}=${'A'.repeat(64)}`
    await host.ask('/app/x', { headers: fetching })
    await host.ask('/app/x', { headers: navigation('none') })
    await host.ask('/app/x', { headers: { ...navigation(), cookie: dead } })
    host.broken.store = true
    await host.ask('/app/x', { headers: { ...navigation(), cookie: dead } })
    expect(lines()).toEqual(['GET /app/x frontend 401', 'GET /app/x frontend 200', 'GET /app/x frontend 302', 'GET /app/x frontend 503'])
  })
})

it('a stream behind the gate ends with its session', async () => {
  await start({ frontend: 'upstream', requireSignIn: ['/app'] })
  const cookie = await signedIn(host)
  const stream = host.ask('/app/events', { headers: { ...fetching, cookie } }).then(
    () => 'complete',
    () => 'cut',
  )
  while (host.upstreamSaw.length === 0) await new Promise((resolve) => setImmediate(resolve))
  await host.ask('/bff/logout/local', { method: 'POST', headers: { ...fetching, cookie } })
  expect(await stream).toBe('cut')
}, 5000)

describe('the frontend’s files', () => {
  it.each([
    ['/.env', {}, 404],
    ['/missing.js', {}, 404],
    ['/main.js', { range: 'bytes=0-2' }, 206],
    ['/main.js', { range: 'bytes=9999-' }, 416],
    ['/main.js', { range: 'nonsense' }, 200],
    ['/main.js', { 'if-match': '"somebody-elses"' }, 412],
    ['/main.js', { 'if-modified-since': 'Fri, 01 Jan 2100 00:00:00 GMT' }, 304],
  ])('%s with %j: %i, one access line, and no alarm', async (path, headers, status) => {
    await start({ frontend: { kind: 'dir', dir: www } })
    const got = await host.ask(path, { headers: headers as Record<string, string> })
    expect(got.status).toBe(status)
    expect(got.body).not.toMatch(/sallyport-frontend-|ENOENT|Range|Error/)
    expect(lines()).toEqual([`GET ${path} frontend ${status}`])
    expect(host.logged.filter(({ message }) => message === 'request failed')).toEqual([])
  })
})

describe('what is said in an upstream’s place', () => {
  const dying = { frontend: 'upstream', upstream: (request: IncomingMessage) => void request.socket.destroy() } as const

  it.each(['/shop?x=1', '/public/x'])('%s: a page to a person, a problem to a program', async (path) => {
    await start(dying)
    const page = await host.ask(path, { headers: navigation() })
    expect([page.status, page.headers['content-type']]).toEqual([502, 'text/html; charset=utf-8'])
    expect(page.body).toContain(`href="${path}"`)
    const fetched = await host.ask(path, { headers: fetching })
    expect([fetched.status, fetched.headers['content-type']]).toEqual([502, 'application/problem+json; charset=utf-8'])
    for (const { headers } of [page, fetched]) {
      expect(headers['content-security-policy']).toMatch(/^default-src 'none'/)
      expect(headers['cache-control']).toBe('no-store')
      expect(headers['x-request-id']).toMatch(/^[0-9a-f]{32}$/)
    }
  })

  it('a method the frontend does not have is told with those it has', async () => {
    await start({ ...dying, frontend: { kind: 'upstream', route: frontendRoute(new URL('http://127.0.0.1:9')) } })
    const got = await host.ask('/shop', { method: 'POST', headers: fetching })
    expect([got.status, got.headers['allow']]).toEqual([405, 'GET, HEAD'])
  })
})
