import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ephemeralKeyring } from '../../src/crypto/keyring.ts'
import { createSealer } from '../../src/crypto/seal.ts'
import { ENDPOINTS } from '../../src/contract/paths.ts'
import { login, type LoginDeps } from '../../src/flows/login.ts'
import { queryOf } from '../../src/flows/query.ts'
import { instant, minutes, systemClock } from '../../src/kernel/time.ts'
import { createLoginRate } from '../../src/edge/guard-rate.ts'
import { createAttempts } from '../../src/login/attempts.ts'
import { cookiesOf, type EdgeHost, edgeHost, fetching, type Got, jarOf, navigation, signedIn } from '../harness/edge-host.ts'

/** What may come back from a provider, or from somebody who says he is one. */
let host: EdgeHost
beforeEach(async () => {
  host = await edgeHost()
})
afterEach(() => host.close())

interface Started {
  readonly state: string
  readonly cookie: string
}
const start = async (query = ''): Promise<Started> => {
  const got = await host.ask(`/bff/login${query}`, { headers: navigation() })
  const { searchParams } = new URL(String(got.headers.location))
  return { state: searchParams.get('state') ?? '', cookie: jarOf(...cookiesOf(got)) }
}
const back = (query: Record<string, string>, cookie?: string): Promise<Got> =>
  host.ask(`/bff/callback?${new URLSearchParams(query).toString()}`, {
    headers: { ...navigation('cross-site'), ...(cookie !== undefined && { cookie }) },
  })
const hasSession = (got: Got): boolean => cookiesOf(got).some((line) => /^__Host-Http-sallyport-\d+=[\w-]{64}/.test(line))
const checks = (): unknown[] => host.events.flatMap((event) => (event.event === 'sign-in.failed' ? [event.check ?? event.code] : []))

describe('state is bound to one browser and to one use', () => {
  it.each<[string, (good: Started) => string | undefined, string]>([
    ['with its cookie', ({ cookie }) => cookie, 'state-used'],
    ['without any cookie', () => undefined, 'attempt-cookie'],
    ['with the cookie of another attempt', () => 'another', 'attempt-cookie'],
  ])('a callback URL that was used is worth nothing %s', async (_name, cookieOf, check) => {
    const other = await start()
    const good = await start('?return_to=/orders')
    expect(hasSession(await back({ code: 'c', state: good.state }, good.cookie))).toBe(true)
    const wanted = cookieOf(good)
    const replayed = await back({ code: 'c', state: good.state }, wanted === 'another' ? other.cookie : wanted)
    expect([hasSession(replayed), host.redemptions, checks()]).toEqual([false, ['c'], [check]])
    expect(replayed.headers['refresh']).toBe('0;url=/bff/login/resume?return_to=%2Forders')
  })

  it.each<[string, Record<string, string>]>([
    ['an invalid answer', { code: 'c' }],
    ['a refusal', { error: 'access_denied' }],
  ])('%s uses the state up as well: nothing can be tried twice', async (_name, query) => {
    host.broken.redeem =
      'error' in query ? { kind: 'refused', cancelled: true, providerCode: 'access_denied' } : { kind: 'invalid', check: 'nonce' }
    const { state, cookie } = await start()
    const failed = await back({ ...query, state }, cookie)
    expect(cookiesOf(failed)[0]).toMatch(/-login-[\w-]{22}=; Max-Age=0;/)
    host.broken.redeem = undefined
    expect(hasSession(await back({ code: 'another', state }, cookie))).toBe(false)
    expect(host.redemptions).toHaveLength(1)
  })

  it('no two states are alike, and half a state opens nothing', async () => {
    const states = await Promise.all(Array.from({ length: 50 }, async () => (await start()).state))
    expect(new Set(states).size).toBe(50)
    const tails = states.map((state) => state.split('.')[2] ?? '')
    // 256 random bits lie inside, under a nonce of their own: no two sealed texts share even their beginning.
    expect(new Set(tails.map((tail) => tail.slice(0, 16))).size).toBe(50)
    const good = await start()
    expect(hasSession(await back({ code: 'c', state: good.state.slice(0, -1) }, good.cookie))).toBe(false)
    expect(host.redemptions).toEqual([])
  })

  it('a state that was changed anywhere carries no new target and redeems nothing', async () => {
    const good = await start('?return_to=/orders')
    for (let at = 0; at < good.state.length; at += 5) {
      const other = good.state[at] === 'A' ? 'B' : 'A'
      const got = await back({ code: 'c', state: `${good.state.slice(0, at)}${other}${good.state.slice(at + 1)}` }, good.cookie)
      expect([hasSession(got), host.redemptions], `at ${at}`).toEqual([false, []])
      // Either nothing of it opened, or its key is one that a newer replica might have: never another place to go.
      if (got.status === 200) expect(got.headers['refresh']).toBe('0;url=/bff/login/resume?return_to=%2F&last=1')
      else expect([got.status, got.headers['refresh'], got.headers.location]).toEqual([503, undefined, undefined])
    }
    expect(hasSession(await back({ code: 'c', state: good.state }, good.cookie))).toBe(true)
  })

  it('ten minutes later nothing of an attempt is redeemed', async () => {
    const { state, cookie } = await start()
    host.clock.shift(10 * 60_000 + 1)
    expect(hasSession(await back({ code: 'c', state }, cookie))).toBe(false)
    expect([host.redemptions, checks()]).toEqual([[], ['attempt-expired']])
  })

  it('the answer of one provider is not taken for the login at another, nor for another app', () => {
    const sealer = createSealer({ keyring: ephemeralKeyring(instant(Date.now())) })
    const at = (app: string, provider: string) =>
      createAttempts({ sealer, app, provider, publicUrl: new URL('https://shop.example.com'), clock: systemClock })
    const state = {
      ...{ id: 'AAAAAAAAAAAAAAAAAAAAAA', app: 'shop', provider: 'honest', startedAt: systemClock.now(), returnTo: '/', resumed: false },
      ...{ silent: false, replaces: undefined, expectSubject: undefined, maxAgeSeconds: undefined, acrValues: [] },
    }
    const sealed = at('shop', 'honest').sealState(state).reveal()
    expect(at('shop', 'honest').openState(sealed).kind).toBe('opened')
    expect(at('shop', 'evil').openState(sealed)).toEqual({ kind: 'invalid' })
    expect(at('admin', 'honest').openState(sealed)).toEqual({ kind: 'invalid' })
  })
})

