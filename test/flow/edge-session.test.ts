import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { expectNoLeak } from '../harness/canary.ts'
import { cookiesOf, type EdgeHost, edgeHost, fetching, type Got, jarOf, navigation } from '../harness/edge-host.ts'

let host: EdgeHost
let cookie: string
beforeEach(async () => {
  host = await edgeHost()
  const started = await host.ask('/bff/login', { headers: navigation() })
  const state = new URL(String(started.headers.location)).searchParams.get('state') ?? ''
  const got = await host.ask(`/bff/callback?${new URLSearchParams({ code: 'c', state }).toString()}`, {
    headers: { ...navigation('cross-site'), cookie: jarOf(...cookiesOf(started)) },
  })
  cookie = jarOf(cookiesOf(got)[0] ?? '')
})
afterEach(() => host.close())

const mine = (): Record<string, string> => ({ ...fetching, cookie })
const form = (): Record<string, string> => ({ ...navigation(), 'content-type': 'application/x-www-form-urlencoded', cookie })
const json = (got: Got): Record<string, unknown> => JSON.parse(got.body) as Record<string, unknown>
const CLEARED = /^__Host-Http-sallyport-\d+=; Max-Age=0; Path=\/; HttpOnly; Secure; Priority=High; SameSite=Strict$/
const ended = () => host.events.filter(({ event }) => event === 'session.ended')

