import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SessionEnd, SessionsOf } from '../../src/domain/session.ts'
import { after, instant, millis, minutes, seconds } from '../../src/kernel/time.ts'
import type { Instant } from '../../src/kernel/time.ts'
import { created, ISSUER, until, type World } from './session-store-kit.ts'

const ALICE: SessionsOf = { kind: 'subject', issuer: ISSUER, subject: 'alice' }
const PROVIDER_SESSION: SessionsOf = { kind: 'provider-session', issuer: ISSUER, providerSessionId: 'provider-session-1' }

/** What flows and streams rely on when sessions end without a request of theirs. */
export const sessionEndsContract = (name: string, makeWorld: () => Promise<World>): void => {
  describe(`ends of sessions in ${name}`, () => {
    let world: World
    beforeEach(async () => {
      world = await makeWorld()
    })
    afterEach(async () => world.close())
    const now = (): Instant => (world.kind === 'memory' ? world.clock.now() : instant(Date.now()))

    it('are told once to every replica, with the session where it was held open', async () => {
      const [a, b, c] = [await world.replica(), await world.replica(), await world.replica()]
      const session = await created(a.store, {}, now())
      await b.store.open(session.cookie.reveal())
      const heard: Record<string, SessionEnd[]> = { a: [], b: [], c: [] }
      a.store.onEnded((end) => heard['a']?.push(end))
      b.store.onEnded((end) => heard['b']?.push(end))
      c.store.onEnded((end) => heard['c']?.push(end))
      expect(await c.store.end(session.ref, 'admin')).toBe('ended')
      await until(() => Object.values(heard).every((ends) => ends.length > 0))
      const { ref } = session
      const token = session.grant.refreshToken
      for (const at of ['a', 'b']) {
        expect(heard[at]).toEqual([{ ref, reason: 'admin', session: expect.anything() as unknown }])
        expect(heard[at]?.[0]?.session?.grant.refreshToken?.equals(token!)).toBe(true)
      }
      expect(heard['c']).toEqual([{ ref, reason: 'admin', session: undefined }])
    })

    describe('a look by the ref alone', () => {
      it('says until when an unused session lives, and does not use it', async () => {
        const { store } = await world.replica({ idleTimeoutMs: seconds(30) })
        const { ref } = await created(store, {}, now())
        const looked = await store.look(ref)
        if (looked.kind !== 'alive') throw new Error(looked.kind)
        expect(Math.abs(looked.idleEndsAt - after(now(), seconds(30)))).toBeLessThan(2_000)
        const stamp = () => world.raw?.get(world.keys.idle(ref))
        const before = await stamp()
        let again = looked as Awaited<ReturnType<typeof store.look>>
        for (let n = 0; n < 2; n += 1) {
          await world.pass(millis(50))
          again = await store.look(ref)
        }
        expect(await stamp()).toBe(before)
        // Over Redis it is the difference of two clocks, and off by what the call took.
        expect(again).toEqual(world.raw ? { kind: 'alive', idleEndsAt: expect.any(Number) as number } : looked)
      })
      it('ends what has been idle for too long, once, however many look', async () => {
        const idle = { idleTimeoutMs: seconds(1) }
        const [a, b] = [await world.replica(idle), await world.replica(idle)]
        const session = await created(a.store, {}, now())
        await b.store.open(session.cookie.reveal())
        const heard: SessionEnd[] = []
        a.store.onEnded((end) => heard.push(end))
        await world.pass(millis(1_200))
        const looked = await Promise.all([a, b, a, b].map(({ store }) => store.look(session.ref)))
        expect(looked).toEqual([1, 2, 3, 4].map(() => ({ kind: 'gone' })))
        const ends = [a, b].flatMap(({ recorder }) => recorder.events.filter(({ event }) => event === 'session.ended'))
        expect(ends).toEqual([expect.objectContaining({ reason: 'idle', stored: true, subject: 'alice', sessionRef: session.ref })])
        expect(heard).toHaveLength(1)
        expect(await a.store.refsOf(ALICE)).toEqual([])
      })
      it('finds an end elsewhere that this replica has not heard of', async () => {
        const { store, records } = await world.replica()
        const { ref } = await created(store, {}, now())
        await records.end(ref, 'user')
        expect(await store.look(ref)).toEqual({ kind: 'gone' })
      })
      it('tells one end of a session that the store itself forgot at its absolute end', async () => {
        const [a, b] = [await world.replica(), await world.replica()]
        const session = await created(a.store, { endsIn: millis(1_000) }, now())
        await b.store.open(session.cookie.reveal())
        await world.pass(millis(1_300))
        expect(await Promise.all([a, b].map(({ store }) => store.look(session.ref)))).toEqual([{ kind: 'gone' }, { kind: 'gone' }])
        const ends = [a, b].flatMap(({ recorder }) => recorder.events.filter(({ event }) => event === 'session.ended'))
        expect(ends).toEqual([expect.objectContaining({ reason: 'absolute' })])
      })
      it('knows nothing of a session that was never there', async () => {
        const { store } = await world.replica()
        expect(await store.look('a'.repeat(22) as never)).toEqual({ kind: 'gone' })
      })
    })

    it('all of a subject, or of one session at the provider, are found by name alone', async () => {
      const { store } = await world.replica()
      const first = await created(store, {}, now())
      const second = await created(store, { grant: { providerSessionId: 'provider-session-2' } }, now())
      const other = await created(store, { card: { subject: 'grace' }, grant: { providerSessionId: 'provider-session-3' } }, now())
      const all = await store.refsOf(ALICE)
      expect(all).toHaveLength(2)
      expect(all).toEqual(expect.arrayContaining([first.ref, second.ref]))
      expect(await store.refsOf(PROVIDER_SESSION)).toEqual([first.ref])
      expect(await store.refsOf({ ...ALICE, issuer: 'https://other.example' })).toEqual([])
      expect(await store.refsOf({ ...PROVIDER_SESSION, providerSessionId: 'provider-session-3' })).toEqual([other.ref])
      await store.end(first.ref, 'provider')
      expect(await store.refsOf(PROVIDER_SESSION)).toEqual([])
      expect(await store.refsOf(ALICE)).toEqual([second.ref])
    })

    it('what was claimed once is seen by all, and only under its purpose', async () => {
      const [a, b] = [await world.replica(), await world.replica()]
      expect(await b.once.seen('logout-jti', 'x')).toBe(false)
      await a.once.claim('revocation', 'x', minutes(1))
      expect(await b.once.seen('logout-jti', 'x')).toBe(false)
      expect(await a.once.claim('logout-jti', 'x', minutes(1))).toBe('first')
      expect(await b.once.seen('logout-jti', 'x')).toBe(true)
      expect(await b.once.claim('logout-jti', 'x', minutes(1))).toBe('again')
    })
  })
}