describe('starting logins costs the gateway nothing', () => {
  it('after 100,000 of them nothing is stored anywhere and the process is as small as before', async () => {
    setFlagsFromString('--expose_gc')
    const gc = runInNewContext('gc') as () => void
    const heap = (): number => {
      gc()
      return process.memoryUsage().heapUsed
    }
    // Sealing is dear and keeps nothing: 64 derived keys at most. What a start leaves behind is asked of everything around it.
    const real = createSealer({ keyring: ephemeralKeyring(instant(Date.now())) })
    const sealed = real.seal('state', ['default'], 'x'.repeat(300))
    const sealer = { ...real, seal: (_purpose: string, _place: unknown, text: string) => `${sealed}${text.length}` }
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
    const touched: string[] = []
    // Whatever the flow might call of the store: only reading a name off a cookie is nothing.
    const store = new Proxy({ refOf: () => undefined } as LoginDeps['store'], {
      get: (real, name) => (name === 'refOf' ? real.refOf : (touched.push(String(name)), () => undefined)),
    })
    const deps: LoginDeps = {
      app: 'default',
      provider: { name: 'default', authorizationUrl: async () => ({ kind: 'url', url: 'https://login.example.com/authorize' }) },
      attempts: createAttempts({ sealer, app: 'default', provider: 'default', publicUrl: new URL(host.origin), clock: systemClock }),
      store,
      audit: { record: () => {} },
      metrics: { count: () => {}, gauge: () => {}, observe: () => {} },
      clock: systemClock,
      rate: createLoginRate({ perAddress: { count: 1000, perMs: minutes(1) }, global: undefined, clock: systemClock, log }),
      returnTo: () => '/',
      scopes: ['openid'],
      ask: undefined,
    }
    const query = queryOf('/bff/login')
    const start = (n: number): ReturnType<typeof login> => {
      // Each from an address of its own: the limit of starts is the one thing that remembers them, and it is bounded.
      const address = `2001:db8:${(n >> 16).toString(16)}:${(n & 0xffff).toString(16)}::1`
      return login(deps, {
        query,
        cookieHeader: undefined,
        sessionCookie: undefined,
        visitor: { requestId: 'r', address, userAgent: undefined },
      })
    }
    for (let n = 0; n < 12_000; n += 1) await start(n)
    const before = heap()
    for (let n = 12_000; n < 112_000; n += 1) await start(n)
    expect(heap() - before).toBeLessThan(4 << 20)
    expect(touched).toEqual([])
  }, 90_000)
})

describe('no redirect can be made to leave, or to repeat a body', () => {
  it.each([
    [
      '/bff/logout/callback',
      { post_logout_redirect_uri: 'https://evil.example', state: '//evil.example', return_to: 'https://evil.example' },
    ],
    ['/bff/logout/continue', { ref: 'https://evil.example', to: '//evil.example' }],
    ['/bff/callback', { error: 'access_denied', error_uri: 'https://evil.example', return_to: '//evil.example', state: '//evil.example' }],
  ])('%s leads nobody to an address that it was given', async (path, query) => {
    const got = await host.ask(`${path}?${new URLSearchParams(query).toString()}`, { headers: navigation('cross-site') })
    expect(JSON.stringify([got.headers, got.body])).not.toContain('evil')
  })

  it('no own endpoint ever answers 307 or 308, whatever the method, the session or the trouble', async () => {
    const cookie = await signedIn(host)
    const seen = new Set<number>()
    const tryAll = async (): Promise<void> => {
      for (const path of Object.values(ENDPOINTS))
        for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'])
          for (const headers of [navigation(), { ...navigation(), cookie }, { ...fetching, cookie }, navigation('cross-site')]) {
            const got = await host.ask(`/bff${path}`, { method, headers, ...(method === 'POST' && { body: 'secret=1' }) })
            seen.add(got.status)
          }
    }
    await tryAll()
    host.broken.store = true
    host.broken.provider = true
    await tryAll()
    const redirects = [...seen].filter((status) => status >= 300 && status < 400)
    expect(new Set(redirects)).toEqual(new Set([302, 303]))
  }, 90_000)
})

