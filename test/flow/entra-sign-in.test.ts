import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from '../harness/browser.ts'
import { expectNoLeak } from '../harness/canary.ts'
import { CONTOSO, ORDERS_ID } from '../harness/emulators/entra/defaults.ts'
import { aadstsReply } from '../harness/emulators/entra/errors.ts'
import { fault } from '../harness/emulators/core-faults.ts'
import { guidOf } from '../harness/emulators/entra/directory.ts'
import { createEntraWorld, type EntraWorld, userRoute } from '../harness/entra-world.ts'
import { until } from '../harness/processes.ts'
import { sessionCookie, signIn, startSignIn } from '../harness/world.ts'

const CUSTOMERS_ID = guidOf('app customers')
const REPORTS_ID = guidOf('app reports')

describe('a person signs in at Entra', () => {
  let world: EntraWorld
  beforeAll(async () => {
    world = await createEntraWorld({ routes: (entra) => userRoute(entra, 'reports') })
  })
  afterAll(() => world.stop())
  afterEach(() => {
    world.entra.record.clear()
    world.entra.faults.clear()
  })

  const signedIn = async (): Promise<Browser> => {
    const browser = new Browser()
    await signIn(browser, world.url, 'ada', '/bff/user')
    expect(sessionCookie(browser)).toBeDefined()
    return browser
  }
  const call = async (browser: Browser, path: string): Promise<{ readonly status: number; readonly body: Record<string, unknown> }> => {
    const { status, body } = await browser.fetch(`${world.url}${path}`)
    return { status, body: JSON.parse(body) as Record<string, unknown> }
  }

  it('and calls three APIs, each with a token of its own, by one refresh token and one API per request', async () => {
    const browser = await signedIn()
    const user = await call(browser, '/bff/user')
    expect(user.body).toMatchObject({ claims: { name: 'Ada Lovelace', preferred_username: 'ada@contoso.example' } })
    expect(await call(browser, '/api/orders')).toMatchObject({
      status: 200,
      body: { principal: 'user', user: 'ada', claims: { aud: ORDERS_ID, tid: CONTOSO } },
    })
    expect(await call(browser, '/api/customers')).toMatchObject({ status: 200, body: { user: 'ada', claims: { aud: CUSTOMERS_ID } } })
    // Version 1: `aud` is the name that was asked by.
    expect(await call(browser, '/api/inventory')).toMatchObject({
      status: 200,
      body: { user: 'ada', claims: { aud: 'api://inventory', ver: '1.0' } },
    })

    const { tokenCalls } = world.entra.record
    const asUser = tokenCalls.filter(({ grant }) => grant !== 'client_credentials')
    expect(asUser.map(({ grant, outcome }) => `${grant} ${outcome}`)).toEqual([
      'authorization_code issued',
      'refresh_token issued',
      'refresh_token issued',
    ])
    for (const { formNames, scope } of asUser) {
      expect(formNames).not.toContain('resource')
      expect(new Set((scope ?? '').match(/api:\/\/\w+/g)).size).toBe(1)
    }
    expect(world.entra.record.requests.find(({ endpoint }) => endpoint === 'authorize')?.query).toMatchObject({
      code_challenge_method: 'S256',
    })
  })

  it('and the application calls with roles and no person', async () => {
    const browser = await signedIn()
    expect(await call(browser, '/api/orders/application')).toMatchObject({
      status: 200,
      body: { principal: 'app', user: null, claims: { roles: ['Orders.Read.All'], scp: null } },
    })
    expect(world.entra.record.where({ grant: 'client_credentials' })[0]?.scope).toBe('api://orders/.default')
  })

  it('and the session ends when an administrator revokes the sign-in', async () => {
    const browser = await signedIn()
    world.entra.clock.shift(1000)
    world.entra.revokeSignIns('ada')
    const answer = await call(browser, '/api/customers')
    expect(answer).toMatchObject({ status: 401, body: { login_url: expect.stringContaining('/bff/login') as string } })
    expect((await call(browser, '/api/orders')).status).toBe(401)
    // Once is enough: nobody asks again with a token that is known to be dead.
    expect(world.entra.record.where({ code: 'AADSTS50173' })).toHaveLength(1)
  })

  it('and keeps the session where Entra is out of breath, whatever it calls that', async () => {
    const browser = await signedIn()
    // A loop, which Entra calls invalid_grant; only that API waits.
    world.entra.faults.next('token', fault.reply(aadstsReply(50196)))
    expect((await call(browser, '/api/customers')).status).toBe(503)
    expect((await call(browser, '/api/orders')).status).toBe(200)
    expect(sessionCookie(browser)).toBeDefined()
  })

  it('and is told to prove more where one API wants a second factor, while the others go on', async () => {
    const browser = await signedIn()
    const undo = world.entra.addPolicy({ resource: 'customers', require: 'mfa' })
    const refused = await call(browser, '/api/customers')
    expect(refused.status).toBe(401)
    expect(String(refused.body['code'])).toMatch(/step-up/)
    expect((await call(browser, '/api/orders')).status).toBe(200)
    undo()
  })

  it('and is asked for a consent that is missing, by the sign-in that the answer names; without it nobody gets in', async () => {
    const browser = await signedIn()
    expect((await call(browser, '/api/reports')).status).toBe(200)
    const newcomer = await signedIn()
    world.entra.directory.withdrawConsent(world.entra.clientId, REPORTS_ID)
    const refused = await call(newcomer, '/api/reports')
    expect(refused).toMatchObject({ status: 401, body: { code: 'token.consent-required', login_url: expect.any(String) as string } })
    const page = await newcomer.navigate(new URL(String(refused.body['login_url']), world.url), { from: new URL(world.url) })
    expect(page.body).toContain('Permissions requested')
    const declined = await newcomer.navigate(page.url, { method: 'POST', body: 'user=ada&consent=no', from: page.url })
    expect(declined.url.pathname).toBe('/bff/callback')
    expect((await call(newcomer, '/api/reports')).status).toBe(401)
    await signIn(newcomer, world.url, 'ada', '/bff/user')
    expect((await call(newcomer, '/api/reports')).status).toBe(200)
  })

  it('and signs out there: the page of Entra names the session by sid alone, and that ends it', async () => {
    const browser = await signedIn()
    const page = await browser.navigate(world.entra.url('logout'))
    const frame = /<iframe hidden src="([^"]+)"/.exec(page.body)?.[1] ?? ''
    expect(frame).toMatch(/\/bff\/logout\/frontchannel\?sid=[0-9a-f-]{36}$/)
    // Framed by another site: no cookie comes along.
    expect((await fetch(frame)).status).toBe(200)
    expect((await call(browser, '/api/orders')).status).toBe(401)
  })

  it('and signs out here: Entra is told whom, asks nothing, and sends the browser back to the address that is registered', async () => {
    const browser = await signedIn()
    const answer = await browser.fetch(`${world.url}/bff/logout`, { method: 'POST' })
    const { location } = JSON.parse(answer.body) as { readonly location: string }
    const page = await browser.navigate(new URL(location, world.url), { from: new URL(world.url) })
    expect(page.url.href.startsWith(world.entra.url('logout'))).toBe(true)
    const asked = world.entra.record.requests.find(({ endpoint }) => endpoint === 'logout')?.query ?? {}
    expect(asked).toMatchObject({
      logout_hint: expect.stringMatching(/^O\./) as string,
      post_logout_redirect_uri: `${world.url}/bff/logout/callback`,
    })
    expect(asked).not.toHaveProperty('id_token_hint')
    const next = /id="next" href="([^"]+)"/.exec(page.body)?.[1]?.replaceAll('&#38;', '&') ?? ''
    const back = await browser.navigate(next, { from: page.url })
    expect(back.url.origin).toBe(world.url)
    expect(sessionCookie(browser)).toBeUndefined()
    // Signed out there as well: the next sign-in asks who it is.
    expect((await startSignIn(browser, world.url)).body).toContain('Pick an account')
  })

  it('and no token, code or secret of Entra’s is in what browsers saw or the gateway wrote', async () => {
    const browser = await signedIn()
    await call(browser, '/api/customers')
    const { headers } = await browser.fetch(`${world.url}/api/orders/application`)
    const [gateway] = world.gateways
    await until('the line of the last request', () => gateway?.output().includes(String(headers['x-request-id'])) === true)
    expectNoLeak(world.entra.secrets(), { log: gateway?.output() ?? '', browser: JSON.stringify(browser.seen) })
    expect(world.entra.secrets().length).toBeGreaterThan(10)
  })
})

