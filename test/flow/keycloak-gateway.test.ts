import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from '../harness/browser.ts'
import { fault } from '../harness/emulators/core-faults.ts'
import { CLIENT_SECRET } from '../harness/emulators/keycloak/defaults.ts'
import { createKeycloakWorld, fillInAtKeycloak, type KeycloakWorld, signInAtKeycloak } from '../harness/keycloak-world.ts'
import { audited, auditOf, until } from '../harness/processes.ts'
import { sessionCookie, startSignIn, withCookie } from '../harness/world.ts'

const ALGORITHMS = ['PS256', 'ES256', 'EdDSA'] as const
let world: KeycloakWorld
beforeAll(async () => {
  world = await createKeycloakWorld({ providerLines: ['  timeout: 1s'] })
  // Keycloak makes the key of an algorithm with its first use; the gateway looks for unknown keys once in ten seconds, and one test below needs that look.
  for (const algorithm of ALGORITHMS) await world.kc.realm.keys.signAs(algorithm, {})
})
afterAll(() => world.stop())
afterEach(() => {
  world.kc.faults.clear()
  world.kc.record.clear()
  Object.assign(world.kc.logout.delivery, { copies: 1, before: undefined })
})

interface Got {
  readonly status: number
  readonly body: Record<string, unknown>
}
const get = async (browser: Browser, path: string): Promise<Got> => {
  const { status, body } = await browser.fetch(`${world.url}${path}`)
  return { status, body: JSON.parse(body) as Record<string, unknown> }
}
const signedIn = async (username = 'ada'): Promise<Browser> => {
  const browser = new Browser()
  await signInAtKeycloak(browser, world, username)
  return browser
}
const idOf = (username: string): string => world.kc.admin.user(username).id
const ended = (browser: Browser): Promise<void> =>
  until('the session is over', async () => (await get(browser, '/bff/user')).status === 401)

describe('a person at the gateway and Keycloak', () => {
  it('signs in at Keycloak’s own page and is who she is, by an online session', async () => {
    const browser = await signedIn()
    expect(await get(browser, '/bff/user')).toMatchObject({
      status: 200,
      body: { claims: { sub: idOf('ada'), name: 'Ada Lovelace', preferred_username: 'ada' } },
    })
    const asked = world.kc.record.requests.find(({ endpoint, query }) => endpoint === 'authorize' && 'client_id' in query)
    expect(asked?.query['request_uri']).toMatch(/^urn:ietf:params:oauth:request_uri:/)
    const pushed = world.kc.record.requests.find(({ endpoint }) => endpoint === 'par')
    // An offline token would outlive every sign-out at Keycloak (docs/interop.md, R1).
    expect(pushed?.form['scope']?.split(' ')).not.toContain('offline_access')
  })

  it('calls each API with a token for it and for no other of ours', async () => {
    const browser = await signedIn('grace')
    const sub = idOf('grace')
    expect(await get(browser, '/api/orders')).toMatchObject({ status: 200, body: { sub, azp: 'sallyport', aud: ['orders', 'account'] } })
    expect(await get(browser, '/api/customers')).toMatchObject({ status: 200, body: { sub, aud: ['customers', 'account'] } })
    expect(await get(browser, '/api/exchanged/orders')).toMatchObject({ status: 200, body: { sub, aud: 'orders', azp: 'sallyport' } })
    expect(await get(browser, '/api/exchanged/customers')).toMatchObject({ status: 200, body: { sub, aud: 'customers' } })
  })

  it('calls as the application where the route says so', async () => {
    const { status, body } = await get(await signedIn(), '/api/reports')
    expect([status, body['client_id'], 'sid' in body]).toEqual([200, 'sallyport', false])
    expect([idOf('ada'), idOf('grace')]).not.toContain(body['sub'])
  })

  it('calls twelve times at once, on a fresh session: one rotation follows the other, and no refresh token is sent twice', async () => {
    const browser = await signedIn()
    const paths = Array.from({ length: 12 }, (_none, at) => (at % 2 === 0 ? '/api/orders' : '/api/customers'))
    expect((await Promise.all(paths.map((path) => get(browser, path)))).map(({ status }) => status)).toEqual(paths.map(() => 200))
    expect((await browser.fetch(`${world.url}/bff/session/refresh`, { method: 'POST' })).status).toBeLessThan(300)
    expect((await get(browser, '/api/customers')).status).toBe(200)
    expect(world.kc.record.where({ grant: 'refresh_token' }).length).toBeLessThanOrEqual(3)
    expect([world.kc.record.sentAgain(), world.kc.record.where({ outcome: 'invalid_grant' })]).toEqual([[], []])
  })

  it('never has a token of Keycloak’s on her side, nor does one stand in what the gateway wrote', async () => {
    const browser = await signedIn()
    for (const path of ['/api/orders', '/api/exchanged/customers', '/api/reports']) expect((await get(browser, path)).status).toBe(200)
    const JWT = /eyJ[A-Za-z0-9_-]{10,}\.eyJ/
    const here = browser.seen.filter(({ url }) => url.startsWith(world.url))
    expect(here.length).toBeGreaterThan(4)
    expect(here.filter(({ body, headers, url }) => JWT.test(`${body}${headers}${url}`))).toEqual([])
    const written = world.gateways.map((gateway) => gateway.output()).join('')
    expect([JWT.test(written), written.includes(CLIENT_SECRET)]).toEqual([false, false])
  })
})