describe('what the callback answers stays between the browser and us', () => {
  it.each<[string, () => Promise<Got>]>([
    [
      'success',
      async () => {
        const { state, cookie } = await start()
        return back({ code: 'c', state }, cookie)
      },
    ],
    [
      'an error of the provider',
      async () => {
        host.broken.redeem = { kind: 'refused', cancelled: false, providerCode: 'server_error' }
        const { state, cookie } = await start()
        return back({ error: 'server_error', state }, cookie)
      },
    ],
    ['an unknown attempt', () => back({ code: 'c', state: 'x' })],
    ['a doubled parameter', () => host.ask('/bff/callback?code=a&code=b', { headers: navigation('cross-site') })],
  ])('%s: no referrer, no cache, no script, nothing of anybody else', async (_name, ask) => {
    const got = await ask()
    expect(got.headers).toMatchObject({
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    })
    const policy = String(got.headers['content-security-policy'])
    expect(policy).toMatch(/^default-src 'none'/)
    expect(policy).not.toMatch(/script-src|https?:|\*|unsafe/)
    expect(got.body).not.toMatch(/<script|src=|https?:\/\/|url\(/i)
    expect(got.headers.location).toBeUndefined() // spec §3: 200 + Refresh, so that the next request brings the Strict cookie
  })
})

describe('a parameter that comes twice is refused, not taken once', () => {
  it.each([
    ...['code', 'state', 'iss', 'error', 'session_state'].map((name) => `/bff/callback?code=c&state=s&${name}=1&${name}=2`),
    ...['return_to', 'prompt', 'login_hint', 'ui_locales', 'provider'].map((name) => `/bff/login?${name}=login&${name}=login`),
    '/bff/login/resume?return_to=/a&return_to=/b',
    '/bff/continue?to=/a&to=/b',
    '/bff/logout/continue?ref=a&ref=b',
  ])('%s', async (path) => {
    const got = await host.ask(path, { headers: navigation() })
    expect([got.status, got.headers.location, host.redemptions, host.authorizations()]).toEqual([400, undefined, [], 0])
    expect(cookiesOf(got)).toEqual([])
  })
  it('/bff/user?slide=true&slide=false', async () => {
    const got = await host.ask('/bff/user?slide=true&slide=false', { headers: { ...fetching, cookie: await signedIn(host) } })
    expect([got.status, JSON.parse(got.body)]).toMatchObject([400, { code: 'request.parameter-invalid' }])
  })
})

describe('an error of the provider', () => {
  const EVIL = '<script>alert(document.domain)</script>"\'><img src=x onerror=alert(1)>\r\nSet-Cookie: a=b'
  beforeEach(() => {
    host.broken.redeem = { kind: 'refused', cancelled: false, providerCode: 'login_required' }
  })
  it('without a state of ours is believed by nobody and starts nothing by itself', async () => {
    const got = await back({ error: 'access_denied', error_description: EVIL })
    expect([got.status, got.headers['refresh'], host.redemptions]).toEqual([200, '0;url=/bff/login/resume?return_to=%2F&last=1', []])
    const resumed = await host.ask('/bff/login/resume?return_to=%2F&last=1', { headers: navigation() })
    expect([resumed.status, resumed.headers.location, host.authorizations()]).toEqual([400, undefined, 0])
  })
  it.each(['error', 'error_description', 'error_uri', 'iss', 'session_state', 'state'])('is shown without its %s', async (name) => {
    const { state, cookie } = await start()
    for (const query of [
      { error: 'x', state, [name]: EVIL },
      { error: 'x', [name]: EVIL },
    ]) {
      const got = await back(query, cookie)
      expect(JSON.stringify([got.body, got.rawHeaders])).not.toMatch(/alert|onerror|a=b/)
    }
  })
  it('to a silent sign-in ends on the page it came from: no new attempt, no circle', async () => {
    const { state, cookie } = await start('?prompt=none&return_to=/orders')
    const before = host.authorizations()
    const got = await back({ error: 'login_required', state }, cookie)
    expect([got.status, got.headers['refresh'], host.authorizations()]).toEqual([200, '0;url=/orders', before])
  })
  it('to any other sign-in ends on a page that a person has to leave', async () => {
    const { state, cookie } = await start('?return_to=/orders')
    const got = await back({ error: 'login_required', state }, cookie)
    expect([got.status, got.headers['refresh'], got.headers.location]).toEqual([403, undefined, undefined])
  })
})
