import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from '../harness/browser.ts'
import { auditOf, until } from '../harness/processes.ts'
import { canStartRedis, startRedis, type RedisServer } from '../harness/redis.ts'
import { steady, type Steady } from '../harness/steady.ts'
import { createWorld, sessionCookie, signIn, type World } from '../harness/world.ts'

const AWAY_MS = 10_000
/** Longer than a heartbeat takes to notice that it is back. */
const BACK_MS = 2_500
const KNOWN = 12
const UNKNOWN = 4
/** Between two requests of one user. */
const PAUSE_MS = 10

describe.skipIf(!canStartRedis)('Redis away for 10 s under load, with `store.grace` at its default', { timeout: 90_000 }, () => {
  let redis: RedisServer
  let world: World
  let known: readonly Steady[]
  let unknown: readonly Steady[]

  /** Signed in at `replica`, and served there once; from then on asks at the first. */
  const user = async (replica: number, name: string): Promise<Steady> => {
    const browser = new Browser()
    browser.through.set(world.url, world.gateways[replica]?.port ?? 0)
    await signIn(browser, world.url, name)
    expect((await browser.fetch(`${world.url}/api/orders`)).status).toBe(200)
    return steady(world.url, sessionCookie(browser))
  }
  const users = (replica: number, count: number): Promise<Steady[]> =>
    Promise.all(Array.from({ length: count }, (_one, i) => user(replica, i % 2 === 0 ? 'ada' : 'grace')))
  beforeAll(async () => {
    redis = await startRedis()
    world = await createWorld({ redisUrl: redis.url, replicas: 2 })
    known = await users(0, KNOWN)
    unknown = await users(1, UNKNOWN)
  })
  afterAll(async () => {
    for (const user of [...known, ...unknown]) user.close()
    redis.thaw()
    await world.stop()
    await redis.stop()
  })

  /** All of them ask without end. @returns how often each answer came, once `isOver` */
  const load = async (group: readonly Steady[], isOver: () => boolean): Promise<Record<string, number>> => {
    const answers: Record<string, number> = {}
    const one = async (user: Steady): Promise<void> => {
      while (!isOver()) {
        const answer = await user.get('/api/orders').catch(() => 'cut')
        answers[answer] = (answers[answer] ?? 0) + 1
        await wait(PAUSE_MS)
      }
    }
    await Promise.all(group.map(one))
    return answers
  }

  it('serves every request of the sessions it holds, answers 503 to the others, and nobody is signed out', async () => {
    let isAway = true
    redis.freeze()
    const back = wait(AWAY_MS).then(() => {
      isAway = false
    })
    const [served, refused] = await Promise.all([load(known, () => !isAway), load(unknown, () => !isAway), back])
    // 1. While it was away. At least one a second each: nobody waited for a store that does not answer for longer than it takes to notice.
    expect(Object.keys(served)).toEqual(['200'])
    expect(served['200']).toBeGreaterThan(KNOWN * (AWAY_MS / 1000))
    expect(Object.keys(refused)).toEqual(['store.unavailable'])
    // 2. As it comes back, those who were served do not notice.
    redis.thaw()
    const watchedUntil = performance.now() + BACK_MS
    expect(Object.keys(await load(known, () => performance.now() > watchedUntil))).toEqual(['200'])
    // 3. Nobody was signed out, whoever it was.
    for (const user of [...known, ...unknown]) await until('the same session works', async () => (await user.get('/api/orders')) === 200)
    expect(world.gateways.flatMap(auditOf).filter(({ event }) => event === 'session.ended')).toEqual([])
  })
})