describe('sign-out', () => {
  it('by fetch answers where to navigate, and that way works once and carries the hint to the provider only', async () => {
    const got = await host.ask('/bff/logout', { method: 'POST', headers: mine() })
    expect(got.status).toBe(200)
    expect(cookiesOf(got)[0]).toMatch(CLEARED)
    expect(got.headers['clear-site-data']).toBe('"cache"')
    const { location } = json(got) as { location: string }
    expect(location).toMatch(/^\/bff\/logout\/continue\?ref=[\w-]{43}$/)
    const onward = await host.ask(location, { headers: navigation() })
    expect(onward.status).toBe(303)
    expect(onward.headers.location).toMatch(/^https:\/\/login\.example\.com\/logout\?id_token_hint=canary/)
    expect((await host.ask(location, { headers: navigation() })).status).toBe(400)
    expect((await host.ask('/bff/user', { headers: mine() })).status).toBe(401)
    expect(ended()).toMatchObject([{ reason: 'user', stored: true }])
    expect(host.revoked).toHaveLength(1)
    expectNoLeak(host.secrets, { bodies: got.body, log: JSON.stringify([host.logged, host.access, host.events]) })
  })

  it('the way to the provider is gone after a minute', async () => {
    const { location } = json(await host.ask('/bff/logout', { method: 'POST', headers: mine() })) as { location: string }
    host.clock.shift(61_000)
    expect((await host.ask(location, { headers: navigation() })).status).toBe(400)
  })

  it('by form answers a page that goes on by itself', async () => {
    const got = await host.ask('/bff/logout', { method: 'POST', headers: form(), body: 'anything=1' })
    expect(got.status).toBe(200)
    expect(got.headers['refresh']).toMatch(/^0;url=\/bff\/logout\/continue\?ref=[\w-]{43}$/)
    expect(cookiesOf(got)[0]).toMatch(CLEARED)
  })

  it('local leaves the provider alone', async () => {
    const got = await host.ask('/bff/logout/local', { method: 'POST', headers: mine() })
    expect([got.status, json(got)]).toEqual([200, {}])
    expect(ended()).toMatchObject([{ reason: 'local' }])
  })

  it('clears nothing where no cookie was presented', async () => {
    const got = await host.ask('/bff/logout', { method: 'POST', headers: fetching })
    expect([got.status, json(got), cookiesOf(got), got.headers['clear-site-data']]).toEqual([200, {}, [], undefined])
  })

  it.each([
    ['another site', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }],
    ['a sibling', { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'navigate' }],
    ['nobody that can be told', {}],
  ])('is not done for %s, and the cookie stays', async (_who, headers) => {
    const got = await host.ask('/bff/logout', { method: 'POST', headers: { ...(headers as Record<string, string>), cookie } })
    expect([got.status, cookiesOf(got)]).toEqual([403, []])
    expect(host.events.at(-1)).toMatchObject({ event: 'csrf.refused', route: 'logout' })
    expect((await host.ask('/bff/user', { headers: mine() })).status).toBe(200)
  })

  it('is pending while the store is away: the cookie goes, the answer says so', async () => {
    host.broken.store = true
    const got = await host.ask('/bff/logout', { method: 'POST', headers: mine() })
    expect([got.status, json(got)['code']]).toEqual([202, 'logout.pending'])
    expect(cookiesOf(got)[0]).toMatch(CLEARED)
    expect(ended()).toMatchObject([{ reason: 'user', stored: false }])
  })

  it('by a cookie that does not open the session ends nothing', async () => {
    const [name = '', value = ''] = cookie.split('=')
    const half = `${name}=${value.slice(0, 60)}${value.endsWith('AAAA') ? 'BBBB' : 'AAAA'}`
    const got = await host.ask('/bff/logout', { method: 'POST', headers: { ...fetching, cookie: half } })
    expect(got.status).toBe(200)
    expect((await host.ask('/bff/user', { headers: mine() })).status).toBe(200)
  })

  it('ends the streams of the session', async () => {
    const stream = host.ask('/api/orders/events', { headers: { ...mine(), accept: 'text/event-stream' } })
    const outcome = stream.then(
      () => 'complete',
      () => 'cut',
    )
    while (host.upstreamSaw.length === 0) await new Promise((resolve) => setImmediate(resolve))
    await host.ask('/bff/logout', { method: 'POST', headers: mine() })
    expect(await outcome).toBe('cut')
  })

  it('a session that nobody uses ends with its streams, and an open stream is no use; one that is used goes on with them', async () => {
    let isCut = false
    const stream = host.ask('/api/orders/events', { headers: { ...mine(), accept: 'text/event-stream' } })
    stream.catch(() => (isCut = true))
    await expect.poll(() => host.upstreamSaw.length).toBe(1)
    host.clock.shift(40 * 60_000)
    expect((await host.ask('/bff/user', { headers: mine() })).status).toBe(200)
    host.clock.shift(40 * 60_000) // past the idle end that was predicted when the stream began
    const looks = vi.spyOn(host.ports.store, 'look')
    await expect.poll(() => looks.mock.calls.length, { timeout: 5_000 }).toBe(1)
    expect((await looks.mock.results[0]?.value) as unknown).toMatchObject({ kind: 'alive' })
    expect(isCut).toBe(false)
    host.clock.shift(21 * 60_000)
    await expect.poll(() => isCut, { timeout: 5_000 }).toBe(true)
    expect(ended()).toMatchObject([{ reason: 'idle', stored: true, subject: 'alice' }])
    expect((await host.ask('/bff/user', { headers: mine() })).status).toBe(401)
    expect(ended()).toHaveLength(1)
    await expect.poll(() => host.revoked.length).toBe(1)
  })

  it('returns to a page that says so, without a cookie and without a session', async () => {
    const got = await host.ask('/bff/logout/callback?state=x', { headers: navigation('cross-site') })
    expect([got.status, cookiesOf(got)]).toEqual([200, []])
    expect(got.body).toContain('You are signed out')
  })
})

