import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ORDERS } from '../../src/dev/apis.ts'
import { Browser } from '../harness/browser.ts'
import { auditOf, until } from '../harness/processes.ts'
import { sharedRedisUrl } from '../harness/redis.ts'
import { startUpstream, type Upstream } from '../harness/upstream.ts'
import {
  callbackOf,
  chooseUser,
  createWorld,
  isCallback,
  sessionCookie,
  signIn,
  startSignIn,
  withCookie,
  type World,
} from '../harness/world.ts'

/** What the promise allows for a sign-out to be felt on every replica. */
const FELT_WITHIN_MS = 1_000
/** A busy machine may hold up what takes milliseconds; a gateway that does not keep its promise fails each time. */
const ONCE_IN_TIME = { retry: 2 }

/** As a person signs out at the provider itself, without any application: its page, its button. */
const signOutAtProvider = async (browser: Browser, { provider }: World): Promise<void> => {
  const page = await browser.navigate(`${provider.issuer}/session/end`)
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(page.body)?.[1] ?? ''
  expect(xsrf).not.toBe('')
  await browser.navigate(`${provider.issuer}/session/end/confirm`, { method: 'POST', body: `xsrf=${xsrf}&logout=yes`, from: page.url })
}

describe.skipIf(!sharedRedisUrl)('two replicas, and a provider where people sign out', { timeout: 60_000 }, () => {
  let world: World
  let upstream: Upstream
  beforeAll(async () => {
    upstream = await startUpstream()
    world = await createWorld({
      redisUrl: sharedRedisUrl,
      replicas: 2,
      routes: [
        '  - path: /api/live',
        `    upstream: ${upstream.url}`,
        '    token: { principal: none }',
        '    allow: signed_in',
        '  - path: /api/narrow',
        `    upstream: ${upstream.url}`,
        `    token: { principal: user, audience: '${ORDERS}', scopes: [orders.read] }`,
      ],
    })
  })
  afterAll(async () => {
    await world.stop()
    await upstream.stop()
  })
  const ports = (): (number | undefined)[] => world.gateways.map(({ port }) => port)
  const statuses = (browser: Browser): Promise<number[]> =>
    Promise.all(ports().map(async (port) => (await browser.fetch(`${world.url}/api/orders`, { port })).status))
  const received = () =>
    world.gateways.flatMap((gateway) => auditOf(gateway).filter(({ event }) => event === 'backchannel-logout.received'))
  const endsOf = (reason: string): unknown[] =>
    world.gateways.flatMap((gateway) => auditOf(gateway).filter((line) => line.event === 'session.ended' && line['reason'] === reason))

  it(
    'within a second the session is over on both, copies in memory included; others’ go on; it is audited once',
    ONCE_IN_TIME,
    async () => {
      const [ada, grace] = [new Browser(), new Browser()]
      await signIn(ada, world.url, 'ada')
      await signIn(grace, world.url, 'grace')
      expect([...(await statuses(ada)), ...(await statuses(grace))]).toEqual([200, 200, 200, 200]) // from here on both hold both in memory
      const before = endsOf('provider').length
      const told = received().length
      await signOutAtProvider(ada, world)
      await until('both replicas have let go', async () => (await statuses(ada)).every((status) => status === 401), FELT_WITHIN_MS)
      expect(await statuses(grace)).toEqual([200, 200])
      await until('the end is audited', () => endsOf('provider').length > before)
      expect(received().slice(told)).toMatchObject([{ by: 'provider-session', ended: 1, subject: 'ada' }])
      expect(endsOf('provider')).toHaveLength(before + 1)
    },
  )

  it('an open stream of the session is cut on the other replica', ONCE_IN_TIME, async () => {
    const browser = new Browser()
    await signIn(browser, world.url, 'ada')
    const seen = upstream.seen.length
    let isCut = false
    const cut = (): void => {
      isCut = true
    }
    browser.fetch(`${world.url}/api/live/events`, { port: ports()[1], headers: { accept: 'text/event-stream' } }).then(cut, cut)
    await until('the stream is open', () => upstream.seen.slice(seen).some(({ path }) => path.endsWith('/events')))
    expect(isCut).toBe(false)
    await signOutAtProvider(browser, world)
    await until('the stream is cut', () => isCut, FELT_WITHIN_MS)
  })

  it('a sign-in whose callback comes after the sign-out at the provider yields no session', async () => {
    const browser = new Browser()
    const page = await startSignIn(browser, world.url)
    const back = await chooseUser(browser, page.url, 'ada', isCallback)
    await signOutAtProvider(browser, world)
    const landed = await browser.navigate(callbackOf(back), { from: page.url })
    expect(landed.status).not.toBe(200)
    expect(sessionCookie(browser)).toBeUndefined()
  })

  it('a sign-in afterwards works, and the replaced session’s end takes nothing of the newer one with it', async () => {
    const browser = new Browser()
    await signIn(browser, world.url, 'ada')
    const first = sessionCookie(browser)
    await startSignIn(browser, world.url) // the provider still knows who it is
    expect(sessionCookie(browser)).not.toEqual(first)
    expect(await statuses(withCookie(new Browser(), first))).toEqual([401, 401])
    await until('the replaced session has ended', () => endsOf('replaced').length > 0)
    await wait(300) // a revocation would have been heard by now, and would have ended the grant both belong to
    // Not asked for at the sign-in, so it takes the refresh token.
    expect((await browser.fetch(`${world.url}/api/narrow`)).status).toBe(200)
    expect(await statuses(browser)).toEqual([200, 200])
  })

  it('a gateway that is told to stop tells the provider first what it has not told yet', async () => {
    const browser = new Browser()
    await signIn(browser, world.url, 'ada')
    const [here] = world.gateways
    await world.provider.away()
    const before = auditOf(here).length
    expect((await browser.fetch(`${world.url}/bff/logout`, { method: 'POST' })).status).toBe(200)
    // Its first try has failed; the next is due in half a second at the earliest, and the stop is faster than that.
    await until('a first try', () => /"grant":"revocation".*provider did not answer/.test(here?.output() ?? ''))
    await world.provider.back()
    await here?.stop()
    expect(auditOf(here).slice(before)).toContainEqual(expect.objectContaining({ event: 'token.revoked', outcome: 'revoked' }))
    await world.restart(0)
  })
})
