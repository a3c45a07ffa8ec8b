import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { expectNoLeak } from '../harness/canary.ts'
import { cookiesOf, type EdgeHost, edgeHost, fetching, type Got, jarOf, navigation } from '../harness/edge-host.ts'

let host: EdgeHost
beforeEach(async () => {
  host = await edgeHost()
})
afterEach(() => host.close())

const SESSION = /^__Host-Http-sallyport-\d+=[\w-]{64}; Path=\/; HttpOnly; Secure; Priority=High; SameSite=Strict$/
const sessionLine = (got: Got): string | undefined => cookiesOf(got).find((line) => /^__Host-Http-sallyport-\d+=/.test(line))
const attemptLine = (got: Got): string => cookiesOf(got).find((line) => /-login-[\w-]{22}=/.test(line)) ?? ''
const stateOf = (got: Got): string => new URL(String(got.headers.location)).searchParams.get('state') ?? ''

interface Started {
  readonly state: string
  readonly cookie: string
}
const start = async (query = '', headers: Record<string, string> = {}): Promise<Started> => {
  const got = await host.ask(`/bff/login${query}`, { headers: { ...navigation(), ...headers } })
  expect(got.status).toBe(302)
  return { state: stateOf(got), cookie: jarOf(attemptLine(got)) }
}
const back = (started: Started, over: { cookie?: string; query?: string } = {}): Promise<Got> =>
  host.ask(`/bff/callback?${over.query ?? new URLSearchParams({ code: 'the-code', state: started.state }).toString()}`, {
    headers: { ...navigation('cross-site'), cookie: over.cookie ?? started.cookie },
  })
const signIn = async (query = ''): Promise<string> => jarOf(sessionLine(await back(await start(query))) ?? '')