describe('tokens that end within seconds, and as large as Entra makes them', () => {
  let world: EntraWorld
  beforeAll(async () => {
    world = await createEntraWorld({
      entra: {
        accessTokenSeconds: 4,
        refreshTokenBytes: 3900,
        refreshTokenGrowth: 100,
        client: { idTokenClaims: ['sid', 'login_hint', 'groups'] },
        users: [{ key: 'ada', name: 'Ada Lovelace', tenant: CONTOSO, upn: 'ada@contoso.example', groups: 200 }],
      },
    })
  })
  afterAll(() => world.stop())

  it('are renewed with the refresh token that came last, and the browser holds one short cookie all the while', async () => {
    const browser = new Browser()
    await signIn(browser, world.url, 'ada', '/bff/user')
    const seen = new Set<unknown>()
    await until(
      'the third token of each of two APIs',
      async () => {
        for (const name of ['orders', 'customers']) {
          const { status, body } = await browser.fetch(`${world.url}/api/${name}`)
          expect(status).toBe(200)
          const { claims } = JSON.parse(body) as { readonly claims: Record<string, unknown> }
          expect(claims['aud']).toBe(guidOf(`app ${name}`))
          seen.add(`${name} ${String(claims['uti'])}`)
        }
        return seen.size >= 6
      },
      14_000,
    )
    const asUser = world.entra.record.tokenCalls.filter(({ grant }) => grant !== 'client_credentials')
    const newest = asUser.slice(0, -1).map(({ refreshToken }) => refreshToken)
    expect(asUser.slice(1).map(({ presented }) => presented)).toEqual(newest)
    expect(world.entra.record.sentAgain()).toEqual([])
    expect(Math.max(...world.entra.secrets().map(({ length }) => length))).toBeGreaterThan(8000)
    expect(sessionCookie(browser)?.[1]).toHaveLength(64)
  }, 90_000)
})
