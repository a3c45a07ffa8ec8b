import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RunningBroker } from '../../src/broker/broker.ts'
import { createBroker } from '../../src/broker/broker.ts'
import { BROKER_DEFAULTS } from '../../src/broker/deps.ts'
import { makeAsk } from '../../src/broker/token-key.ts'
import type { HeldSession, Session } from '../../src/domain/session.ts'
import type { SessionStore } from '../../src/domain/session-store.ts'
import { millis, minutes, systemClock } from '../../src/kernel/time.ts'
import type { SessionRecords } from '../../src/session/records.ts'
import { type Barriers, withBarriers } from '../harness/barriers.ts'
import { wordOf } from '../harness/brokers.ts'
import { createFakeProvider, type FakeProviderPort } from '../harness/fake-provider-port.ts'
import { created, until, type World } from './session-store-kit.ts'

const orders = makeAsk('refresh', 'api://orders', ['orders.read'])
const audiences = ['a', 'b', 'c'].map((name) => makeAsk('refresh', `api://${name}`, []))

interface Replica {
  readonly broker: RunningBroker
  readonly store: SessionStore
  readonly barriers: Barriers<SessionRecords>
}

interface BrokerOverOptions {
  /** Also what takes its three seconds: it rests on the same scripts everywhere. */
  readonly recoveries?: boolean
}

/** What the broker promises on every real store. Real time: Redis has a clock of its own. */
export const brokerOverStore = (kind: string, open: () => Promise<World>, { recoveries = true }: BrokerOverOptions = {}): void => {
  describe(`the broker over ${kind}`, () => {
    let world: World
    let provider: FakeProviderPort
    const brokers: RunningBroker[] = []
    const stores: SessionStore[] = []

    beforeEach(async () => {
      world = await open()
      provider = createFakeProvider({ clock: systemClock, requestTimeoutMs: millis(500) })
    })
    afterEach(async () => {
      for (const broker of brokers.splice(0)) {
        await broker.drain(millis(100)) // those of replicas that died never finish
        broker.close()
      }
      stores.splice(0)
      await world.close()
    })

    const replica = async (leaseMs = 600): Promise<Replica> => {
      const barriers: { records?: Barriers<SessionRecords> } = {}
      const { store, recorder } = await world.replica({
        clock: systemClock,
        between: (records) => {
          barriers.records = withBarriers(records)
          return barriers.records.port
        },
      })
      const { log, metrics, audit } = recorder
      const settings = { ...BROKER_DEFAULTS, leaseMs: millis(leaseMs), recheckMs: minutes(60), recheckGraceMs: minutes(60) }
      const broker = createBroker({ log, metrics, audit, store, provider, clock: systemClock, settings, asks: [orders] })
      brokers.push(broker)
      stores.push(store)
      if (!barriers.records) throw new Error('the store did not ask for its records')
      return { broker, store, barriers: barriers.records }
    }
    const signIn = async ({ store }: Replica): Promise<Session> => {
      // Behind sentinels and in a Cluster a replica that has just come sends nothing for sessions as old as its connection.
      await until(() => stores.every((one) => one.serverAge() > 1_050))
      return created(store, { tokens: [], grant: { refreshToken: provider.grant('alice') } })
    }
    const held = (session: Session): HeldSession => ({ session, lastSeenAt: systemClock.now(), stale: false })
    const stored = async ({ store }: Replica, session: Session): Promise<Session | undefined> => {
      const opened = await store.reopen(session)
      return opened.kind === 'found' ? opened.held.session : undefined
    }

    it('makes one call for 200 asks in two replicas, and keeps the refresh token alive', async () => {
      const [one, two] = [await replica(), await replica()]
      const session = await signIn(one)
      const asks = Array.from({ length: 200 }, (_, i) => (i % 2 ? one : two).broker.user(held(session), orders))
      expect(new Set((await Promise.all(asks)).map(wordOf))).toEqual(new Set(['issued']))
      expect(provider.sends).toHaveLength(1)
      expect(provider.isAlive((await stored(two, session))?.grant.refreshToken)).toBe(true)
    })

    it('walks one chain of refresh tokens for several audiences asked at once in two replicas', async () => {
      const [one, two] = [await replica(), await replica()]
      const session = await signIn(one)
      const outcomes = await Promise.all([one, two].flatMap(({ broker }) => audiences.map((ask) => broker.user(held(session), ask))))
      expect(new Set(outcomes.map(wordOf))).toEqual(new Set(['issued']))
      expect(provider.sends).toHaveLength(audiences.length)
      expect(provider.sentAfterRotation).toEqual([])
      expect(provider.mostAtOnce()).toBe(1)
      const now = await stored(one, session)
      expect(new Set(now?.tokens.keys())).toEqual(new Set(audiences.map(({ key }) => key)))
      expect(provider.isAlive(now?.grant.refreshToken)).toBe(true)
    })

    it('leaves a logout final that falls between the read and the save of a refresh, and revokes the new refresh token', async () => {
      const [one, two] = [await replica(), await replica()]
      const session = await signIn(one)
      const save = one.barriers.hold('save', 'before')
      const asked = one.broker.user(held(session), orders)
      await save.reached
      expect(await two.store.end(session.ref, 'user')).toBe('ended')
      save.release()
      expect(wordOf(await asked)).toBe('session.ended')
      expect(await two.store.reopen(session)).toEqual({ kind: 'ended', reason: 'user' })
      await until(() => provider.revoked.length === 1)
      expect(provider.revoked).not.toContain(session.grant.refreshToken?.reveal())
    })

    it('renews its lease while the provider is slow', async () => {
      const [one, two] = [await replica(300), await replica(300)]
      const session = await signIn(one)
      const slow = provider.gates.stop('refresh:after')
      const first = one.broker.user(held(session), orders)
      await slow.reached
      await systemClock.sleep(millis(1000))
      expect(await two.store.acquireLease(session.ref, millis(10))).toBe('held')
      const second = two.broker.user(held(session), orders)
      slow.open()
      expect((await Promise.all([first, second])).map(wordOf)).toEqual(['issued', 'issued'])
      expect(provider.sends).toHaveLength(1)
    })

    if (!recoveries) return
    it('recovers once from a replica that died before it could send', async () => {
      const [dying, two] = [await replica(300), await replica(300)]
      const session = await signIn(dying)
      const never = provider.gates.stop('refresh:before')
      dying.barriers.hold('renew', 'before')
      void dying.broker.user(held(session), orders)
      await never.reached
      world.clock.advance(millis(1000)) // the memory store's leases and marks go by this clock
      expect(wordOf(await two.broker.user(held(session), orders))).toBe('issued')
      expect(provider.sends).toHaveLength(2)
      expect(provider.isAlive((await stored(two, session))?.grant.refreshToken)).toBe(true)
    })

    it('ends a session as lost when a replica died with the answer in its hands and the recovery was refused', async () => {
      const [dying, two] = [await replica(300), await replica(300)]
      const session = await signIn(dying)
      dying.barriers.hold('renew', 'before')
      const save = dying.barriers.hold('save', 'before')
      void dying.broker.user(held(session), orders)
      await save.reached
      world.clock.advance(millis(1000))
      expect(wordOf(await two.broker.user(held(session), orders))).toBe('session.refresh-lost')
      expect(provider.sends).toHaveLength(2)
      expect(await two.store.reopen(session)).toEqual({ kind: 'ended', reason: 'refresh-lost' })
    })
  })
}
