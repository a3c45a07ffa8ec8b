import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Browser, type Answer } from '../harness/browser.ts'
import { freePlaces, startGateways, type Gateways } from '../harness/gateways.ts'
import { CLIENT_SECRET, startHostileProvider, type EndpointName, type HostileProvider, type Script } from '../harness/hostile-provider.ts'
import { auditOf, until } from '../harness/processes.ts'
import { sessionCookie } from '../harness/world.ts'

/** A gateway of its own where what it has not learned of its provider yet is the point. */
let hostile: HostileProvider
let gateway: Gateways
const begin = async (provider: 'with-par' | 'plain' = 'plain'): Promise<void> => {
  const places = await freePlaces(1)
  hostile = await startHostileProvider(`http://localhost:${places[0]?.public}/bff/callback`)
  if (provider === 'with-par') hostile.metadata = { pushed_authorization_request_endpoint: `${hostile.issuer}/par` }
  gateway = await startGateways({
    places,
    provider: { issuer: hostile.issuer, clientId: hostile.clientId, clientSecret: CLIENT_SECRET },
    // What reaches the token endpoint is counted.
    providerLines: ['  timeout: 1500ms', '  credential_rotation: { probe: none }'],
    routes: ['  - path: /open', '    upstream: http://127.0.0.1:9', '    token: { principal: none }'],
  })
}
const end = async (): Promise<void> => {
  await gateway.stop()
  await hostile.close()
}
afterEach(() => {
  for (const endpoint of Object.keys(hostile.script) as EndpointName[]) delete hostile.script[endpoint]
})

const DOWN: Readonly<Record<string, Script>> = {
  'cuts the connection': (_request, response) => void response.destroy(),
  'answers 503': () => ({ status: 503, body: '' }),
  'answers nothing': () => undefined,
}
const startLogin = (browser: Browser, returnTo = '/here'): Promise<Answer> =>
  browser.navigate(`${gateway.url}/bff/login?return_to=${returnTo}`, { from: new URL(gateway.url), follow: false })

/** What the provider would send the browser back with. */
const callbackOf = (started: Answer): URL => {
  const front = new URL(String(started.headers['location'])).searchParams
  const asked = front.has('request_uri') ? hostile.takePushed(front.get('request_uri') ?? '') : front
  const callback = new URL(`${gateway.url}/bff/callback`)
  callback.searchParams.set('code', hostile.issueCode({ challenge: asked?.get('code_challenge') ?? '', nonce: asked?.get('nonce') ?? '' }))
  callback.searchParams.set('state', asked?.get('state') ?? '')
  return callback
}
const comeBack = (browser: Browser, callback: URL): Promise<Answer> =>
  browser.navigate(callback, { from: new URL(hostile.issuer), until: ({ url }) => url.pathname === '/here' })
const signIn = async (browser: Browser): Promise<void> => {
  expect((await comeBack(browser, callbackOf(await startLogin(browser)))).url.pathname).toBe('/here')
}
const attempts = (browser: Browser): readonly string[] =>
  [...browser.cookies('localhost').keys()].filter((name) => name.includes('-login-'))
const expectPage = (answer: Answer): void => {
  expect(answer.status).toBe(503)
  expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
  expect(answer.headers['content-type']).toBe('text/html; charset=utf-8')
  expect(answer.body).toContain('/bff/login?return_to=%2Fhere')
  expect(answer.body).not.toContain(hostile.issuer)
}

describe('before anything is known of the provider', () => {
  beforeEach(() => begin())
  afterEach(end)

  it.each(Object.keys(DOWN))(
    'the provider %s when asked who it is: a page, no attempt is left behind, and the next one works',
    async (how) => {
      hostile.script.discovery = DOWN[how] as Script
      const browser = new Browser()
      expectPage(await startLogin(browser))
      expect(attempts(browser)).toEqual([])
      delete hostile.script.discovery
      await until('the provider is asked again', async () => (await startLogin(browser)).status === 302)
      await signIn(browser)
    },
  )

  it.each(['cuts the connection', 'answers 503'])(
    'the key set %s: the code is not spent, and loading the same address again finishes the sign-in',
    async (how) => {
      hostile.script.jwks = DOWN[how] as Script
      const browser = new Browser()
      const callback = callbackOf(await startLogin(browser))
      const answer = await comeBack(browser, callback)
      expectPage(answer)
      expect(hostile.hits('token')).toBe(0)
      expect(attempts(browser)).toHaveLength(1)
      delete hostile.script.jwks
      await until('the keys are there', async () => (await comeBack(browser, callback)).url.pathname === '/here')
      expect(sessionCookie(browser)).toBeDefined()
      expect(hostile.hits('token')).toBe(1)
    },
  )
})

describe('while a login is pushed', () => {
  beforeAll(() => begin('with-par'))
  afterAll(end)

  it.each(Object.keys(DOWN))('the endpoint for pushed requests %s: a page, no attempt, nothing in the address instead', async (how) => {
    hostile.script.par = DOWN[how] as Script
    const browser = new Browser()
    const answer = await startLogin(browser)
    expectPage(answer)
    expect([attempts(browser), answer.headers['location']]).toEqual([[], undefined])
    const events = (): readonly string[] =>
      auditOf(gateway.gateways[0]).flatMap((line) => (line['requestId'] === answer.headers['x-request-id'] ? [line.event] : []))
    await until('audited', () => events().length > 0)
    expect(events()).toEqual(['sign-in.failed'])
    delete hostile.script.par
    await signIn(browser)
  })

  it('a refused push is the operator’s to mend: a page without detail, an audit event with the code', async () => {
    hostile.script.par = () => ({ status: 400, body: { error: 'invalid_redirect_uri', error_description: 'canary' } })
    const answer = await startLogin(new Browser())
    expect([answer.status, answer.headers['set-cookie']]).toEqual([502, undefined])
    expect(answer.body).not.toMatch(/canary|invalid_redirect_uri|redirect/i)
    await until('audited', () =>
      auditOf(gateway.gateways[0]).some(
        (line) => line['code'] === 'login.request-refused' && line['providerCode'] === 'invalid_redirect_uri',
      ),
    )
  })
})

