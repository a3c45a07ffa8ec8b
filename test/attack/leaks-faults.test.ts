import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { problem, type ProblemCode } from '../../src/domain/problem.ts'
import { cookiesOf, type EdgeHost, edgeHost, fetching, type Got, jarOf, navigation, signedIn } from '../harness/edge-host.ts'

/** What happens when something breaks that never should: nobody gets in by it, nobody learns from it, and the next request is served. */
const CANARY = 'CANARY-what-the-error-says at /srv/secret/path.ts:7'
const www = mkdtempSync(join(tmpdir(), 'sallyport-faults-'))
writeFileSync(join(www, 'index.html'), 'private page')

let host: EdgeHost
beforeAll(async () => {
  host = await edgeHost({ frontend: { kind: 'dir', dir: www }, requireSignIn: ['/app'] })
})
afterAll(async () => {
  await host.close()
  rmSync(www, { recursive: true, force: true })
})
beforeEach(() => {
  host.upstreamSaw.length = 0
  host.logged.length = 0
})

const started = async (cookie?: string): Promise<() => Promise<Got>> => {
  const got = await host.ask('/bff/login', { headers: { ...navigation(), ...(cookie !== undefined && { cookie }) } })
  const state = new URL(String(got.headers.location)).searchParams.get('state') ?? ''
  const jar = jarOf(...cookiesOf(got))
  return () => host.ask(`/bff/callback?code=c&state=${state}`, { headers: { ...navigation('cross-site'), cookie: jar } })
}

/** What people and programs ask for: made ready while all is well, sent when something is broken. */
const REQUESTS: Readonly<Record<string, (cookie: string) => Promise<() => Promise<Got>>>> = {
  'a call as the user': async (cookie) => () => host.ask('/api/orders', { headers: { ...fetching, cookie } }),
  'a call as the application': async (cookie) => () => host.ask('/api/reports', { headers: { ...fetching, cookie } }),
  'a guarded page': async (cookie) => () => host.ask('/app/x', { headers: { ...navigation(), cookie } }),
  'who am I': async (cookie) => () => host.ask('/bff/user', { headers: { ...fetching, cookie } }),
  'my timers': async (cookie) => () => host.ask('/bff/session', { headers: { ...fetching, cookie } }),
  'a renewal': async (cookie) => () => host.ask('/bff/session/refresh', { method: 'POST', headers: { ...fetching, cookie } }),
  'a login': async (cookie) => () => host.ask('/bff/login', { headers: { ...navigation(), cookie } }),
  'a callback': () => started(),
  'a callback that replaces': (cookie) => started(cookie),
  'a resume': async (cookie) => () => host.ask('/bff/login/resume', { headers: { ...navigation(), cookie } }),
  'a continue': async (cookie) => () => host.ask('/bff/continue?to=/app', { headers: { ...navigation(), cookie } }),
  'a sign-out': async (cookie) => () => host.ask('/bff/logout', { method: 'POST', headers: { ...fetching, cookie } }),
  'a local sign-out': async (cookie) => () => host.ask('/bff/logout/local', { method: 'POST', headers: { ...navigation(), cookie } }),
  'a way to the provider': async (cookie) => {
    const out = await host.ask('/bff/logout', { method: 'POST', headers: { ...fetching, cookie } })
    const { location } = JSON.parse(out.body) as { location: string }
    return () => host.ask(location, { headers: navigation() })
  },
}

type Port = Exclude<keyof EdgeHost['ports'], 'attempts'>
const SYNC = ['peek', 'refOf', 'touch', 'peekUser', 'peekApp', 'isConfirmed']
const METHODS: Readonly<Record<Port, readonly string[]>> = {
  store: ['peek', 'open', 'refOf', 'create', 'touch', 'end'],
  once: ['claim', 'put', 'take'],
  provider: ['authorizationUrl', 'redeem', 'revoke', 'endSessionUrl'],
  broker: ['peekUser', 'user', 'peekApp', 'app', 'isConfirmed', 'confirm', 'refreshNow'],
}
const FAULTS = (Object.keys(METHODS) as Port[]).flatMap((port) =>
  METHODS[port].flatMap((method) =>
    (SYNC.includes(method) ? ['throws'] : ['throws', 'rejects']).map((how) => [port, method, how] as const),
  ),
)
/** Work behind an answer that is right without it: of which requests. */
const BEHIND: Readonly<Record<string, RegExp>> = { 'provider.revoke': /./, 'once.claim': /sign-out|way to the provider/ }

/** Puts a method that fails in the place of one; @returns how often it was called, and how to take it back. */
const broken = (port: Port, method: string, how: string): { readonly calls: () => number; readonly mend: () => void } => {
  const ports = host.ports[port] as unknown as Record<string, unknown>
  const before = ports[method]
  let calls = 0
  ports[method] = () => {
    calls += 1
    const error = new Error(CANARY)
    if (how === 'throws') throw error
    return Promise.reject(error)
  }
  return {
    calls: () => calls,
    mend: () => {
      ports[method] = before
    },
  }
}

