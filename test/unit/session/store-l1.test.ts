import { expect, it } from 'vitest'
import type { Metrics } from '../../../src/domain/metric.ts'
import type { Session, SessionRef } from '../../../src/domain/session.ts'
import { Secret } from '../../../src/kernel/secret.ts'
import { instant, millis } from '../../../src/kernel/time.ts'
import { ExpiringMap } from '../../../src/session/expiring-map.ts'
import { PendingEnds } from '../../../src/session/pending-ends.ts'
import { L1 } from '../../../src/session/store-l1.ts'

const T = instant(1_000)
const aSession = (ref: string, gen = 1): Session => ({
  ref: ref as SessionRef,
  cookie: Secret.of('session-cookie', ref),
  card: {
    ref: ref as SessionRef,
    app: 'default',
    provider: 'default',
    tenant: undefined,
    subject: 'alice',
    createdAt: T,
    endsAt: instant(9_000),
    browser: '',
    address: '',
  },
  grant: {
    issuer: '',
    refreshToken: undefined,
    refreshEndsAt: undefined,
    claims: {},
    idToken: undefined,
    providerSessionId: undefined,
    scopes: [],
    confirmedAt: T,
  },
  tokens: new Map(),
  gen,
  rtGen: 1,
})
const anL1 = (entriesMax = 10) => new L1({ entriesMax, bytesMax: 1_000_000 }, millis(500))
const ref = (name: string) => name as SessionRef

it('gives nothing out past the idle or the absolute end', () => {
  const l1 = anL1()
  l1.keep('d', aSession('a'), 1, T, T, 0)
  expect(l1.get('d', instant(1_499))).toBeDefined()
  expect(l1.get('d', instant(1_500))).toBeUndefined()
  l1.keep('d', aSession('a'), 1, instant(8_900), T, 0)
  expect(l1.get('d', instant(8_999))).toBeDefined()
  expect(l1.get('d', instant(9_000))).toBeUndefined()
})
it('never goes back a generation', () => {
  const l1 = anL1()
  l1.keep('d', aSession('a', 3), 1, T, T, 0)
  l1.keep('d', aSession('a', 2), 1, T, T, 0)
  expect(l1.get('d', T)?.session.gen).toBe(3)
  l1.written(ref('a'), 3)
  expect(l1.get('d', T)?.session.gen).toBe(3)
  l1.written(ref('a'), 4)
  expect(l1.get('d', T)).toBeUndefined()
})
it('hands out the same object when the same generation is read again, seen the later', () => {
  const l1 = anL1()
  const held = l1.keep('d', aSession('a'), 1, T, T, 0)
  expect(l1.keep('d', aSession('a'), 1, instant(1_200), T, 0)).toBe(held)
  expect(held.lastSeenAt).toBe(1_200)
})
it('does not take an ended session, however often it is read, and forgets it no sooner for others', () => {
  const l1 = anL1()
  l1.keep('d', aSession('a'), 1, T, T, 0)
  expect(l1.ended(ref('a'), 'user')).toBe(true)
  expect(l1.ended(ref('a'), 'admin')).toBe(false)
  l1.keep('d', aSession('a', 9), 1, T, T, 0)
  expect(l1.get('d', T)).toBeUndefined()
  expect(l1.endedBecause(ref('a'))).toBe('user')
})
it('keeps nothing older than what it heard of while a read was under way, also when several are', async () => {
  const l1 = anL1()
  const gate = Promise.withResolvers<void>()
  const reads = [1, 2].map(() =>
    l1.during(ref('a'), async () => {
      await gate.promise
      l1.keep('d', aSession('a', 4), 1, T, T, 0)
    }),
  )
  await l1.during(ref('a'), async () => {})
  l1.written(ref('a'), 5)
  gate.resolve()
  await Promise.all(reads)
  expect(l1.get('d', T)).toBeUndefined()
  await l1.during(ref('a'), async () => void l1.keep('d', aSession('a', 5), 1, T, T, 0))
  expect(l1.get('d', T)?.session.gen).toBe(5)
})
it('drops by ref what it holds by digest, also after others were pushed out', () => {
  const l1 = anL1(2)
  for (const name of ['a', 'b', 'c']) l1.keep(`d-${name}`, aSession(name), 1, T, T, 0)
  expect(l1.size).toBe(2)
  expect(l1.get('d-a', T)).toBeUndefined()
  l1.drop(ref('b'))
  expect([l1.get('d-b', T), l1.get('d-c', T)?.session.ref]).toEqual([undefined, 'c'])
})

