import fc from 'fast-check'
import { expect, it } from 'vitest'
import { seconds } from '../../../src/kernel/time.ts'
import { createFleet, wordOf } from '../../harness/brokers.ts'
import { settle } from '../../harness/clock.ts'
import { createGates } from '../../harness/gates.ts'
import { the } from '../../harness/the.ts'

/** What happens next in a history; `replica` 0 or 1. */
const event = (kinds: readonly string[]) =>
  fc.record({ kind: fc.constantFrom(...kinds), replica: fc.nat(1), orders: fc.boolean(), afterSteps: fc.nat(12) })
type Event = { readonly kind: string; readonly replica: number; readonly orders: boolean; readonly afterSteps: number }

/**
 * Plays a history over two replicas. Every call to the store and to the provider is held at its begin and at its end, and the scheduler picks who goes
 * on: time moves only when nobody can. The clock therefore never outruns a call that is merely slow.
 */
const play = async (scheduler: fc.Scheduler, rotation: 'strict' | 'tolerant' | 'none', events: readonly Event[]) => {
  const hold = async (point: string): Promise<void> => {
    await scheduler.schedule(Promise.resolve(point), point)
  }
  const fleet = createFleet({ rotation, gates: createGates(hold), lifeMs: seconds(60) })
  const replicas = ['one', 'two'].map((name) => fleet.replica(name, createGates(hold)))
  const session = fleet.session()
  const alive = new Set([0, 1])
  const asked: { readonly replica: number; done: string | undefined }[] = []

  const step = async (): Promise<void> => {
    if (scheduler.count() > 0) await scheduler.waitNext(1)
    else await fleet.clock.advance(100)
    await settle(1)
  }
  const begin = ({ kind, replica, orders }: Event): void => {
    const { broker, store } = replicas[replica] as (typeof replicas)[number]
    const current = fleet.shared.read(session.ref) ?? session
    const ask = orders ? the.orders : the.invoices
    const follow = (work: Promise<Parameters<typeof wordOf>[0]>): void => {
      const entry: (typeof asked)[number] = { replica, done: undefined }
      asked.push(entry)
      void work.then((outcome) => {
        entry.done = wordOf(outcome)
      })
    }
    if (kind === 'user') follow(broker.user(fleet.held(current), ask))
    if (kind === 'old copy') follow(broker.user(fleet.held(session), ask))
    if (kind === 'refresh now') follow(broker.refreshNow(fleet.held(current)))
    if (kind === 'lose') fleet.provider.loseNext()
    if (kind === 'refuse audience') fleet.provider.answerNext({ kind: 'refused', reason: 'audience-denied', providerCode: 'planted' })
    if (kind === 'unusable token') fleet.provider.violateNext('audience')
    if (kind === 'drop lease') fleet.shared.dropLease(session.ref)
    if (kind === 'log out') fleet.shared.end(session.ref, 'user')
    if (kind === 'store blinks') {
      store.setReachable(false)
      void fleet.clock.sleep(seconds(1)).then(() => store.setReachable(true))
    }
    if (kind === 'kill') {
      store.kill()
      alive.delete(replica)
    }
    if (kind === 'wait') void fleet.clock.sleep(seconds(30))
  }

  for (const next of events) {
    for (let i = 0; i < next.afterSteps; i += 1) await step()
    begin(next)
    if (next.kind === 'wait') for (let i = 0; i < 20; i += 1) await step()
  }
  const open = () => asked.filter((entry) => entry.done === undefined && alive.has(entry.replica))
  for (let i = 0; i < 2_000 && open().length > 0; i += 1) await step()
  return { fleet, session, asked, hanging: open().length, ended: events.some(({ kind }) => kind === 'log out') }
}

const sendsPerToken = (sends: readonly { readonly refreshToken: string }[]): number[] =>
  [...Map.groupBy(sends, ({ refreshToken }) => refreshToken).values()].map((same) => same.length)

it('a refresh token whose rotation was received is never sent again, whatever the order of events', async () => {
  const calm = event(['user', 'user', 'old copy', 'refresh now', 'refuse audience', 'unusable token', 'log out', 'wait'])
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.array(calm, { minLength: 2, maxLength: 12 }), async (scheduler, events) => {
      const { fleet, session, asked, hanging, ended } = await play(scheduler, 'strict', events)
      expect(hanging).toBe(0)
      expect(fleet.provider.sentAfterRotation).toEqual([])
      expect(fleet.shared.read(session.ref) === undefined).toBe(ended)
      if (!ended) {
        expect(fleet.provider.isAlive(fleet.shared.read(session.ref)?.grant.refreshToken)).toBe(true)
        expect(asked.filter(({ done }) => done === 'session.ended' || done === 'session.refresh-lost')).toEqual([])
      }
    }),
    { numRuns: 120 },
  )
})

it('with answers that get lost, leases that vanish and a store that blinks: nobody hangs, at most one recovery per token, no rotation is spent twice', async () => {
  const rough = event([
    'user',
    'user',
    'old copy',
    'refresh now',
    'lose',
    'drop lease',
    'store blinks',
    'unusable token',
    'log out',
    'wait',
  ])
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.array(rough, { minLength: 2, maxLength: 12 }), async (scheduler, events) => {
      const { fleet, session, hanging, ended } = await play(scheduler, 'strict', events)
      expect(hanging).toBe(0)
      expect(fleet.provider.sentAfterRotation).toEqual([])
      expect(Math.max(0, ...sendsPerToken(fleet.provider.sends))).toBeLessThanOrEqual(2)
      if (ended) expect(fleet.shared.read(session.ref)).toBeUndefined()
      if (!events.some(({ kind }) => kind === 'lose' || kind === 'log out')) expect(fleet.shared.read(session.ref)).toBeDefined()
    }),
    { numRuns: 120 },
  )
})

it('with a replica killed anywhere the other one answers, and a token is sent twice at most', async () => {
  const deadly = event(['user', 'user', 'refresh now', 'kill', 'wait'])
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.array(deadly, { minLength: 3, maxLength: 10 }), async (scheduler, events) => {
      const { fleet, hanging } = await play(scheduler, 'strict', events)
      expect(hanging).toBe(0)
      expect(Math.max(0, ...sendsPerToken(fleet.provider.sends))).toBeLessThanOrEqual(2)
    }),
    { numRuns: 80 },
  )
})

it.each(['tolerant', 'none'] as const)(
  'with rotation %s nobody is signed out by lost answers, vanished leases and kills',
  async (rotation) => {
    const any = event(['user', 'old copy', 'refresh now', 'lose', 'drop lease', 'store blinks', 'kill', 'wait'])
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.array(any, { minLength: 2, maxLength: 10 }), async (scheduler, events) => {
        const { fleet, session, hanging } = await play(scheduler, rotation, events)
        expect(hanging).toBe(0)
        expect(fleet.shared.read(session.ref)).toBeDefined()
      }),
      { numRuns: 60 },
    )
  },
)
