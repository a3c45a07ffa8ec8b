import type { Lease, Session, SessionRef } from '../domain/session.ts'
import type { Ask } from '../domain/token.ts'
import { backoff } from '../kernel/backoff.ts'
import type { Instant } from '../kernel/time.ts'
import { millis } from '../kernel/time.ts'
import type { Watch } from './change-watch.ts'
import type { Tools } from './deps.ts'
import type { Need } from './freshness.ts'
import { answeredBy } from './freshness.ts'
import { keepLease } from './lease.ts'
import { withoutRefreshToken } from './no-refresh-token.ts'
import type { Renewal, Step } from './renewal.ts'
import { notFound, unavailable } from './renewal.ts'
import type { Holding } from './spend.ts'
import { spend } from './spend.ts'

export interface Wanted {
  readonly session: Session
  readonly ask: Ask
  readonly need: Need
  /** Of the hold-off: session and ask. */
  readonly key: string
}

interface Item extends Wanted {
  readonly since: Instant
  readonly outcome: Promise<Renewal>
  readonly resolve: (outcome: Renewal) => void
  leasesLost: number
}
/** Everything this replica wants of one session; an item leaves when it is answered. */
type Queue = Map<string, Item>

const LOOKS_MAX = 3
const FIRST_POLL = millis(25)
const LONGEST_POLL = millis(250)

/**
 * For profiles that rotate: one refresh per session in the whole fleet; a second use of a rotated token looks like theft (RFC 9700 §4.14.2).
 * Whoever holds the session's lease serves all that wait in its replica, one call per ask, one after the other, each with the token the last one saved.
 */
export const createLeasedRefresh = (tools: Tools): ((flight: string, wanted: Wanted) => Promise<Renewal>) => {
  const queues = new Map<SessionRef, Queue>()

  const run = async (ref: SessionRef, queue: Queue): Promise<void> => {
    const watch = tools.changes.watch(ref)
    try {
      while (queue.size > 0) {
        const lease = await takeLease(tools, ref, queue, watch)
        if (!lease) continue
        const { release } = keepLease(tools.store, tools.clock, lease, tools.settings.leaseMs)
        try {
          await serveAll(tools, queue, { lease, watch })
        } finally {
          await release()
        }
      }
    } catch (error) {
      // The ports promise values, so this is a fault of ours; nobody may wait for ever because of it. What was sent has left its mark.
      tools.log.error({ sessionRef: ref, reason: error instanceof Error ? error.name : 'unknown' }, 'refresh failed unexpectedly')
      for (const [flight, item] of queue) answer(queue, flight, item, unavailable('provider.unavailable'))
    } finally {
      watch.close()
      queues.delete(ref) // no await since the queue was seen empty: nobody joined it in between
    }
  }

  return (flight, wanted) => {
    const { ref } = wanted.session
    const running = queues.get(ref)
    const joined = running?.get(flight)
    if (joined) return joined.outcome
    const { promise, resolve } = Promise.withResolvers<Renewal>()
    const item: Item = { ...wanted, since: tools.clock.now(), outcome: promise, resolve, leasesLost: 0 }
    if (running) running.set(flight, item)
    else {
      const queue: Queue = new Map([[flight, item]])
      queues.set(ref, queue)
      void run(ref, queue)
    }
    return promise
  }
}

const answer = (queue: Queue, flight: string, item: Item, outcome: Renewal): void => {
  queue.delete(flight)
  item.resolve(outcome)
}