describe('signing out', () => {
  it('here ends the sign-in there, without a question, and comes back', async () => {
    const browser = await signedIn()
    const stolen = sessionCookie(browser)
    const answer = await browser.fetch(`${world.url}/bff/logout`, { method: 'POST' })
    const { location } = JSON.parse(answer.body) as { readonly location: string }
    const end = await browser.navigate(new URL(location, world.url), { from: new URL(world.url) })
    expect(end.url.origin).toBe(world.url)
    expect((await get(withCookie(new Browser(), stolen), '/api/orders')).status).toBe(401)
    expect((await startSignIn(browser, world.url)).body).toContain('kc-form-login')
  })

  it.each([
    ['all sessions of a user', () => world.kc.admin.signOutUser('grace')],
    ['one session', () => world.kc.admin.signOutSession(world.kc.admin.sessions('grace').at(-1)?.id ?? '')],
  ])('by an administrator who ends %s: Keycloak’s notice ends it here', async (_what, end) => {
    const browser = await signedIn('grace')
    expect((await get(browser, '/api/orders')).status).toBe(200)
    await end()
    expect(world.kc.logout.notices.at(-1)?.status).toBeLessThan(300)
    expect((await get(browser, '/api/orders')).status).toBe(401)
  })

  it('of one browser leaves the other signed in', async () => {
    const [one, two] = [await signedIn('grace'), await signedIn('grace')]
    await world.kc.admin.signOutSession(world.kc.admin.sessions('grace').at(-2)?.id ?? '')
    expect((await get(one, '/api/orders')).status).toBe(401)
    expect((await get(two, '/api/orders')).status).toBe(200)
  })

  it('told twice at once ends one session once: the second notice is refused as a replay', async () => {
    await world.kc.admin.signOutUser('grace')
    world.kc.logout.delivery.copies = 2
    const browser = await signedIn('grace')
    await until('the sign-in is in the audit', () => auditOf(world.gateways[0]).length > 0)
    const sessionRef = auditOf(world.gateways[0]).findLast(({ event }) => event === 'sign-in.succeeded')?.['sessionRef']
    await world.kc.admin.signOutUser('grace')
    expect(new Set(world.kc.logout.notices.slice(-2).map(({ status }) => status))).toEqual(new Set([200, 400]))
    expect((await get(browser, '/api/orders')).status).toBe(401)
    await audited(world.gateways[0], { event: 'session.ended', sessionRef, reason: 'provider' })
    expect(auditOf(world.gateways[0]).filter((line) => line.event === 'session.ended' && line['sessionRef'] === sessionRef)).toHaveLength(1)
  })

  it('told before the session is stored leaves no session behind', async () => {
    const browser = new Browser()
    const page = await startSignIn(browser, world.url)
    const held = world.kc.faults.hold('token', 'answer')
    const landing = fillInAtKeycloak(browser, page, 'grace')
    await held.arrived
    await world.kc.admin.signOutUser('grace')
    expect(world.kc.logout.notices.at(-1)?.status).toBeLessThan(300)
    held.release()
    await landing
    expect(sessionCookie(browser)).toBeUndefined()
    expect((await get(browser, '/api/orders')).status).toBe(401)
  })
})

describe('what Keycloak takes back is noticed at the next refresh, and ends the session with a reason', () => {
  it.each<[string, () => Promise<void>, () => void]>([
    ['the user is disabled', async () => world.kc.admin.disable('ada'), () => world.kc.admin.enable('ada')],
    ['everybody was signed out without a notice', () => world.kc.admin.signOutAll(), () => undefined],
    [
      'older tokens are stale',
      async () => world.kc.admin.setNotBefore('realm', Math.floor(world.kc.clock.now() / 1000) + 1),
      () => world.kc.admin.setNotBefore('realm', 0),
    ],
  ])('%s', async (_what, takeBack, giveBack) => {
    const browser = await signedIn()
    expect((await get(browser, '/api/orders')).status).toBe(200)
    await takeBack()
    expect(await get(browser, '/api/customers')).toMatchObject({ status: 401, body: { code: 'session.ended' } })
    giveBack()
    await ended(browser)
  })

  it('an answer that was lost is asked for once more, and then the person signs in again: no storm', async () => {
    const browser = await signedIn()
    expect((await get(browser, '/api/orders')).status).toBe(200)
    world.kc.record.clear()
    world.kc.faults.next('token', fault.answerLost())
    const first = await get(browser, '/api/customers')
    expect([401, 503]).toContain(first.status)
    await until('the gateway says what became of it', async () => (await get(browser, '/api/customers')).status === 401)
    for (let i = 0; i < 5; i += 1) await get(browser, '/api/customers')
    expect(world.kc.record.where({ grant: 'refresh_token' }).map(({ outcome }) => outcome)).toEqual(['issued', 'invalid_grant'])
    expect(world.kc.record.sentAgain()).toHaveLength(1)
  })
})

describe('keys', () => {
  it('a realm key that is rotated stops no sign-in', async () => {
    await world.kc.admin.rotateKey()
    expect((await get(await signedIn(), '/api/orders')).status).toBe(200)
  })

  it.each(ALGORITHMS)('ID tokens signed with %s are taken', async (algorithm) => {
    world.kc.admin.client('sallyport').idTokenAlgorithm = algorithm
    expect((await get(await signedIn(), '/bff/user')).status).toBe(200)
    world.kc.admin.client('sallyport').idTokenAlgorithm = 'RS256'
  })
})