describe('what the browser may know', () => {
  it('is the allow-listed claims and the timers', async () => {
    const got = await host.ask('/bff/user', { headers: mine() })
    expect(got.headers['cache-control']).toBe('no-store')
    expect(json(got)).toMatchObject({ claims: { sub: 'alice', name: 'Alice Liddell' }, session: { active: true } })
    expect(json(got)['claims']).not.toHaveProperty('email')
    expect(json(await host.ask('/bff/session', { headers: mine() }))).toHaveProperty('timeout_in_seconds')
  })

  it('watching the timers does not move them; asking for the user does, unless told not to', async () => {
    const left = async (path: string): Promise<number> => {
      const body = json(await host.ask(path, { headers: mine() }))
      return Number(((body['session'] ?? body) as Record<string, unknown>)['timeout_in_seconds'])
    }
    host.clock.shift(600_000)
    expect(await left('/bff/session')).toBeLessThan(3001)
    expect(await left('/bff/user?slide=false')).toBeLessThan(3001)
    expect(await left('/bff/user')).toBeGreaterThan(3500)
    expect(await left('/bff/session')).toBeGreaterThan(3500)
  })

  it.each(['/bff/user', '/bff/session'])('%s: no session is a 401 with a login_url, and no cookie is set', async (path) => {
    const got = await host.ask(path, { headers: fetching })
    expect([got.status, json(got)['code'], json(got)['login_url'], cookiesOf(got)]).toEqual([401, 'session.absent', '/bff/login', []])
  })

  it.each([
    ['doubled', () => `${cookie}; ${cookie}`],
    ['cut', () => cookie.slice(0, -1)],
    ['lengthened', () => `${cookie}A`],
    ['of another name', () => `x${cookie}`],
  ])('a cookie that is %s is no session, and stays what it is', async (_what, made) => {
    const got = await host.ask('/bff/user', { headers: { ...fetching, cookie: made() } })
    expect([got.status, cookiesOf(got)]).toEqual([401, []])
  })

  it('a store that is away is a 503 with Retry-After and the cookie untouched; the same session works afterwards', async () => {
    host.broken.store = true
    for (const path of ['/bff/user', '/api/orders']) {
      const got = await host.ask(path, { headers: mine() })
      expect([got.status, json(got)['code'], got.headers['retry-after'], cookiesOf(got)]).toEqual([503, 'store.unavailable', '2', []])
    }
    host.broken.store = false
    expect((await host.ask('/bff/user', { headers: mine() })).status).toBe(200)
  })

  it('HEAD is GET without a body; other methods are refused by name', async () => {
    const head = await host.ask('/bff/user', { method: 'HEAD', headers: mine() })
    expect([head.status, head.body]).toEqual([200, ''])
    const del = await host.ask('/bff/user', { method: 'DELETE', headers: mine() })
    expect([del.status, del.headers['allow']]).toEqual([405, 'GET, HEAD'])
    const started = await host.ask('/bff/login', { method: 'HEAD', headers: navigation() })
    expect([started.status, cookiesOf(started)]).toEqual([405, []])
  })

  it('can be renewed by the frontend, with the header', async () => {
    expect((await host.ask('/bff/session/refresh', { method: 'POST', headers: mine() })).status).toBe(200)
    const without = await host.ask('/bff/session/refresh', { method: 'POST', headers: { ...mine(), 'x-csrf': '' } })
    expect([without.status, json(without)['code']]).toEqual([403, 'csrf.header-absent'])
  })
})

