import { fileURLToPath } from 'node:url'
import { setTimeout as wait } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from '../harness/browser.ts'
import { until } from '../harness/processes.ts'
import { canStartRedis, startRedis, type RedisServer } from '../harness/redis.ts'
import type { SameTick } from '../harness/same-tick.ts'
import { steady, type Steady } from '../harness/steady.ts'
import { createWorld, sessionCookie, signIn, type World } from '../harness/world.ts'

const IDLE_SECONDS = 12
/** A touch is due when a quarter of so short an idle timeout has passed. */
const TOUCH_EVERY_MS = (IDLE_SECONDS * 1000) / 4
const REQUESTS = 200
/** Of the connections themselves, by the clock and not by requests: stack §2.4, and a look at the server's role. So are the words on credentials read. */
const HEARTBEAT = ['ping', 'time', 'info', 'role']

describe.skipIf(!canStartRedis)('a hot request', { timeout: 90_000 }, () => {
  let redis: RedisServer
  let world: World
  let browser: Browser
  let user: Steady
  let ours: Redis
  let monitor: Redis
  /** What Redis was told, in order, by anybody: commands of scripts come after the script. */
  const told: (readonly string[])[] = []

  beforeAll(async () => {
    redis = await startRedis()
    world = await createWorld({
      redisUrl: redis.url,
      store: [`  idle_timeout: ${IDLE_SECONDS}s`],
      entry: fileURLToPath(new URL('../harness/gateway-same-tick.child.ts', import.meta.url)),
    })
    browser = new Browser()
    await signIn(browser, world.url, 'ada')
    user = steady(world.url, sessionCookie(browser))
    ours = new Redis(redis.url)
    monitor = await new Redis(redis.url).monitor()
    monitor.on('monitor', (_time: string, command: string[]) => void told.push(command))
  })
  afterAll(async () => {
    user.close()
    monitor.disconnect()
    ours.disconnect()
    await world.stop()
    await redis.stop()
  })

  /** Everything that Redis was told while this went on, but for heartbeats: our marks stand around it in its own order. */
  const during = async (work: () => Promise<void>): Promise<string[]> => {
    const mark = `mark-${told.length}`
    const isHere = (name: string) => (command: readonly string[]) => command[0] === 'echo' && command[1] === name
    await ours.echo(mark)
    await work()
    await ours.echo(`${mark}-end`)
    await until('the monitor has it all', () => told.some(isHere(`${mark}-end`)))
    const from = told.findIndex(isHere(mark))
    const between = told.slice(from + 1, told.findIndex(isHere(`${mark}-end`)))
    return between.map(([name = '', ...args]) => [name.toLowerCase(), ...args].join(' ')).filter((text) => !isHeartbeat(text))
  }
  const isHeartbeat = (text: string): boolean => HEARTBEAT.includes(text.split(' ', 1)[0] ?? '') || /^hgetall \S+:credentials:/.test(text)
  let asked = 0
  const sameTick = async (): Promise<SameTick> => {
    asked += 1
    const [gateway] = world.gateways
    gateway?.signal('SIGUSR2')
    const line = (): string | undefined => new RegExp(`^same-tick (\\{"asked":${asked},.*\\})$`, 'm').exec(gateway?.output() ?? '')?.[1]
    await until('the gateway said', () => line() !== undefined)
    const { atOnce, later } = JSON.parse(line() ?? '{}') as SameTick
    return { atOnce, later }
  }
  const all = async (): Promise<void> => {
    const before = await sameTick()
    const answers = await Promise.all(Array.from({ length: REQUESTS }, () => user.get('/api/orders')))
    expect(answers).toEqual(answers.map(() => 200))
    const now = await sameTick()
    expect({ atOnce: now.atOnce - before.atOnce, later: now.later - before.later }).toEqual({ atOnce: REQUESTS, later: 0 })
  }
  const isTouch = (text: string): boolean => /^evalsha \S+ 1 \S+:idle:\S+ \d+$/.test(text)

  it(`${REQUESTS} of them tell Redis nothing and await nothing before the upstream is called`, async () => {
    expect(await user.get('/api/orders')).toBe(200)
    // The session was made a moment ago: no touch is due yet unless this machine stood still.
    const commands = await during(all)
    expect(commands.filter((text) => !isTouch(text) && !isOfTouch(text))).toEqual([])
    expect(commands.filter(isTouch).length).toBeLessThanOrEqual(1)
  })

  it('the touch is all there is when it is due, and it is one for all of them', async () => {
    await wait(TOUCH_EVERY_MS)
    const startedAt = performance.now()
    const commands = await during(all)
    const due = 1 + Math.floor((performance.now() - startedAt) / TOUCH_EVERY_MS)
    expect(commands.filter((text) => !isTouch(text) && !isOfTouch(text))).toEqual([])
    expect(commands.filter(isTouch).length).toBeGreaterThan(0)
    expect(commands.filter(isTouch).length).toBeLessThanOrEqual(due)
  })

  it('the first request after a restart asks Redis and waits, and this test can tell', async () => {
    await world.gateways[0]?.stop()
    await world.restart(0)
    asked = 0
    const commands = await during(async () => expect(await user.get('/api/orders')).toBe(200))
    expect(commands.filter((text) => text.startsWith('evalsha'))).not.toEqual([])
    expect(await sameTick()).toEqual({ atOnce: 0, later: 1 })
  })
})

/** What the script of a touch does inside; before that the whole script, to a server that does not know it yet. */
const isOfTouch = (text: string): boolean => /^(?:time$|set \S+:idle:\S+ )/.test(text) || /^eval [^]+ 1 \S+:idle:\S+ \d+$/.test(text)
