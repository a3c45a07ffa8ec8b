import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from '../harness/browser.ts'
import { fault } from '../harness/emulators/core-faults.ts'
import { userOf } from '../harness/emulators/keycloak/defaults.ts'
import { createKeycloakWorld, fillInAtKeycloak, type KeycloakWorld, signInAtKeycloak } from '../harness/keycloak-world.ts'
import { audited, type AuditLine, auditOf, until } from '../harness/processes.ts'
import { sessionCookie, startSignIn } from '../harness/world.ts'

const ALGORITHMS = ['PS256', 'ES256', 'EdDSA'] as const
let world: KeycloakWorld
beforeAll(async () => {
  world = await createKeycloakWorld({ realm: { ssoSessionIdle: 900 }, providerLines: ['  timeout: 2s'] })
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

/** More is in keycloak-as-real.test.ts. */
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

  it('is told the end that Keycloak’s own idle time sets, where that is the sooner', async () => {
    const { body } = await get(await signedIn(), '/bff/session')
    expect(body['timeout_in_seconds']).toBeLessThanOrEqual(900)
    expect(body['timeout_in_seconds']).toBeGreaterThan(800)
  })

  it('calls two APIs twelve times at once, on a fresh session: one rotation for each, and no refresh token is sent twice', async () => {
    const browser = await signedIn()
    const paths = Array.from({ length: 12 }, (_none, at) => (at % 2 === 0 ? '/api/orders' : '/api/customers'))
    expect((await Promise.all(paths.map((path) => get(browser, path)))).map(({ status }) => status)).toEqual(paths.map(() => 200))
    expect((await browser.fetch(`${world.url}/bff/session/refresh`, { method: 'POST' })).status).toBeLessThan(300)
    expect((await get(browser, '/api/customers')).status).toBe(200)
    expect(world.kc.record.where({ grant: 'refresh_token' }).length).toBeLessThanOrEqual(3)
    expect([world.kc.record.sentAgain(), world.kc.record.where({ outcome: 'invalid_grant' })]).toEqual([[], []])
  })
})

describe('a sign-out at Keycloak', () => {
  it('of one browser leaves the other signed in', async () => {
    const [one, two] = [await signedIn('grace'), await signedIn('grace')]
    await world.kc.admin.signOutSession(world.kc.admin.sessions('grace').at(-2)?.id ?? '')
    expect((await get(one, '/api/orders')).status).toBe(401)
    expect((await get(two, '/api/orders')).status).toBe(200)
  })

  it('told twice at once ends one session once: the second notice is refused as a replay', async () => {
    world.kc.realm.users.set('lin', userOf('lin', 'Lin Once'))
    world.kc.logout.delivery.copies = 2
    const browser = await signedIn('lin')
    await audited(world.gateways[0], { event: 'sign-in.succeeded', subject: idOf('lin') })
    const { sessionRef } = auditOf(world.gateways[0]).find((line) => line['subject'] === idOf('lin') && 'sessionRef' in line) as AuditLine
    await world.kc.admin.signOutUser('lin')
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

  it('by an exchange as well: a token of a session that is over there is no reason to send people away for good', async () => {
    const browser = await signedIn()
    expect((await get(browser, '/api/exchanged/orders')).status).toBe(200)
    await world.kc.admin.signOutAll()
    expect(await get(browser, '/api/exchanged/customers')).toMatchObject({ status: 401, body: { code: 'session.ended' } })
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

describe('consent that was taken back', () => {
  it('is asked for again where a token is wanted, and the session goes on', async () => {
    const browser = await signedIn('grace')
    expect((await get(browser, '/api/orders')).status).toBe(200)
    world.kc.admin.client('sallyport').consentRequired = true
    expect(await get(browser, '/api/customers')).toMatchObject({ status: 401, body: { code: 'token.consent-required' } })
    expect(await get(browser, '/api/exchanged/orders')).toMatchObject({ status: 401, body: { code: 'token.consent-required' } })
    world.kc.admin.client('sallyport').consentRequired = false
    expect((await get(browser, '/bff/user')).status).toBe(200)
  })
})

describe('keys', () => {
  it.each(ALGORITHMS)('ID tokens signed with %s are taken', async (algorithm) => {
    world.kc.admin.client('sallyport').idTokenAlgorithm = algorithm
    expect((await get(await signedIn(), '/bff/user')).status).toBe(200)
    world.kc.admin.client('sallyport').idTokenAlgorithm = 'RS256'
  })

  // The last: the gateway looks for unknown keys once in ten seconds.
  it('a realm key that is taken away stops no sign-in; a token of before is replaced, and exchanged then', async () => {
    const browser = await signedIn()
    expect((await get(browser, '/api/exchanged/orders')).status).toBe(200)
    const old = world.kc.realm.keys.active.kid
    await world.kc.admin.rotateKey()
    world.kc.admin.setKeyState(old, 'disabled')
    expect((await get(await signedIn('grace'), '/api/orders')).status).toBe(200)
    expect((await get(browser, '/api/exchanged/customers')).status).toBe(200)
    expect(world.kc.record.where({ outcome: 'invalid_request' })).toHaveLength(1)
  })
})
