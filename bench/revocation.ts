import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { ORDERS, RESOURCES } from '../src/dev/apis.ts'
import { Browser } from '../test/harness/browser.ts'
import { freePlaces, startGateways } from '../test/harness/gateways.ts'
import { startProviderProcess } from '../test/harness/processes.ts'
import { findRedis } from '../test/harness/redis-program.ts'
import { startRedisServer } from '../test/harness/redis-server.ts'
import { steady, type Steady } from '../test/harness/steady.ts'
import { startUpstream } from '../test/harness/upstream.ts'
import { sessionCookie, signIn } from '../test/harness/world.ts'

/**
 * One question: a user signs out at one replica; how long after the acknowledgement do the others still answer for the session? Three gateway processes
 * over one Redis. The session is hot at each of them. From before the logout on one request after the other asks at the other two, so the figures are
 * those of the first 401 and include up to one request that was under way. An end
 * may be seen there before the acknowledgement is seen here: that counts as less than nothing.
 */
const LOGOUTS = Number(process.env['BENCH_LOGOUTS'] ?? 1000)
const AT_ONCE = 4
const BOUND_MS = 50
const GIVE_UP_MS = 5_000

interface Revoked {
  /** From the acknowledged logout to the first 401, ms; at B and C. Below 0: seen there before the acknowledgement was seen here. */
  readonly seen: readonly number[]
  /** Requests sent after the acknowledgement that were served all the same. */
  readonly servedAfter: number
}

const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
const ms = (value: number): string => `${value.toFixed(1)} ms`
const print = (line: string): void => void process.stdout.write(`${line}\n`)

const redis = await startRedisServer(findRedis())
const upstream = await startUpstream()
const places = await freePlaces(3)
const url = `http://localhost:${places[0]?.public ?? 0}`
const client = { clientId: 'bench', clientSecret: randomBytes(32).toString('base64url') }
const provider = await startProviderProcess({
  port: 0,
  ...client,
  redirectUri: `${url}/bff/callback`,
  postLogoutRedirectUri: `${url}/bff/logout/callback`,
  resources: RESOURCES,
  accessTokenSeconds: 3600,
})
const fleet = await startGateways({
  places,
  provider: { issuer: provider.issuer, ...client },
  redisUrl: redis.url,
  routes: [
    '  - path: /api/live',
    `    upstream: ${upstream.url}`,
    `    token: { principal: user, audience: '${ORDERS}', scopes: [orders.read] }`,
  ],
})

/** @returns when the first request that was sent after the acknowledgement, or was then under way, was refused */
const firstRefusal = async (user: Steady, acknowledged: Promise<number>): Promise<{ readonly after: number; readonly served: number }> => {
  let at: number | undefined
  void acknowledged.then((time) => (at = time))
  let served = 0
  for (;;) {
    const sentAt = performance.now()
    // An answer of unknown length that is under way is cut when its session ends: that is an end as well, but no answer.
    const answer = await user.get('/api/live/rows').catch(() => 'cut')
    if (answer !== 200 && answer !== 'cut') {
      if (answer !== 'session.ended') throw new Error(`a request was answered with ${answer}`)
      return { after: performance.now() - (await acknowledged), served }
    }
    if (answer === 200 && at !== undefined && sentAt > at) served += 1
    if (at !== undefined && performance.now() - at > GIVE_UP_MS) throw new Error('a logout was not seen in 5 s')
  }
}

const revoke = async (): Promise<Revoked> => {
  const browser = new Browser()
  await signIn(browser, url, 'ada')
  const others = places.slice(1).map((place) => steady(url, sessionCookie(browser), place.public))
  for (const other of others) if ((await other.get('/api/live/rows')) !== 200) throw new Error('the session is not known everywhere')
  const { promise: acknowledged, resolve: acknowledge } = Promise.withResolvers<number>()
  const watching = Promise.all(others.map((other) => firstRefusal(other, acknowledged)))
  await wait(5)
  const { status } = await browser.fetch(`${url}/bff/logout`, { method: 'POST' })
  if (status !== 200) throw new Error(`a logout was answered with ${status}`)
  acknowledge(performance.now())
  const found = await watching
  for (const other of others) other.close()
  return { seen: found.map(({ after }) => after), servedAfter: found.reduce((sum, { served }) => sum + served, 0) }
}

let failed = false
try {
  const revoked: Revoked[] = []
  const startedAt = performance.now()
  let begun = 0
  const one = async (): Promise<void> => {
    while (begun < LOGOUTS) {
      begun += 1
      revoked.push(await revoke())
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, one))
  const seen = revoked.flatMap((one) => one.seen).sort((a, b) => a - b)
  const late = seen.filter((value) => value > BOUND_MS).length
  const served = revoked.reduce((sum, { servedAfter }) => sum + servedAfter, 0)
  print(`\n${revoked.length} logouts at one of three replicas over one Redis, ${AT_ONCE} at a time; the first 401 at the other two`)
  print(
    `  after the acknowledgement   p50 ${ms(percentile(seen, 0.5))}   p99 ${ms(percentile(seen, 0.99))}   max ${ms(seen.at(-1) ?? Number.NaN)}`,
  )
  print(`  before it                   ${seen.filter((value) => value <= 0).length} of ${seen.length}`)
  print(`  later than ${BOUND_MS} ms             ${late} of ${seen.length}`)
  print(`  served, asked afterwards    ${served}`)
  print(`  took ${((performance.now() - startedAt) / 1000).toFixed(0)} s, Node ${process.versions.node}`)
} catch (error) {
  failed = true
  print(`the measurement failed: ${error instanceof Error ? error.message : 'unknown'}`)
} finally {
  await Promise.all([fleet.stop(), provider.stop(), upstream.stop()])
  await redis.stop()
}
process.exit(failed ? 1 : 0)