/** The lease, or undefined when all who waited were answered otherwise: from what its holder stored, or because it took too long. */
const takeLease = async (tools: Tools, ref: SessionRef, queue: Queue, watch: Watch): Promise<Lease | undefined> => {
  const { clock, metrics, settings, store } = tools
  const began = clock.now()
  const observe = (outcome: string): void =>
    metrics.observe('sallyport_broker_lease_wait_seconds', (clock.now() - began) / 1000, { outcome })

  for (let attempt = 0; ; attempt += 1) {
    const lease = await store.acquireLease(ref, settings.leaseMs)
    if (typeof lease === 'object') {
      observe('acquired')
      return lease
    }
    if (lease === 'unavailable') {
      for (const [flight, item] of queue) answer(queue, flight, item, unavailable('store.unavailable'))
      observe('unavailable')
      return undefined
    }
    // Its holder's save wakes us; the poll is for a holder that died and for a channel that is down.
    if (await watch.next(backoff(attempt, FIRST_POLL, LONGEST_POLL))) await answerFromStore(tools, queue)
    const now = clock.now()
    for (const [flight, item] of queue)
      if (now - item.since >= settings.leaseWaitMs) answer(queue, flight, item, unavailable('provider.unavailable'))
    if (queue.size === 0) {
      observe(now - began >= settings.leaseWaitMs ? 'timeout' : 'answered')
      return undefined
    }
  }
}

/** Late-comers use the stored result, and need no lease to read it. */
const answerFromStore = async (tools: Tools, queue: Queue): Promise<void> => {
  const [first] = queue.values()
  if (!first) return
  const looked = await tools.store.reopen(first.session)
  if (looked.kind === 'key-unknown' || looked.kind === 'unavailable') return
  for (const [flight, item] of queue) {
    if (looked.kind !== 'found') answer(queue, flight, item, notFound(looked))
    else {
      const { session } = looked.held
      const answered = answeredBy(session, item.ask, item.need, tools.settings.recheckMs, tools.clock.now())
      if (answered) answer(queue, flight, item, { kind: 'renewed', session, access: answered.access })
    }
  }
}

/** Iterating over the live map includes those who join meanwhile. Returns early when the lease is lost. */
const serveAll = async (tools: Tools, queue: Queue, holding: Holding): Promise<void> => {
  let current: Session | undefined
  for (const [flight, item] of queue) {
    const step = await serve(tools, holding, item, current)
    if (step.kind === 'lease-lost') {
      item.leasesLost += 1
      if (item.leasesLost >= LOOKS_MAX) answer(queue, flight, item, unavailable('store.unavailable'))
      return
    }
    current = step.kind === 'renewed' ? step.session : undefined
    answer(queue, flight, item, step)
  }
}

type Served = Exclude<Step, { kind: 'again' }>

const serve = async (tools: Tools, holding: Holding, wanted: Wanted, known: Session | undefined): Promise<Served> => {
  const { clock, pending, settings, store } = tools
  const { ask, key, need } = wanted
  let session = known
  for (let look = 0; look < LOOKS_MAX; look += 1) {
    // 1. A rotation that this replica has not stored yet: the token in the record is spent, only the pending one is good.
    if (pending.has(wanted.session.ref)) {
      session = undefined
      if (!(await pending.settled(wanted.session.ref, settings.saveWaitMs))) return unavailable('store.unavailable')
    }
    // 2. Look again: while we waited, another replica may have refreshed for us, or the user may have signed out.
    if (!session) {
      const looked = await store.reopen(wanted.session)
      if (looked.kind !== 'found') return notFound(looked)
      session = looked.held.session
    }
    const now = clock.now()
    const answered = answeredBy(session, ask, need, settings.recheckMs, now)
    if (answered) return { kind: 'renewed', session, access: answered.access }
    // 3. Somebody who waited in this queue before us may just have been refused for the same ask.
    const heldOff = tools.holdOff.outcome(key, now)
    if (heldOff) return heldOff
    // 4. Spend the refresh token.
    const step = session.grant.refreshToken
      ? await spend(tools, holding, session, ask, key)
      : await withoutRefreshToken(tools, session, now)
    if (step.kind !== 'again') return step
    session = undefined
  }
  return unavailable('store.unavailable') // superseded again and again: others are at it, come back for their result
}