describe('starting a sign-in', () => {
  it('goes to the provider with an empty fragment of its own and one small Lax cookie', async () => {
    const got = await host.ask('/bff/login?return_to=/orders', { headers: navigation() })
    expect(got.status).toBe(302)
    expect(got.headers.location).toMatch(/^https:\/\/login\.example\.com\/authorize\?.*#$/)
    expect(cookiesOf(got)).toHaveLength(1)
    expect(attemptLine(got)).toMatch(/; Max-Age=600; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
    expect(got.headers['cache-control']).toBe('no-store')
    expect(host.events).toMatchObject([{ event: 'sign-in.started' }])
  })

  it('passes on what is allow-listed and nothing else', async () => {
    const got = await host.ask(
      '/bff/login?prompt=login&login_hint=ada%40example.com&ui_locales=de+en&scope=admin&redirect_uri=https://evil.test',
      {
        headers: navigation(),
      },
    )
    const query = new URL(String(got.headers.location)).searchParams
    expect([...query.keys()].sort()).toEqual(['login_hint', 'prompt', 'state', 'ui_locales'])
  })

  it.each([
    'prompt=none+login',
    'prompt=evil',
    'login_hint=%0d%0aX',
    'ui_locales=a%3Bb',
    'domain_hint=-',
    'prompt=login&prompt=none',
    'provider=other',
  ])('refuses %s and leaves no attempt behind', async (query) => {
    const got = await host.ask(`/bff/login?${query}`, { headers: navigation() })
    expect(got.status).toBe(400)
    expect(cookiesOf(got)).toEqual([])
  })

  it.each([
    ['a fetch', { ...fetching }, 403, 'request.navigation-only'],
    [
      'an image of another site',
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' },
      403,
      'request.navigation-only',
    ],
    ['a frame', { ...navigation('cross-site'), 'sec-fetch-dest': 'iframe' }, 403, 'request.navigation-only'],
    ['a prefetch', { ...navigation('none'), 'sec-purpose': 'prefetch' }, 503, 'request.prefetch-refused'],
  ])('is not done by %s: no state, no cookie', async (_what, headers, status, code) => {
    const got = await host.ask('/bff/login', { headers: headers as Record<string, string> })
    expect([got.status, host.problems()]).toEqual([status, [code]])
    expect(cookiesOf(got)).toEqual([])
    expect(host.events.filter(({ event }) => event === 'sign-in.started')).toEqual([])
  })

  it('says so on a page that offers to try again when the provider is away', async () => {
    host.broken.provider = true
    const got = await host.ask('/bff/login?return_to=/orders', { headers: navigation() })
    expect(got.status).toBe(503)
    expect(got.headers['retry-after']).toBe('7')
    expect(got.body).toContain('href="/bff/login?return_to=%2Forders"')
    expect(cookiesOf(got)).toEqual([])
  })
})

describe('coming back', () => {
  it('sets the Strict cookie and goes on by 200 + Refresh, so that the next request is same-origin', async () => {
    const got = await back(await start('?return_to=/orders%3Fid%3D7'))
    expect(got.status).toBe(200)
    expect(got.headers['refresh']).toBe('0;url=/orders?id=7')
    expect(got.headers['content-security-policy']).toMatch(/^default-src 'none'/)
    expect(got.headers['cache-control']).toBe('no-store')
    expect(got.headers['referrer-policy']).toBe('no-referrer')
    expect(sessionLine(got)).toMatch(SESSION)
    expect(attemptLine(got)).toMatch(/=; Max-Age=0;/)
    expect(host.events.map(({ event }) => event)).toEqual(['sign-in.started', 'sign-in.succeeded'])
  })

  it('never redeems twice, however often and however close together a callback comes', async () => {
    const started = await start('?return_to=/orders')
    // The barrier: the second callback arrives while the first one is being redeemed.
    let second: Got | undefined
    host.broken.whileRedeeming = async () => {
      host.broken.whileRedeeming = undefined
      second = await back(started)
    }
    const first = await back(started)
    const third = await back(started)
    expect(sessionLine(first)).toMatch(SESSION)
    for (const late of [second, third]) {
      expect(late?.status).toBe(200)
      expect(late?.headers['refresh']).toBe('0;url=/bff/login/resume?return_to=%2Forders')
      expect(late && sessionLine(late)).toBeUndefined()
    }
    expect(host.redemptions).toEqual(['the-code'])
  })

  it('without its attempt it lands on resume: to the page where a session lives, else one new sign-in', async () => {
    const started = await start('?return_to=/orders')
    const lost = await back(started, { cookie: '' })
    expect(lost.headers['refresh']).toBe('0;url=/bff/login/resume?return_to=%2Forders')
    expect(cookiesOf(lost)).toEqual([])
    const session = await signIn()
    const alive = await host.ask('/bff/login/resume?return_to=/orders', { headers: { ...navigation(), cookie: session } })
    expect([alive.status, alive.headers.location]).toEqual([303, '/orders'])
    const anew = await host.ask('/bff/login/resume?return_to=/orders', { headers: navigation() })
    expect(anew.status).toBe(302)
    expect(attemptLine(anew)).not.toBe('')
  })

  it('a browser that keeps no cookies ends on a page, not in a circle', async () => {
    const resumed = await host.ask('/bff/login/resume?return_to=/orders', { headers: navigation() })
    const lost = await back({ state: stateOf(resumed), cookie: '' })
    expect(lost.headers['refresh']).toBe('0;url=/bff/login/resume?return_to=%2Forders&last=1')
    const end = await host.ask('/bff/login/resume?return_to=/orders&last=1', { headers: navigation() })
    expect(end.status).toBe(400)
    expect(end.body).toContain('Start the sign-in again')
  })

  it('an attempt that is too old is not redeemed', async () => {
    const started = await start('?return_to=/orders')
    host.clock.shift(11 * 60_000)
    expect((await back(started)).headers['refresh']).toBe('0;url=/bff/login/resume?return_to=%2Forders')
    expect(host.redemptions).toEqual([])
  })

  it.each(['code=a&code=b', 'code=a&iss=x&iss=y', 'code=a&state=forged'])(
    '%s: a doubled parameter is refused before anything is claimed',
    async (query) => {
      const started = await start()
      const got = await back(started, { query: `${query}&state=${started.state}` })
      expect(got.status).toBe(400)
      expect(host.redemptions).toEqual([])
      expect(cookiesOf(got)).toEqual([])
      expect(sessionLine(await back(started))).toMatch(SESSION) // the attempt is still whole
    },
  )

  it('a state that was not made here starts nothing by itself', async () => {
    const got = await host.ask('/bff/callback?code=a&state=forged', { headers: navigation('cross-site') })
    expect(got.headers['refresh']).toBe('0;url=/bff/login/resume?return_to=%2F&last=1')
    expect(host.redemptions).toEqual([])
  })

  it.each([
    [{ kind: 'refused', cancelled: true, providerCode: 'access_denied' }, 403, 'login.cancelled'],
    [{ kind: 'refused', cancelled: false, providerCode: 'login_required' }, 403, 'login.refused'],
    [{ kind: 'tenant-refused', tenant: 'contoso' }, 403, 'login.tenant-refused'],
    [{ kind: 'invalid', check: 'nonce' }, 400, 'login.response-invalid'],
    [{ kind: 'credential-rejected', providerCode: 'invalid_client' }, 502, 'token.credential-rejected'],
    [{ kind: 'unavailable', retryAfter: 3000, cause: 'ETIMEDOUT' }, 503, 'provider.unavailable'],
  ])('%j ends on a page that offers another start, with the reason in the audit stream only', async (redeemed, status, code) => {
    host.broken.redeem = redeemed as NonNullable<typeof host.broken.redeem>
    const got = await back(await start('?return_to=/orders'))
    expect(got.status).toBe(status)
    expect(got.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(got.body).not.toMatch(/nonce|access_denied|login_required|invalid_client|ETIMEDOUT/)
    expect(sessionLine(got)).toBeUndefined()
    expect(attemptLine(got)).toMatch(/=; Max-Age=0;/)
    expect(host.events.at(-1)).toMatchObject({ event: 'sign-in.failed', code })
    // The provider would let the same account in again.
    expect(got.body.includes('prompt=select_account')).toBe(code === 'login.tenant-refused')
  })

  it('costs no code when the store is away, and the same callback works afterwards', async () => {
    const started = await start()
    host.broken.once = true
    const got = await back(started)
    expect([got.status, got.headers['retry-after'], cookiesOf(got)]).toEqual([503, '2', []])
    expect(host.redemptions).toEqual([])
    host.broken.once = false
    expect(sessionLine(await back(started))).toMatch(SESSION)
  })

  it.each([
    ['unavailable', 503, 'store.unavailable'],
    ['ended-meanwhile', 401, 'login.ended-meanwhile'],
  ] as const)('a session that could not be kept (%s) leaves no live refresh token and no cookie', async (create, status, code) => {
    host.broken.create = create
    const got = await back(await start())
    expect([got.status, host.problems()]).toEqual([status, [code]])
    expect(host.events).toContainEqual(expect.objectContaining({ event: 'sign-in.failed', code }))
    expect(sessionLine(got)).toBeUndefined()
    expect(host.revoked).toHaveLength(1)
  })

  it('an attempt that is for one person is no sign-in of another: no cookie, the refresh token revoked, a page that says so', async () => {
    const { sealState } = host.ports.attempts
    host.ports.attempts.sealState = (state) => sealState({ ...state, expectSubject: 'bob' })
    const got = await back(await start('?return_to=/orders'))
    expect([got.status, sessionLine(got), host.problems()]).toEqual([403, undefined, ['login.subject-changed']])
    expect(got.body).toContain('Sign in with the account you were using')
    expect(got.body).not.toMatch(/alice|bob/)
    expect(host.events).toContainEqual(
      expect.objectContaining({ event: 'sign-in.failed', code: 'login.subject-changed', check: 'subject' }),
    )
    await expect.poll(() => host.revoked.length).toBe(1)
    host.ports.attempts.sealState = (state) => sealState({ ...state, expectSubject: 'alice' })
    expect(sessionLine(await back(await start()))).toMatch(SESSION)
  })

  it('ends the session it replaces, after the new one is stored, and the old cookie says replaced', async () => {
    const old = await signIn()
    const started = await start('', { cookie: old })
    host.broken.create = 'unavailable'
    await back(started)
    expect((await host.ask('/bff/user', { headers: { ...fetching, cookie: old } })).status).toBe(200)
    host.broken.create = undefined
    const again = await start('', { cookie: old })
    const fresh = jarOf(sessionLine(await back(again)) ?? '')
    expect(fresh).not.toBe(old)
    const replaced = await host.ask('/bff/user', { headers: { ...fetching, cookie: old } })
    expect([replaced.status, JSON.parse(replaced.body).code]).toEqual([401, 'session.replaced'])
    expect(cookiesOf(replaced)).toEqual([])
    expect((await host.ask('/bff/user', { headers: { ...fetching, cookie: fresh } })).status).toBe(200)
  })

  it('tells no secret to the browser, the log or the audit stream', async () => {
    const started = await start()
    const got = await back(started)
    const cookie = jarOf(sessionLine(got) ?? '')
    const user = await host.ask('/bff/user', { headers: { ...fetching, cookie } })
    const value = cookie.split('=')[1] ?? ''
    expectNoLeak([...host.secrets, value], {
      audit: JSON.stringify(host.events),
      log: JSON.stringify(host.logged) + JSON.stringify(host.access),
      body: got.body + user.body,
    })
  })
})