describe('a check that fails in an unforeseen way lets nobody in', () => {
  const met = new Set<string>()
  it.each(FAULTS)(
    '%s.%s %s: 500 or 503 wherever it is asked, and nothing is said of why',
    async (port, method, how) => {
      for (const slow of [false, true])
        for (const [name, prepare] of Object.entries(REQUESTS)) {
          host.broken.memory = false
          const cookie = await signedIn(host)
          const send = await prepare(cookie)
          host.upstreamSaw.length = 0
          host.broken.memory = slow
          const fault = broken(port, method, how)
          const got = await send()
          fault.mend()
          host.broken.memory = false
          if (fault.calls() === 0) continue
          met.add(`${port}.${method}`)
          const what = `${name}${slow ? ', slowly' : ''}`
          if (BEHIND[`${port}.${method}`]?.test(name)) {
            expect(got.status, what).toBeLessThan(400)
            continue
          }
          expect([500, 503], what).toContain(got.status)
          if (got.status === 500) expect(host.problems().at(-1), what).toBe('gateway.failed')
          expect(host.upstreamSaw, what).toEqual([])
          expect(got.headers['set-cookie'], what).toBeUndefined()
          expect(got.headers['x-request-id'], what).toMatch(/^[0-9a-f]{32}$/)
          expect(`${got.body} ${JSON.stringify([got.headers, host.logged, host.access])}`, what).not.toMatch(/CANARY|private page|srv/)
        }
      // The process is as it was: the same things work.
      for (const name of ['a call as the user', 'a guarded page', 'a callback'])
        expect((await (await REQUESTS[name]!(await signedIn(host)))()).status).toBe(200)
    },
    30_000,
  )
  it('and every method of every port was asked by something', () => {
    const all = (Object.keys(METHODS) as Port[]).flatMap((port) => METHODS[port].map((method) => `${port}.${method}`))
    expect(all.filter((name) => !met.has(name))).toEqual([])
  })
})

describe('what a dependency that is away does to people', () => {
  it.each([
    'a call as the user',
    'a call as the application',
    'a guarded page',
    'who am I',
    'my timers',
    'a renewal',
    'a resume',
    'a continue',
  ])('the store away, %s: 503 with Retry-After, never as nobody, never signed out', async (name) => {
    const cookie = await signedIn(host)
    const send = await REQUESTS[name]!(cookie)
    host.broken.store = true
    const got = await send()
    host.broken.store = false
    expect([got.status, got.headers['set-cookie'], got.headers.location, host.upstreamSaw]).toEqual([503, undefined, undefined, []])
    expect(Number(got.headers['retry-after'])).toBeGreaterThan(0)
    expect((await send()).status).toBeLessThan(400)
  })
  it('the provider away: those who are signed in go on, whoever wants to sign in is told when to try again', async () => {
    const cookie = await signedIn(host)
    host.broken.provider = true
    for (const name of ['a call as the user', 'a call as the application', 'a guarded page', 'who am I'])
      expect((await (await REQUESTS[name]!(cookie))()).status, name).toBe(200)
    const login = await (await REQUESTS['a login']!(cookie))()
    expect([login.status, login.headers['retry-after']]).toEqual([503, '7'])
    host.broken.provider = false
  })
})

describe('an error says what to do, never what went wrong inside', () => {
  it.each<[string, string, Record<string, string>, ProblemCode]>([
    ['/api/orders', 'GET', fetching, 'session.absent'],
    ['/api/orders', 'POST', { ...fetching, 'sec-fetch-site': 'cross-site' }, 'csrf.cross-site'],
    ['/api/orders/%2e%2e/x', 'GET', fetching, 'request.path-ambiguous'],
    ['/nowhere.js', 'GET', fetching, 'endpoint.unknown'],
    ['/bff/user', 'PUT', fetching, 'request.method-not-allowed'],
    ['/bff/callback?code=1&code=2', 'GET', { 'sec-fetch-mode': 'navigate', accept: 'application/json' }, 'request.parameter-invalid'],
  ])('%s by %s', async (path, method, headers, code) => {
    const got = await host.ask(path, { method, headers })
    const { title, fix, status } = problem(code)
    if (String(got.headers['content-type']).includes('json')) {
      const { login_url, ...document } = JSON.parse(got.body) as Record<string, unknown>
      const requestId = got.headers['x-request-id']
      expect(document).toEqual({ type: `urn:sallyport:problem:${code}`, title, status, code, fix, request_id: requestId })
      expect(login_url === undefined || login_url === '/bff/login').toBe(true)
    } else for (const text of [String(got.headers['x-request-id']), title]) expect(got.body).toContain(text)
    expect(got.body).not.toMatch(/\.ts:\d|at \w+ \(|node_modules|Error:|ECONN|FST_|undefined|null|127\.0\.0\.1/)
  })
  it('an upstream that is gone is a 502 that names no address', async () => {
    const gone = await edgeHost({
      routes: () => [
        {
          ...{ name: 'gone', path: '/gone', upstreamPath: '/gone', upstream: new URL('http://127.0.0.1:9'), methods: ['GET'] },
          ...{
            token: { principal: 'none' },
            allow: undefined,
            headers: { requestOnly: undefined, requestCookies: [], responseSetCookie: [] },
          },
          limits: { bodyBytesMax: 1, headersTimeoutMs: 1000, bodyTimeoutMs: 1000, connectTimeoutMs: 1000, inFlightMax: 1 },
          tls: { caFile: undefined, serverName: undefined },
        } as never,
      ],
    })
    const got = await gone.ask('/gone')
    await gone.close()
    expect([got.status, JSON.parse(got.body)]).toMatchObject([502, { code: 'proxy.upstream-unreachable' }])
    expect(got.body).not.toMatch(/127\.0\.0\.1|:9|ECONN/)
  })
})