describe('while somebody comes back', () => {
  beforeAll(() => begin())
  afterAll(end)

  it('the token endpoint refuses connections: the code is not spent, the session that lives is not touched, and the same address finishes it', async () => {
    const browser = new Browser()
    await signIn(browser) // discovery and keys are held now
    const old = sessionCookie(browser)
    const callback = callbackOf(await startLogin(browser))
    const before = hostile.hits('token')
    await hostile.away()
    expectPage(await comeBack(browser, callback))
    expect(sessionCookie(browser)).toEqual(old) // and it still is one
    expect((await browser.fetch(`${gateway.url}/bff/user`)).status).toBe(200)
    await hostile.back()
    expect((await comeBack(browser, callback)).url.pathname).toBe('/here')
    expect(hostile.hits('token')).toBe(before + 1)
    expect(sessionCookie(browser)).not.toEqual(old)
  })

  it.each<[string, Script]>([
    ['429', () => ({ status: 429, headers: { 'retry-after': '3' }, body: {} })],
    ['503 with a word of its own', () => ({ status: 503, body: { error: 'temporarily_unavailable' } })],
  ])('the token endpoint answers %s: not spent, and the same address finishes it', async (_name, script) => {
    const browser = new Browser()
    const callback = callbackOf(await startLogin(browser))
    hostile.script.token = script
    expectPage(await comeBack(browser, callback))
    expect(attempts(browser)).toHaveLength(1)
    delete hostile.script.token
    expect((await comeBack(browser, callback)).url.pathname).toBe('/here')
  })

  it.each(['cuts the connection', 'answers nothing'])(
    'the token endpoint %s after it has the code: that one is never sent again, and a new sign-in works',
    async (how) => {
      const browser = new Browser()
      const callback = callbackOf(await startLogin(browser))
      const before = hostile.hits('token')
      hostile.script.token = DOWN[how] as Script
      expectPage(await comeBack(browser, callback))
      expect(attempts(browser)).toEqual([])
      delete hostile.script.token
      const again = await browser.navigate(callback, { from: new URL(hostile.issuer), until: ({ url }) => url.origin === hostile.issuer })
      expect(again.url.origin).toBe(hostile.issuer) // by way of resume, one new attempt
      expect(hostile.hits('token')).toBe(before + 1)
      await signIn(browser)
    },
  )

  it.each(['server_error', 'temporarily_unavailable'])(
    'the provider says itself that it is not well (%s): a page to try again',
    async (error) => {
      const browser = new Browser()
      const callback = callbackOf(await startLogin(browser))
      callback.searchParams.delete('code')
      callback.searchParams.set('error', error)
      expectPage(await comeBack(browser, callback))
      await signIn(browser)
    },
  )

  it('a provider that always says no is asked once per click, never by us', async () => {
    const browser = new Browser()
    const before = hostile.hits('token')
    for (let click = 1; click <= 5; click += 1) {
      const callback = callbackOf(await startLogin(browser))
      callback.searchParams.delete('code')
      callback.searchParams.set('error', 'unauthorized_client')
      const since = browser.seen.length
      expect((await comeBack(browser, callback)).status).toBe(403)
      expect(browser.seen.length - since).toBe(1)
    }
    expect([hostile.hits('token'), attempts(browser)]).toEqual([before, []])
  })
})

describe('while somebody signs out', () => {
  beforeAll(() => begin())
  afterAll(end)

  const EVERYTHING: readonly EndpointName[] = ['discovery', 'jwks', 'token', 'revocation', 'par']

  it.each(Object.keys(DOWN))(
    'the provider %s: signed out here all the same, at once',
    async (how) => {
      const browser = new Browser()
      await signIn(browser)
      for (const endpoint of EVERYTHING) hostile.script[endpoint] = DOWN[how] as Script
      const cookie = sessionCookie(browser)
      const before = auditOf(gateway.gateways[0]).length
      const answer = await browser.fetch(`${gateway.url}/bff/logout`, { method: 'POST' })
      expect(answer.status).toBe(200)
      expect(sessionCookie(browser)).toBeUndefined()
      const thief = new Browser()
      thief.setCookie('localhost', cookie?.[0] ?? '', cookie?.[1] ?? '', true)
      expect((await thief.fetch(`${gateway.url}/bff/user`)).status).toBe(401)
      // Where the way to the provider is known from before, the browser is sent there, and finds out for itself.
      const { location } = JSON.parse(answer.body) as { location?: string }
      const onward = await browser.navigate(new URL(location ?? '/', gateway.url), { from: new URL(gateway.url), follow: false })
      expect([onward.status, new URL(String(onward.headers['location'])).pathname]).toEqual([303, '/logout'])
      // What it could not be told then it is told when it is back.
      for (const endpoint of EVERYTHING) delete hostile.script[endpoint]
      const isRevoked = (): boolean =>
        auditOf(gateway.gateways[0])
          .slice(before)
          .some((line) => line.event === 'token.revoked' && line['outcome'] === 'revoked')
      await until('the revocation has arrived', isRevoked, 20_000)
    },
    30_000,
  )
})