/** What an operator would see. */
const gauges = () => {
  const seen = new Map<string, number>()
  const metrics: Metrics = {
    count: (name) => void seen.set(name, (seen.get(name) ?? 0) + 1),
    gauge: (name, value) => void seen.set(name, value),
    observe: () => {},
  }
  return { seen, metrics }
}

it('tries ends again in order, stops at the first that fails, and keeps that one', async () => {
  const tried: string[] = []
  let away = true
  const { seen, metrics } = gauges()
  const pending: PendingEnds = new PendingEnds(async (name, reason) => {
    tried.push(`${name} ${reason}`)
    if (away) return 'unavailable'
    pending.delete(name)
    return 'ended'
  }, metrics)
  pending.add(ref('a'), 'user', true)
  pending.add(ref('b'), 'admin', false)
  pending.add(ref('a'), 'idle', true)
  await pending.retry()
  expect(tried).toEqual(['a user'])
  expect(seen.get('sallyport_session_pending_ends')).toBe(2)
  away = false
  await pending.retry()
  expect(tried).toEqual(['a user', 'a user', 'b admin'])
  expect(pending.size).toBe(0)
  expect(seen.get('sallyport_session_pending_ends')).toBe(0)
})
it('stores thousands of ends at once rather than one after the other: a process that ends waits for them', async () => {
  let [now, most] = [0, 0]
  const pending: PendingEnds = new PendingEnds(async (name) => {
    now += 1
    most = Math.max(most, now)
    await Promise.resolve()
    now -= 1
    pending.delete(name)
  }, gauges().metrics)
  for (let i = 0; i < 3_001; i += 1) pending.add(ref(`r${i}`), 'user', true)
  await pending.retry()
  expect([pending.size, most]).toEqual([0, 50])
})
it('remembers a bounded number of ends that are still to be stored, and counts those it gives up', () => {
  const { seen, metrics } = gauges()
  const pending = new PendingEnds(async () => 'unavailable', metrics)
  for (let i = 0; i < 10_050; i += 1) pending.add(ref(`r${i}`), 'user', true)
  expect(pending.size).toBe(10_000)
  expect(seen.get('sallyport_session_ends_dropped_total')).toBe(50)
})
// While the store is away nobody can tell an invented cookie from one of a session: ten thousand of them must not undo the sign-outs that are to be stored.
it('gives up no end of a session it has seen for one of a name that anybody may have invented', async () => {
  const stored: string[] = []
  const pending: PendingEnds = new PendingEnds(async (name) => {
    stored.push(name)
    pending.delete(name)
  }, gauges().metrics)
  pending.add(ref('real1'), 'user', true)
  for (let i = 0; i < 10_050; i += 1) pending.add(ref(`invented${i}`), 'user', false)
  pending.add(ref('real2'), 'user', true)
  for (let i = 0; i < 10_050; i += 1) pending.add(ref(`more${i}`), 'user', false)
  expect(pending.size).toBe(10_000)
  await pending.retry()
  expect(stored.filter((name) => name.includes('real'))).toHaveLength(2)
  for (let i = 0; i < 10_000; i += 1) pending.add(ref(`seen${i}`), 'user', true)
  pending.add(ref('invented'), 'user', false)
  stored.splice(0)
  await pending.retry()
  expect(stored).toHaveLength(10_000)
  expect(stored).not.toContain(ref('invented'))
})

it('sweeps out what has ended, so that memory follows what lives', () => {
  let now = 0
  const map = new ExpiringMap<number, string>({ now: () => instant(now), sleep: async () => {} })
  for (let i = 0; i < 5_000; i += 1) {
    now = i
    map.set(i, 'x', instant(i + 10))
  }
  expect(map.size).toBeLessThan(600)
  expect(map.get(4_999)).toBe('x')
  now = 5_009
  expect(map.get(4_999)).toBeUndefined()
})
