import { fileURLToPath } from 'node:url'
import { setTimeout as wait } from 'node:timers/promises'
import { request as send } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ORDERS } from '../../src/dev/apis.ts'
import { Browser } from '../harness/browser.ts'
import { auditOf } from '../harness/processes.ts'
import { sharedRedisUrl } from '../harness/redis.ts'
import { startUpstream, type Upstream } from '../harness/upstream.ts'
import { createWorld, sessionCookie, signIn, type World } from '../harness/world.ts'

/** Longer than 200 requests take on a busy machine: the burst must be over before its own token is. */
const LIFE_SECONDS = 5
/** A busy machine may hold up what takes milliseconds; a gateway that does not keep its promise fails each time. */
const ONCE_IN_TIME = { retry: 2 }
const REQUESTS = 200

interface Burst {
  /** How often each status was answered. */
  readonly statuses: Readonly<Record<string, number>>
  /** Refresh tokens the provider took and refused meanwhile. */
  readonly refreshed: number
  readonly refused: number
}

const refreshes = async ({ provider }: World): Promise<{ readonly ok: number; readonly refused: number }> => {
  const counts = await provider.counts()
  return { ok: counts['refresh_token:ok'] ?? 0, refused: counts['refresh_token:refused'] ?? 0 }
}

/**
 * 200 requests at once, every other to the other replica. The provider stands still for the first half second: whoever is going to send a refresh
 * token has sent it before the first answer can be saved. That is the barrier that makes the race happen each time.
 */
const burst = async (world: World, browser: Browser): Promise<Burst> => {
  const before = await refreshes(world)
  world.provider.freeze()
  const asked = Array.from({ length: REQUESTS }, (_one, at) =>
    browser.fetch(`${world.url}/api/orders`, { port: world.gateways[at % world.gateways.length]?.port }),
  )
  await wait(500)
  world.provider.thaw()
  const statuses: Record<string, number> = {}
  for (const { status } of await Promise.all(asked)) statuses[status] = (statuses[status] ?? 0) + 1
  const now = await refreshes(world)
  return { statuses, refreshed: now.ok - before.ok, refused: now.refused - before.refused }
}

const GOOD: Burst = { statuses: { 200: REQUESTS }, refreshed: 1, refused: 0 }
/** Tokens that were issued by now are refused by the APIs afterwards. */
const expiry = (): Promise<void> => wait(LIFE_SECONDS * 1000 + 100)

