import { mkdtempSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { spawnSync } from 'node:child_process'
import { request as send } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { AuditEvent } from '../../src/domain/audit-event.ts'
import { createAdminServer, listenOnSocket } from '../../src/edge/admin-server.ts'
import { createOpsServer } from '../../src/edge/ops-server.ts'
import { cookiesOf, type EdgeHost, edgeHost, fetching, navigation } from '../harness/edge-host.ts'

const folder = mkdtempSync(join(tmpdir(), 'sallyport-edge-'))
const www = join(folder, 'www')
mkdirSync(join(www, 'app'), { recursive: true })
writeFileSync(join(www, 'index.html'), '<h1>start</h1>')
writeFileSync(join(www, 'main.js'), 'let a')
writeFileSync(join(www, 'main-4f3a9c1d.js'), 'let b')
writeFileSync(join(www, '.env'), 'SECRET=1')
writeFileSync(join(folder, 'outside.txt'), 'outside')
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Bytes in, bytes out: what no HTTP client would send. */
const raw = (port: number, text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    let got = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      got += chunk
    })
    socket.on('close', () => resolve(got))
    socket.on('error', reject)
  })

describe('the public listener', () => {
  let host: EdgeHost
  beforeAll(async () => {
    host = await edgeHost({ frontend: { kind: 'dir', dir: www }, requireSignIn: ['/app'] })
  })
  afterAll(() => host.close())
  const own = (): string => `localhost:${host.port}`

  it.each([
    ['another host', () => `GET /bff/user HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n`, 421],
    ['two hosts', () => `GET /bff/user HTTP/1.1\r\nHost: ${own()}\r\nHost: ${own()}\r\n\r\n`, 400],
    ['no host', () => 'GET /bff/user HTTP/1.1\r\n\r\n', 400],
    ['TRACE', () => `TRACE /public/x HTTP/1.1\r\nHost: ${own()}\r\nConnection: close\r\n\r\n`, 404],
    ['an absolute target', () => `GET http://evil.test/ HTTP/1.1\r\nHost: ${own()}\r\n\r\n`, 400],
    ['101 header lines', () => `GET / HTTP/1.1\r\nHost: ${own()}\r\n${'x: y\r\n'.repeat(99)}Connection: close\r\n\r\n`, 431],
    ['1200 header lines', () => `GET / HTTP/1.1\r\nHost: ${own()}\r\n${'x: y\r\n'.repeat(1200)}Connection: close\r\n\r\n`, 431],
    ['a head of 40 kB', () => `GET / HTTP/1.1\r\nHost: ${own()}\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`, 431],
    [
      'a length and chunks',
      () => `POST /bff/logout HTTP/1.1\r\nHost: ${own()}\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
    ],
    ['nonsense', () => 'hello there\r\n\r\n', 400],
    ['a path that cannot be decoded', () => `GET /bff/%zz HTTP/1.1\r\nHost: ${own()}\r\nConnection: close\r\n\r\n`, 400],
    ['an unknown method', () => `PROPFIND /bff/user HTTP/1.1\r\nHost: ${own()}\r\nConnection: close\r\n\r\n`, 404],
    ['an encoded own path', () => `GET /bff/%6cogin HTTP/1.1\r\nHost: ${own()}\r\nConnection: close\r\n\r\n`, 400],
    [
      'a WebSocket handshake',
      () => `GET /api/orders HTTP/1.1\r\nHost: ${own()}\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n`,
      501,
    ],
  ])('%s: a fixed problem, a request id, nothing of the software behind it', async (_what, text, status) => {
    const got = await raw(host.port, text())
    expect(got).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(got).toMatch(/\r\nx-request-id: [0-9a-f]{32}\r\n/i)
    expect(got).not.toMatch(/fastify|node|express|evil|FST_|HPE_|\bat .*\.[jt]s/i)
    expect(got).not.toMatch(/set-cookie|\r\nserver:|x-powered-by/i)
  })

  it('a CONNECT gets no tunnel and no word', async () => {
    expect(await raw(host.port, `CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: ${own()}\r\n\r\nGET / HTTP/1.1\r\n\r\n`)).toBe('')
    expect(host.upstreamSaw).toEqual([])
  })

  it('a malformed request behind a good one is not answered in its place', async () => {
    const got = await raw(host.port, `GET /bff/session HTTP/1.1\r\nHost: ${own()}\r\nX-CSRF: 1\r\n\r\nhello there\r\n\r\n`)
    expect(got.match(/^HTTP\/1\.1 \d+/gm)?.[0] ?? 'HTTP/1.1 401').toBe('HTTP/1.1 401')
  })

  it('a handshake that is cut or followed by garbage harms nobody', async () => {
    const handshake = `GET / HTTP/1.1\r\nHost: ${own()}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`
    await new Promise<void>((resolve) => {
      const socket = connect(host.port, '127.0.0.1', () => socket.write(handshake, () => socket.resetAndDestroy()))
      socket.on('error', () => {})
      socket.on('close', () => resolve())
    })
    for (const upgrade of [handshake, handshake.replace('websocket', 'h2c')]) {
      // The parser drops what follows in the same packet: the connection has to end, or the next answer would go to the wrong request.
      const got = await raw(host.port, `${upgrade}GET /bff/user HTTP/1.1\r\nHost: ${own()}\r\n\r\n`)
      expect(got.match(/^HTTP\/1\.1 /gm)).toHaveLength(1)
      expect(got).toMatch(/\r\nconnection: close\r\n/i)
    }
    expect((await host.ask('/bff/user', { headers: fetching })).status).toBe(401)
  })

  it('carries a request id on every answer, its own whatever the browser sent', async () => {
    for (const path of ['/', '/bff/login', '/bff/nothing', '/api/orders', '/nowhere', '/bff/user']) {
      const got = await host.ask(path, { headers: { 'x-request-id': 'chosen-by-a-stranger' } })
      expect(got.headers['x-request-id']).toMatch(/^[0-9a-f]{32}$/)
    }
  })

  it.each(['/bff', '/bff/', '/bff/nothing', '/bff/user/', '/bff/USER', '/.well-known/sallyport/other'])(
    '%s is the gateway’s own and unknown: never the frontend’s, never proxied',
    async (path) => {
      const got = await host.ask(path, { headers: navigation() })
      expect(got.status).toBe(404)
      expect(got.body).not.toContain('<h1>start')
    },
  )

  it('asks no more of an own form than a few bytes', async () => {
    const got = await host.ask('/bff/logout', {
      method: 'POST',
      headers: { ...fetching, 'content-type': 'text/plain' },
      body: 'x'.repeat(20_000),
    })
    expect([got.status, JSON.parse(got.body).code]).toEqual([413, 'request.body-too-large'])
  })

  describe('the frontend’s files', () => {
    it.each([
      ['/', 200, 'no-store', 'start'],
      ['/index.html', 200, 'no-store', 'start'],
      ['/some/route/of/the/app', 200, 'no-store', 'start'],
      ['/main.js', 200, 'no-cache', 'let a'],
      ['/main-4f3a9c1d.js', 200, 'public, max-age=31536000, immutable', 'let b'],
    ])('%s: %i, %s', async (path, status, cache, body) => {
      const got = await host.ask(path, { headers: navigation() })
      expect([got.status, got.headers['cache-control']]).toEqual([status, cache])
      expect(got.body).toContain(body)
      expect(got.headers['x-content-type-options']).toBe('nosniff')
    })

    it.each(['/.env', '/../outside.txt', '/%2e%2e/outside.txt', '/..%2foutside.txt', '/missing.js'])('%s is not there', async (path) => {
      const got = await host.ask(path, { headers: { 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'script' } })
      expect(got.status).toBeGreaterThanOrEqual(400)
      expect(got.body).not.toMatch(/SECRET|outside/)
    })

    it('a page that needs a session bounces once from elsewhere and signs in from here', async () => {
      const elsewhere = await host.ask('/app/deep?x=1', { headers: navigation('cross-site') })
      expect(elsewhere.status).toBe(200)
      expect(elsewhere.headers['refresh']).toBe('0;url=/bff/continue?to=%2Fapp%2Fdeep%3Fx%3D1')
      const step = await host.ask('/bff/continue?to=%2Fapp%2Fdeep%3Fx%3D1', { headers: navigation() })
      expect([step.status, step.headers['refresh']]).toEqual([200, '0;url=/bff/login?return_to=%2Fapp%2Fdeep%3Fx%3D1'])
      const here = await host.ask('/app/deep?x=1', { headers: navigation() })
      expect([here.status, here.headers.location]).toEqual([302, '/bff/login?return_to=%2Fapp%2Fdeep%3Fx%3D1'])
      expect([...cookiesOf(elsewhere), ...cookiesOf(step), ...cookiesOf(here)]).toEqual([])
    })

    it.each([
      ['/app/data.json', fetching],
      ['/app/x', { ...navigation('cross-site'), 'sec-fetch-dest': 'iframe' }],
    ])('%s with %j is no page: 401, no bounce', async (path, headers) => {
      const got = await host.ask(path, { headers: headers as Record<string, string> })
      expect([got.status, got.headers['refresh']]).toEqual([401, undefined])
    })

    it('the bounce leads nowhere but to our own pages', async () => {
      const got = await host.ask('/bff/continue?to=https://evil.test/', { headers: navigation() })
      expect(got.headers['refresh']).toBe('0;url=/bff/login')
      expect(got.body).not.toContain('evil')
    })
  })
})

describe('a frontend that is served by somebody else', () => {
  let host: EdgeHost
  beforeAll(async () => {
    host = await edgeHost({ frontend: 'upstream', requireSignIn: ['/app'] })
  })
  afterAll(() => host.close())

  it('gets what nobody else claims, without cookies of ours and without a token', async () => {
    const got = await host.ask('/some/page?x=1', {
      headers: { ...navigation('none'), cookie: `__Host-Http-sallyport-${host.port}=${'A'.repeat(64)}` },
    })
    expect([got.status, got.body]).toEqual([200, 'upstream'])
    expect(host.upstreamSaw.at(-1)).toMatchObject({ url: '/some/page?x=1', authorization: undefined, cookie: undefined })
  })

  it.each([
    ['/bff/nothing', 404],
    ['/.well-known/sallyport/x', 404],
    ['/bff%2fuser', 400],
    ['/a/%2e%2e/b', 400],
    ['/api/orders', 403],
  ])('never gets %s', async (path, status) => {
    const before = host.upstreamSaw.length
    expect((await host.ask(path)).status).toBe(status)
    expect(host.upstreamSaw).toHaveLength(before)
  })

  it('its gated pages bounce as well, and reach it only with a session', async () => {
    const before = host.upstreamSaw.length
    expect((await host.ask('/app/x', { headers: navigation('cross-site') })).headers['refresh']).toBe('0;url=/bff/continue?to=%2Fapp%2Fx')
    const dead = { ...navigation(), cookie: `__Host-Http-sallyport-${host.port}=${'A'.repeat(64)}` }
    expect((await host.ask('/app/x', { headers: dead })).headers.location).toBe('/bff/login?return_to=%2Fapp%2Fx')
    host.broken.store = true
    expect((await host.ask('/app/x', { headers: dead })).status).toBe(503)
    expect(host.upstreamSaw).toHaveLength(before)
  })
})

describe('the ops listener', () => {
  it('says alive, ready and numbers, and nothing else', async () => {
    let ready = false
    const app = createOpsServer({
      metrics: async () => ({ type: 'text/plain', text: 'up 1\n' }),
      readiness: () => ({ ready, waiting: ready ? [] : ['store'] }),
    })
    expect((await app.inject('/livez')).statusCode).toBe(200)
    expect((await app.inject('/readyz')).json()).toEqual({ status: 'waiting', waiting: ['store'] })
    expect((await app.inject('/readyz')).statusCode).toBe(503)
    ready = true
    expect((await app.inject('/readyz')).statusCode).toBe(200)
    expect((await app.inject('/metrics')).body).toBe('up 1\n')
    for (const path of ['/', '/bff/user', '/admin/status', '/livez/']) expect((await app.inject(path)).statusCode).toBe(404)
    await app.close()
  })
})

describe('the admin listener', () => {
  const path = join(folder, 'admin.sock')
  const events: AuditEvent[] = []
  const make = (outcome: 'ended' | 'absent' | 'unavailable' = 'ended') =>
    createAdminServer({
      status: () => ({ mode: 'live' }),
      sessions: {
        list: async () => ({ kind: 'unavailable' }),
        find: async () => 'unavailable',
        end: async () => outcome,
        endMany: async () => ({ kind: 'unavailable', ended: 0 }),
        keys: async () => 'unavailable',
      },
      credentials: {
        status: () => ({ ready: true, credentials: [], faults: [] }),
        verify: async () => 'unknown',
        promote: async () => 'unknown',
        withdraw: async () => 'unknown',
      },
      audit: { record: (event) => void events.push(event) },
    })
  beforeEach(() => void events.splice(0))
  let app: ReturnType<typeof make> | undefined
  afterEach(() => app?.close())

  it('listens on a socket that only its user may open, and removes the one of a gateway that died', async () => {
    const dead = make()
    await listenOnSocket(dead, path)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    app = make()
    await expect(listenOnSocket(app, path)).rejects.toThrow('another process listens')
    dead.server.close()
    await app.close()
    // What SIGKILL leaves behind: a socket file that nobody answers.
    const child = spawnSync(process.execPath, [
      '-e',
      'require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, 9))',
      path,
    ])
    expect([child.signal, statSync(path).isSocket()]).toEqual(['SIGKILL', true])
    app = make()
    await listenOnSocket(app, path)
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const outgoing = send({ socketPath: path, path: '/admin/status', agent: false }, (incoming) => {
        incoming.resume().on('end', () => resolve(incoming.statusCode))
      })
      outgoing.on('error', reject)
      outgoing.end()
    })
    expect(status).toBe(200)
  })

  it('does not remove what is no socket', async () => {
    const file = join(folder, 'precious')
    writeFileSync(file, 'x')
    app = make()
    await expect(listenOnSocket(app, file)).rejects.toThrow('not a socket')
    expect(statSync(file).size).toBe(1)
  })

  it.each([
    ['ended', 200],
    ['absent', 200],
    ['unavailable', 202],
  ] as const)('ends a session by its ref (%s), and each command is an audit event', async (outcome, status) => {
    app = make(outcome)
    const got = await app.inject({ method: 'DELETE', url: `/admin/sessions/${'a'.repeat(22)}` })
    expect(got.statusCode).toBe(status)
    expect(events).toMatchObject([{ event: 'admin.command', command: 'sessions.end', outcome }])
  })

  it('answers no browser and no malformed ref', async () => {
    app = make()
    expect((await app.inject({ method: 'DELETE', url: '/admin/sessions/x' })).statusCode).toBe(400)
    expect((await app.inject({ url: '/admin/status', headers: { origin: 'http://localhost' } })).statusCode).toBe(403)
    expect((await app.inject({ url: '/admin/status', headers: { 'sec-fetch-site': 'same-origin' } })).statusCode).toBe(403)
    expect(events).toEqual([])
  })
})
