import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from '../harness/browser.ts'
import { auditOf, until } from '../harness/processes.ts'
import { sessionCookie, startSignIn, withCookie } from '../harness/world.ts'
import { keycloak } from './kit.ts'
import { createKeycloakWorld, type KeycloakWorld, signInAtKeycloak } from './world.ts'

describe.skipIf(!keycloak)('the gateway and Keycloak', { timeout: 60_000 }, () => {
  let world: KeycloakWorld
  beforeAll(async () => {
    world = await createKeycloakWorld({
      providerLines: ['  logout: { frontchannel: true }'],
      routes: ({ orders }) => [
        '  - path: /api/denied',
        `    upstream: ${orders.url}`,
        '    token: { principal: user, grant: exchange, audience: customers, scopes: [orders.read] }',
        '  - path: /api/ruled',
        `    upstream: ${orders.url}`,
        '    token: { principal: user, grant: exchange, audience: orders, scopes: [orders.read] }',
        '    allow: { roles: [nobody] }',
      ],
    })
  })
  afterAll(() => world?.stop())

  const get = async (browser: Browser, path: string): Promise<{ readonly status: number; readonly body: Record<string, unknown> }> => {
    const { status, body } = await browser.fetch(`${world.url}${path}`)
    return { status, body: JSON.parse(body) as Record<string, unknown> }
  }

  it('a person signs in at Keycloak’s own page and is who she is', async () => {
    const browser = new Browser()
    await signInAtKeycloak(browser, world, 'ada')
    expect(await get(browser, '/bff/user')).toMatchObject({
      status: 200,
      body: { claims: { sub: world.realm.subjects.ada, name: 'Ada Lovelace', preferred_username: 'ada' } },
    })
  })

  it('each API gets a token for itself and for nobody else of ours, refreshed by one rotation after another', async () => {
    const browser = new Browser()
    await signInAtKeycloak(browser, world, 'grace')
    const { grace } = world.realm.subjects
    expect(await get(browser, '/api/orders')).toMatchObject({
      status: 200,
      body: { sub: grace, azp: 'sallyport', aud: ['orders', 'account'] },
    })
    expect(await get(browser, '/api/customers')).toMatchObject({ status: 200, body: { sub: grace, aud: ['customers', 'account'] } })
    const before = world.orders.callers.at(-1)?.jti
    expect((await browser.fetch(`${world.url}/bff/session/refresh`, { method: 'POST' })).status).toBeLessThan(300)
    expect((await get(browser, '/api/orders')).status).toBe(200)
    expect(before).toBeDefined()
  })

  it('twelve calls at once on a fresh session spend each refresh token once: Keycloak, which ends the session on the second use, does not', async () => {
    const browser = new Browser()
    await signInAtKeycloak(browser, world, 'ada')
    const paths = Array.from({ length: 12 }, (_none, at) => (at % 2 === 0 ? '/api/orders' : '/api/customers'))
    expect((await Promise.all(paths.map((path) => get(browser, path)))).map(({ status }) => status)).toEqual(paths.map(() => 200))
    expect((await get(browser, '/api/customers')).status).toBe(200)
  })

  it('by exchange, a token is for exactly one audience, and the session goes on', async () => {
    const browser = new Browser()
    await signInAtKeycloak(browser, world, 'ada')
    const { ada } = world.realm.subjects
    expect(await get(browser, '/api/exchanged/orders')).toMatchObject({ status: 200, body: { sub: ada, aud: 'orders', azp: 'sallyport' } })
    expect(await get(browser, '/api/exchanged/customers')).toMatchObject({ status: 200, body: { sub: ada, aud: 'customers' } })
    expect((await get(browser, '/api/orders')).status).toBe(200)
  })

  it('tokens that end are followed by others, by refresh and by exchange', async () => {
    const lifespan = (seconds: number): Promise<unknown> => world.realm.admin('PUT', '', { accessTokenLifespan: seconds })
    const browser = new Browser()
    const paths = ['/api/customers', '/api/exchanged/customers']
    const tokens = async (): Promise<readonly unknown[]> => {
      const answers = await Promise.all(paths.map((path) => get(browser, path)))
      expect(answers.map(({ status }) => status)).toEqual([200, 200])
      return answers.map(({ body }) => body['jti'])
    }
    await lifespan(3)
    let first: readonly unknown[]
    try {
      await signInAtKeycloak(browser, world, 'ada')
      first = await tokens()
    } finally {
      await lifespan(300)
    }
    await until('both are over', async () => (await tokens()).every((token, at) => token !== undefined && token !== first[at]))
  })

  it('an audience that Keycloak does not grant is denied, the rule of a route denies without asking, and the session goes on', async () => {
    const browser = new Browser()
    await signInAtKeycloak(browser, world, 'ada')
    expect(await get(browser, '/api/denied')).toMatchObject({ status: 403, body: { code: 'token.audience-denied' } })
    expect(await get(browser, '/api/ruled')).toMatchObject({ status: 403, body: { code: 'policy.denied' } })
    expect((await get(browser, '/api/exchanged/orders')).status).toBe(200)
  })

  it('a front-channel notice in Keycloak’s form, with `iss` and the `sid` of its tokens, ends the session', async () => {
    const browser = new Browser()
    await signInAtKeycloak(browser, world, 'ada')
    expect((await get(browser, '/api/orders')).status).toBe(200)
    const query = new URLSearchParams({ iss: world.realm.issuer, sid: String(world.orders.callers.at(-1)?.['sid']) })
    // Framed by another site: no cookie comes along.
    expect((await fetch(`${world.url}/bff/logout/frontchannel?${query.toString()}`)).status).toBe(200)
    expect((await get(browser, '/api/orders')).status).toBe(401)
  })

  it('the application calls as itself', async () => {
    const browser = new Browser()
    await signInAtKeycloak(browser, world, 'ada')
    const { status, body } = await get(browser, '/api/reports')
    expect(status).toBe(200)
    expect(body).toMatchObject({ client_id: 'sallyport', azp: 'sallyport' })
    expect(Object.values(world.realm.subjects)).not.toContain(body['sub'])
  })

  it('a logout here ends the sign-in there, without a question, and comes back', async () => {
    const browser = new Browser()
    await signInAtKeycloak(browser, world, 'ada')
    const stolen = sessionCookie(browser)
    const { location } = (await browser.fetch(`${world.url}/bff/logout`, { method: 'POST' }).then(({ body }) => JSON.parse(body))) as {
      location: string
    }
    const end = await browser.navigate(new URL(location, world.url), { from: new URL(world.url) })
    expect(end.url.origin).toBe(world.url)
    expect((await get(withCookie(new Browser(), stolen), '/api/orders')).status).toBe(401)
    // It asks who it is again: Keycloak has let go as well.
    expect((await startSignIn(browser, world.url)).body).toContain('kc-form-login')
  })

  it.each`
    what                                              | how
    ${'an administrator ends all sessions of a user'} | ${'user'}
    ${'an administrator ends the one session'}        | ${'session'}
  `('$what, and Keycloak’s notice ends it here', async ({ how }) => {
    const browser = new Browser()
    await signInAtKeycloak(browser, world, 'grace')
    expect((await get(browser, '/api/orders')).status).toBe(200)
    const sid = String(world.orders.callers.at(-1)?.['sid'])
    const received = (): number => auditOf(world.gateways[0]).filter(({ event }) => event === 'backchannel-logout.received').length
    const before = received()
    if (how === 'user') await world.realm.admin('POST', `/users/${world.realm.subjects.grace}/logout`)
    else await world.realm.admin('DELETE', `/sessions/${sid}`)
    await until('the session is over', async () => (await get(browser, '/api/orders')).status === 401)
    await until('the notice is audited', () => received() > before)
  })

  it('a logout here revokes the refresh token, which ends the sign-in there before anybody navigates', async () => {
    const browser = new Browser()
    const sessions = async (): Promise<unknown[]> =>
      (await world.realm.admin('GET', `/users/${world.realm.subjects.grace}/sessions`)) as unknown[]
    await signInAtKeycloak(browser, world, 'grace')
    expect(await sessions()).toHaveLength(1)
    expect((await browser.fetch(`${world.url}/bff/logout`, { method: 'POST' })).status).toBe(200)
    await until('Keycloak holds no session', async () => (await sessions()).length === 0)
  })

  it('a user who is disabled is signed out by the next refresh, and by nothing before', async () => {
    const browser = new Browser()
    await signInAtKeycloak(browser, world, 'grace')
    expect((await get(browser, '/api/orders')).status).toBe(200)
    const user = `/users/${world.realm.subjects.grace}`
    await world.realm.admin('PUT', user, { enabled: false })
    expect((await get(browser, '/api/orders')).status).toBe(200)
    const refused = await get(browser, '/api/customers')
    await world.realm.admin('PUT', user, { enabled: true })
    expect(refused).toMatchObject({ status: 401, body: { code: 'session.ended' } })
    expect((await get(browser, '/api/orders')).status).toBe(401)
  })

  it('no token of Keycloak’s was ever on the browser’s side, nor in what the gateway wrote', async () => {
    const browser = new Browser()
    await signInAtKeycloak(browser, world, 'ada')
    for (const path of ['/api/orders', '/api/exchanged/customers', '/api/reports']) expect((await get(browser, path)).status).toBe(200)
    const JWT = /eyJ[A-Za-z0-9_-]{10,}\.eyJ/
    const ofGateway = browser.seen.filter(({ url }) => url.startsWith(world.url))
    expect(ofGateway.length).toBeGreaterThan(4)
    expect(ofGateway.filter(({ body, headers, url }) => JWT.test(`${body}${headers}${url}`))).toEqual([])
    expect(JWT.test(world.gateways.map((gateway) => gateway.output()).join(''))).toBe(false)
    expect(world.gateways.map((gateway) => gateway.output()).join('')).not.toContain(world.clientSecret)
  })
})