describe.skipIf(!sharedRedisUrl)(
  'two replicas, one Redis, a provider that revokes the family of a refresh token used twice',
  { timeout: 90_000 },
  () => {
    let world: World
    let upstream: Upstream
    let browser: Browser
    beforeAll(async () => {
      upstream = await startUpstream()
      world = await createWorld({
        redisUrl: sharedRedisUrl,
        replicas: 2,
        accessTokenSeconds: LIFE_SECONDS,
        routes: [
          '  - path: /api/live',
          `    upstream: ${upstream.url}`,
          `    token: { principal: user, audience: '${ORDERS}', scopes: [orders.read] }`,
        ],
      })
      browser = new Browser()
      await signIn(browser, world.url, 'ada')
    })
    afterAll(async () => {
      await world.stop()
      await upstream.stop()
    })

    it('200 parallel requests at token expiry cost one refresh, no 401 and no logout, expiry after expiry', async () => {
      const cookie = sessionCookie(browser)
      for (let round = 0; round < 2; round += 1) {
        await expiry()
        expect(await burst(world, browser)).toEqual(GOOD)
      }
      expect(sessionCookie(browser)).toEqual(cookie)
      const ended = world.gateways.flatMap((gateway) => auditOf(gateway)).filter(({ event }) => event === 'session.ended')
      expect(ended).toEqual([])
    })

    it('requests all through the last fifth of a token are served with it, and cost one refresh as well', async () => {
      const { refreshed_at } = JSON.parse((await browser.fetch(`${world.url}/bff/session`)).body) as { refreshed_at: string }
      const before = await refreshes(world)
      await wait(Date.parse(refreshed_at) + LIFE_SECONDS * 800 + 50 - Date.now())
      const answers = await Promise.all(
        Array.from({ length: REQUESTS }, async (_one, at) => {
          await wait(at)
          return browser.fetch(`${world.url}/api/orders`, { port: world.gateways[at % 2]?.port })
        }),
      )
      expect(answers.filter(({ status }) => status !== 200)).toEqual([])
      const now = await refreshes(world)
      expect({ ok: now.ok - before.ok, refused: now.refused - before.refused }).toEqual({ ok: 1, refused: 0 })
    })

    it('the session survives a restart of both replicas, with the same cookie', async () => {
      const cookie = sessionCookie(browser)
      const before = JSON.parse((await browser.fetch(`${world.url}/bff/user`)).body) as { session: { created_at: string } }
      await Promise.all(world.gateways.map((gateway) => gateway.stop()))
      await Promise.all([world.restart(0), world.restart(1)])
      for (const { port } of world.gateways) {
        const user = await browser.fetch(`${world.url}/bff/user`, { port })
        expect(user.status).toBe(200)
        expect(JSON.parse(user.body)).toMatchObject({ claims: { sub: 'ada' }, session: { created_at: before.session.created_at } })
        expect((await browser.fetch(`${world.url}/api/orders`, { port })).status).toBe(200)
      }
      expect(sessionCookie(browser)).toEqual(cookie)
    })

    it(
      'an open stream ends within a second after a logout at the other replica, and the other replica knows the session no more',
      ONCE_IN_TIME,
      async () => {
        const [here, there] = world.gateways
        if (!sessionCookie(browser)) await signIn(browser, world.url, 'ada') // tried again
        const cookie = [...browser.cookies('localhost')].map(([name, value]) => `${name}=${value}`).join('; ')
        const streaming = Promise.withResolvers<void>()
        const ended = new Promise<void>((resolve) => {
          const headers = {
            host: new URL(world.url).host,
            cookie,
            'x-csrf': '1',
            'sec-fetch-site': 'same-origin',
            accept: 'text/event-stream',
          }
          const request = send(`${world.url}/api/live/events`, { port: there?.port, headers, agent: false }, (response) => {
            response.once('data', () => streaming.resolve())
            response.once('close', resolve)
          })
          request.once('error', streaming.reject)
          request.end()
        })
        await streaming.promise
        const since = performance.now()
        expect((await browser.fetch(`${world.url}/bff/logout`, { method: 'POST', port: here?.port })).status).toBe(200)
        await Promise.race([ended, wait(5000)])
        expect(performance.now() - since).toBeLessThan(1000)
        const answer = await browser.raw(`${world.url}/api/orders`, {
          port: there?.port,
          headers: { cookie, 'x-csrf': '1', 'sec-fetch-site': 'same-origin', accept: 'application/json' },
        })
        expect([answer.status, (JSON.parse(answer.body) as { code: string }).code]).toEqual([401, 'session.ended'])
      },
    )
  },
)

describe.skipIf(!sharedRedisUrl)('test of the test', () => {
  it('without lease and mark the same burst spends a refresh token twice', { timeout: 60_000 }, async () => {
    const world = await createWorld({
      redisUrl: sharedRedisUrl,
      replicas: 2,
      accessTokenSeconds: LIFE_SECONDS,
      entry: fileURLToPath(new URL('../harness/gateway-without-lease.child.ts', import.meta.url)),
    })
    try {
      const browser = new Browser()
      await signIn(browser, world.url, 'ada')
      await expiry()
      const came = await burst(world, browser)
      expect(came).not.toEqual(GOOD)
      expect(came.refreshed + came.refused).toBeGreaterThan(1)
    } finally {
      await world.stop()
    }
  })
})