describe('proxied calls', () => {
  it('carry a token and no cookie, for the user’s route and the application’s', async () => {
    for (const path of ['/api/orders/7?x=1', '/api/reports']) {
      const got = await host.ask(path, { headers: mine() })
      expect([got.status, got.body]).toEqual([200, 'upstream'])
      expect(got.headers['x-request-id']).toMatch(/^[0-9a-f]{32}$/)
      expectNoLeak(host.secrets, { headers: JSON.stringify(got.rawHeaders), body: got.body })
    }
    expect(host.upstreamSaw.map(({ url }) => url)).toEqual(['/api/orders/7?x=1', '/api/reports'])
    for (const seen of host.upstreamSaw) {
      expect(seen.authorization).toMatch(/^Bearer canary/)
      expect(seen.cookie).toBeUndefined()
    }
  })

  it.each([
    ['/api/orders', {}, 403, 'csrf.header-absent'],
    ['/api/orders', fetching, 401, 'session.absent'],
    ['/api/orders', { ...fetching, 'sec-fetch-site': 'same-site' }, 403, 'csrf.cross-site'],
    ['/api/orders', { ...navigation('cross-site'), accept: 'application/json', 'sec-fetch-mode': 'no-cors' }, 403, 'csrf.cross-site'],
    ['/api/orders/%2e%2e/reports', fetching, 400, 'request.path-ambiguous'],
    ['/api/%6frders', fetching, 400, 'request.path-ambiguous'],
    ['/api/ordersx', fetching, 404, 'endpoint.unknown'],
    ['/api/Orders', fetching, 404, 'endpoint.unknown'],
    ['/api/orders/EXPORT', fetching, 404, 'endpoint.unknown'], // to an upstream that folds case this is the guarded route inside
    ['/api/orders/export', fetching, 401, 'session.absent'],
  ])('%s with %j is %i %s and reaches no upstream', async (path, headers, status, code) => {
    const got = await host.ask(path, { headers: headers as Record<string, string> })
    expect([got.status, json(got)['code'], cookiesOf(got)]).toEqual([status, code, []])
    expect(host.upstreamSaw).toEqual([])
  })

  it('a preflight is never answered positively', async () => {
    for (const path of ['/api/orders', '/bff/user', '/bff/logout', '/public', '/nowhere']) {
      const headers = { origin: 'https://evil.test', 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-csrf' }
      const got = await host.ask(path, {
        method: 'OPTIONS',
        headers: { ...headers, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors' },
      })
      expect(got.status).toBeGreaterThanOrEqual(400)
      expect(Object.keys(got.headers).filter((name) => name.startsWith('access-control-'))).toEqual([])
    }
    expect(host.upstreamSaw).toEqual([])
  })

  it('a rule that says no is audited with the rule, and asks nothing of anybody', async () => {
    const got = await host.ask('/api/admin', { headers: mine() })
    expect([got.status, json(got)['code']]).toEqual([403, 'policy.denied'])
    expect(host.events.at(-1)).toMatchObject({ event: 'access.denied', route: 'api/admin', rule: 'role', subject: 'alice' })
    expect(host.upstreamSaw).toEqual([])
  })

  it('a route for everybody needs no session and sends no token', async () => {
    expect((await host.ask('/public/x', { headers: { cookie } })).status).toBe(200)
    expect(host.upstreamSaw).toMatchObject([{ url: '/public/x', authorization: undefined, cookie: undefined }])
    const post = await host.ask('/public/x', { method: 'POST' })
    expect([post.status, post.headers['allow']]).toEqual([405, 'GET'])
  })

  it.each(['text/plain', 'application/json', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', ''])(
    'a body of type %j streams through unread',
    async (type) => {
      const headers = { ...mine(), ...(type !== '' && { 'content-type': type }) }
      const got = await host.ask('/api/orders', { method: 'POST', headers, body: '{"not": parsed' })
      expect([got.status, got.body]).toEqual([200, 'upstream'])
      expect(host.upstreamSaw.at(-1)?.body).toBe('{"not": parsed')
    },
  )

  it('leave one access line each, whoever answered', async () => {
    const asked = [
      await host.ask('/api/orders', { headers: mine() }),
      await host.ask('/api/orders', { headers: fetching }),
      await host.ask('/bff/user', { headers: mine() }),
      await host.ask('/bff/user', { method: 'HEAD', headers: mine() }),
      await host.ask('/nowhere'),
      await host.ask('/nowhere', { headers: navigation() }),
      await host.ask('/api/orders?x', { method: 'GET', headers: { ...mine(), 'content-length': '2' }, body: 'hi' }),
    ]
    const lines = host.access.slice(2).map(({ route, status, bytes }) => `${route} ${status} ${bytes}`)
    const sizes = asked.map(({ body }) => Buffer.byteLength(body))
    expect(lines.sort()).toEqual(
      ['api/orders 200', 'api/orders 401', 'user 200', 'user 200', 'unknown 404', 'unknown 404', 'api/orders 400']
        .map((line, i) => `${line} ${sizes[i]}`)
        .sort(),
    )
    expect(sizes.filter((size) => size === 0)).toHaveLength(1)
  })
})
