import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SessionChange } from '../../src/domain/session.ts'
import type { SessionStore } from '../../src/domain/session-store.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { after, instant, millis, minutes, seconds } from '../../src/kernel/time.ts'
import { providerSessionIndex, subjectIndex } from '../../src/session/index-names.ts'
import type { NewRecord, SealedFields, SessionRecords, StoredSession } from '../../src/session/records.ts'
import { withBarriers } from '../harness/barriers.ts'
import { APP, CANARY, ISSUER, LEASE, aGrant, anAccessToken, created, aDraft, otherDataKey, until } from './session-store-kit.ts'
import type { World } from './session-store-kit.ts'

/** What every session store promises, on whatever it stands. */
export const sessionStoreContract = (name: string, open: () => Promise<World>): void => {
  describe(`session store on ${name}`, () => {
    let world: World
    beforeEach(async () => {
      world = await open()
    })
    afterEach(() => world.close())

    const text = (session: { readonly cookie: Secret<'session-cookie'> }): string => session.cookie.reveal()
    const now = () => (world.kind === 'memory' ? world.clock.now() : instant(Date.now()))
    const rotated = (n: number) => aGrant(now(), { refreshToken: Secret.of('refresh-token', `${CANARY.refresh}-${n}`) })

    describe('a session', () => {
      it('comes back whole by its cookie, on the replica that made it and on another', async () => {
        const [a, b] = [await world.replica(), await world.replica()]
        const session = await created(a.store, {}, now())
        for (const { store } of [a, b]) {
          const opened = await store.open(text(session))
          if (opened.kind !== 'found') throw new Error(opened.kind)
          expect(opened.held.session.card).toEqual(session.card)
          expect(opened.held.session.grant.claims).toEqual(session.grant.claims)
          expect(opened.held.session.grant.refreshToken?.reveal()).toBe(`${CANARY.refresh}-1`)
          expect(opened.held.session.grant.idToken?.reveal()).toBe(CANARY.id)
          expect([...opened.held.session.tokens.values()].map(({ token, scopes }) => [token.reveal(), scopes])).toEqual([
            [`${CANARY.access}-orders`, ['orders.read']],
          ])
          expect(opened.held.stale).toBe(false)
          expect(opened.held.session).toMatchObject({ gen: 1, rtGen: 1, ref: session.ref })
        }
      })
      it('is stored with its end also by a clock that tells fractions of a millisecond', async () => {
        const base = now()
        const { store, records } = await world.replica({ clock: { now: () => instant(base + 0.5), sleep: async () => {} } })
        const session = await created(store, {}, instant(base + 0.5))
        expect((await records.read(session.ref)).kind).toBe('found')
        if (world.raw) expect(await world.raw.pttl(world.keys.record(session.ref))).toBeGreaterThan(0)
        expect((await store.open(text(session))).kind).toBe('found')
      })
      it('is found without a question to the store once it is in memory, always as the same object', async () => {
        const { store } = await world.replica()
        const session = await created(store, {}, now())
        const held = store.peek(text(session), now())
        expect(held?.session.ref).toBe(session.ref)
        expect(store.peek(text(session), now())).toBe(held)
        expect(Object.isFrozen(held)).toBe(true)
        expect((await store.open(text(session))).kind).toBe('found')
        expect(store.peek(text(session), now())).toBe(held)
      })
      it('gets a new id and data key each time', async () => {
        const { store } = await world.replica()
        const cookies = await Promise.all(Array.from({ length: 20 }, () => created(store, {}, now()).then(text)))
        expect(new Set(cookies.map((cookie) => cookie.slice(0, 21))).size).toBe(20)
        expect(new Set(cookies.map((cookie) => cookie.slice(22))).size).toBe(20)
      })
      it.each([
        '',
        'x',
        'A'.repeat(63),
        'A'.repeat(65),
        `${'A'.repeat(63)}=`,
        `${'A'.repeat(63)}+`,
        ` ${'A'.repeat(63)}`,
        `${'A'.repeat(63)}\u00e9`,
      ])('is not found by the malformed cookie %j', async (cookie) => {
        const { store } = await world.replica()
        expect(store.peek(cookie, now())).toBeUndefined()
        expect(store.refOf(cookie)).toBeUndefined()
        expect(await store.open(cookie)).toEqual({ kind: 'absent' })
      })
      it('is absent when nobody ever made it', async () => {
        const { store } = await world.replica()
        expect(await store.open('A'.repeat(64))).toEqual({ kind: 'absent' })
      })
      it('names its ref from the cookie alone', async () => {
        const { store } = await world.replica()
        const session = await created(store, {}, now())
        expect(store.refOf(text(session))).toBe(session.ref)
        expect(session.ref).toMatch(/^[A-Za-z0-9_-]{22}$/)
      })
      it('does not open with another data key, hot or cold, and does not end by the attempt', async () => {
        const [hot, cold] = [await world.replica(), await world.replica()]
        const session = await created(hot.store, {}, now())
        const forged = otherDataKey(text(session))
        expect(hot.store.refOf(forged)).toBe(session.ref)
        expect(hot.store.peek(text(session), now())).toBeDefined()
        for (const { store, recorder } of [hot, cold]) {
          expect(store.peek(forged, now())).toBeUndefined()
          expect(await store.open(forged)).toEqual({ kind: 'absent' })
          expect(recorder.counts.get('sallyport_session_lookups_total unopened')).toBe(1)
          expect((await store.open(text(session))).kind).toBe('found')
        }
        expect(hot.store.peek(text(session), now())).toBeDefined()
      })
    })

    describe('a write', () => {
      it('with a grant moves both lineages, without one only gen', async () => {
        const { store } = await world.replica()
        const first = await created(store, {}, now())
        const second = await store.save(first, { grant: undefined, tokens: [anAccessToken('reports', now())] })
        if (second.kind !== 'saved') throw new Error(second.kind)
        expect(second.session.gen).toBeGreaterThan(first.gen)
        expect(second.session.rtGen).toBe(first.rtGen)
        const third = await store.save(second.session, { grant: rotated(2), tokens: [anAccessToken('orders', now(), 'newer')] })
        if (third.kind !== 'saved') throw new Error(third.kind)
        expect(third.session.gen).toBeGreaterThan(second.session.gen)
        expect(third.session.rtGen).toBeGreaterThan(first.rtGen)
        const opened = await store.reopen(first)
        if (opened.kind !== 'found') throw new Error(opened.kind)
        expect(opened.held.session.grant.refreshToken?.reveal()).toBe(`${CANARY.refresh}-2`)
        expect([...opened.held.session.tokens.values()].map(({ token }) => token.reveal()).sort()).toEqual([
          `${CANARY.access}-reports`,
          'newer',
        ])
        expect(store.peek(text(first), now())?.session.gen).toBe(third.session.gen)
      })
      it('of a token that was spent before is superseded, and changes nothing', async () => {
        const { store } = await world.replica()
        const first = await created(store, {}, now())
        expect((await store.save(first, { grant: rotated(2), tokens: [] })).kind).toBe('saved')
        expect(await store.save(first, { grant: rotated(3), tokens: [anAccessToken('late', now())] })).toEqual({ kind: 'superseded' })
        const opened = await store.reopen(first)
        if (opened.kind !== 'found') throw new Error(opened.kind)
        expect(opened.held.session.grant.refreshToken?.reveal()).toBe(`${CANARY.refresh}-2`)
        expect(opened.held.session.tokens.size).toBe(1)
      })
      it('of many with the same spent token: exactly one is saved', async () => {
        const replicas = await Promise.all(Array.from({ length: 3 }, () => world.replica()))
        const session = await created(replicas[0]!.store, {}, now())
        const results = await Promise.all(
          Array.from({ length: 60 }, (_, n) => replicas[n % 3]!.store.save(session, { grant: rotated(n + 2), tokens: [] })),
        )
        expect(results.filter(({ kind }) => kind === 'saved')).toHaveLength(1)
        expect(results.filter(({ kind }) => kind === 'superseded')).toHaveLength(59)
      })
      it('without a grant is stored although the refresh token moved, and reports what others stored meanwhile', async () => {
        const { store } = await world.replica()
        const first = await created(store, {}, now())
        const early = await store.save(first, { grant: rotated(2), tokens: [anAccessToken('a', now())] })
        const late = await store.save(first, { grant: undefined, tokens: [anAccessToken('b', now())] })
        if (late.kind !== 'saved' || early.kind !== 'saved') throw new Error(late.kind)
        expect(late.session.gen).toBeGreaterThan(early.session.gen)
        expect(late.session.rtGen).toBe(early.session.rtGen)
        expect(late.session.grant.refreshToken?.reveal()).toBe(`${CANARY.refresh}-2`)
        expect(late.session.tokens.size).toBe(3)
        expect(store.peek(text(first), now())?.session.tokens.size).toBe(3)
      })
      it('that its server lost is stored again by who made it, over what is older, over nothing newer, and where something is', async () => {
        if (world.kind === 'memory') return
        const [a, b] = [await world.replica(), await world.replica()]
        const session = await created(a.store, {}, now())
        const saved = await a.store.save(session, { grant: rotated(2), tokens: [] })
        if (saved.kind !== 'saved') throw new Error(saved.kind)
        const stored = await a.records.read(session.ref)
        if (stored.kind !== 'found') throw new Error(stored.kind)
        const { rtGen } = saved.session
        const fields: SealedFields = { grant: stored.stored.grant, tokens: new Map() }
        expect(await b.records.restore?.(session.ref, fields, rtGen - 1)).toBe('kept')
        expect(await b.records.restore?.(session.ref, fields, rtGen)).toBe('kept')
        expect(await a.records.read(session.ref)).toMatchObject({ stored: { gen: saved.session.gen, rtGen } })
        const heard: SessionChange[] = []
        a.store.onChange((change) => heard.push(change))
        expect(await b.records.restore?.(session.ref, fields, rtGen + 1)).toBe('restored')
        const after = await a.records.read(session.ref)
        if (after.kind !== 'found') throw new Error(after.kind)
        expect(after.stored.rtGen).toBe(rtGen + 1)
        await until(() => heard.some((change) => change.kind === 'written' && change.gen === after.stored.gen))
        await a.store.end(session.ref, 'user')
        expect(await b.records.restore?.(session.ref, fields, rtGen + 2)).toBe('absent')
        expect(await a.records.read(session.ref)).toEqual({ kind: 'ended', reason: 'user' })
      })
      it('cannot create: nothing but create makes a record, of a session that never was or that ended', async () => {
        const { store, records } = await world.replica()
        const session = await created(store, {}, now())
        const lease = await store.acquireLease(session.ref, LEASE)
        if (typeof lease === 'string') throw new Error(lease)
        await store.end(session.ref, 'user')
        const again = await store.acquireLease(session.ref, LEASE)
        if (typeof again === 'string') throw new Error(again)
        expect(await store.save(session, { grant: rotated(2), tokens: [] })).toEqual({ kind: 'absent', reason: 'user' })
        expect(await store.save(session, { grant: undefined, tokens: [anAccessToken('x', now())] })).toEqual({
          kind: 'absent',
          reason: 'user',
        })
        expect(await store.markSpending(again, session, millis(1000))).toEqual({ kind: 'absent' })
        const mark = { rtGen: 1, replica: 'r', sentAt: now(), timeoutMs: millis(1) }
        expect(await store.takeOverMark(again, session, mark, millis(1000))).toBe('absent')
        await store.clearMark(again, session)
        expect(await records.touch(session.ref, minutes(1))).toBe('gone')
        expect(await store.endIfUnrenewed(session, 'refresh-refused')).toBe('absent')
        expect(await records.read(session.ref)).toEqual({ kind: 'ended', reason: 'user' })
        const dump = await world.dump()
        expect(dump).not.toContain(world.keys.record(session.ref))
        expect(dump).not.toContain(world.keys.idle(session.ref))
      })
    })

    describe('an end', () => {
      it('is final, says why, and may come twice', async () => {
        const { store, recorder } = await world.replica()
        const session = await created(store, {}, now())
        expect(await store.end(session.ref, 'user')).toBe('ended')
        expect(await store.end(session.ref, 'admin')).toBe('absent')
        expect(store.peek(text(session), now())).toBeUndefined()
        expect(await store.open(text(session))).toEqual({ kind: 'ended', reason: 'user' })
        expect(await store.reopen(session)).toEqual({ kind: 'ended', reason: 'user' })
        expect(recorder.counts.get('sallyport_session_ended_total user')).toBe(1)
      })
      it('reaches another replica and takes its copy away', async () => {
        const [a, b] = [await world.replica(), await world.replica()]
        const session = await created(a.store, {}, now())
        await b.store.open(text(session))
        expect(b.store.peek(text(session), now())).toBeDefined()
        const heard: SessionChange[] = []
        b.store.onChange((change) => heard.push(change))
        await a.store.end(session.ref, 'admin')
        await until(() => heard.length > 0)
        expect(heard).toEqual([{ kind: 'ended', ref: session.ref, reason: 'admin' }])
        expect(b.store.peek(text(session), now())).toBeUndefined()
        expect(await b.store.open(text(session))).toEqual({ kind: 'ended', reason: 'admin' })
      })
      it('is heard once by the replica that made it', async () => {
        const { store } = await world.replica()
        const session = await created(store, {}, now())
        const heard: SessionChange[] = []
        store.onChange((change) => heard.push(change))
        await store.end(session.ref, 'user')
        const other = await created(store, {}, now())
        await until(() => heard.some(({ ref }) => ref === other.ref))
        expect(heard.filter(({ ref }) => ref === session.ref)).toEqual([{ kind: 'ended', ref: session.ref, reason: 'user' }])
      })
      it('of a refused refresh token spares a session that somebody renewed', async () => {
        const { store } = await world.replica()
        const first = await created(store, {}, now())
        const second = await store.save(first, { grant: rotated(2), tokens: [] })
        if (second.kind !== 'saved') throw new Error(second.kind)
        expect(await store.endIfUnrenewed(first, 'refresh-refused')).toBe('superseded')
        expect((await store.open(text(first))).kind).toBe('found')
        expect(await store.endIfUnrenewed(second.session, 'refresh-refused')).toBe('ended')
        expect(await store.open(text(first))).toEqual({ kind: 'ended', reason: 'refresh-refused' })
      })
      it('takes the session out of its indexes', async () => {
        const { store, records } = await world.replica()
        const session = await created(store, {}, now())
        const indexes = [
          providerSessionIndex(world.sealer, APP, ISSUER, 'provider-session-1'),
          subjectIndex(world.sealer, APP, ISSUER, 'alice'),
        ]
        for (const index of indexes) expect(await records.refsOf(index)).toEqual([session.ref])
        await store.end(session.ref, 'user')
        for (const index of indexes) expect(await records.refsOf(index)).toEqual([])
      })
      it('of a session that is not there yet keeps it from being made', async () => {
        const { records } = await world.replica()
        const ref = 'a'.repeat(22) as NewRecord['ref']
        expect(await records.end(ref, 'provider')).toEqual({ kind: 'absent', indexes: [], isFirst: true })
        const record = {
          ref,
          card: 'c',
          grant: 'g',
          tokens: new Map(),
          endsAt: after(now(), minutes(1)),
          idleTimeoutMs: minutes(1),
          indexes: [],
        }
        expect(await records.create(record)).toBe('taken')
        expect(await records.read(ref)).toEqual({ kind: 'ended', reason: 'provider' })
      })
    })

    describe('a logout between the read and the write of a refresh', () => {
      const race = async (between: (records: SessionRecords) => SessionRecords) => {
        const barriers: { hold?: ReturnType<typeof withBarriers<SessionRecords>>['hold'] } = {}
        const refreshing = await world.replica({
          between: (records) => {
            const gated = withBarriers(between(records))
            barriers.hold = gated.hold
            return gated.port
          },
        })
        const elsewhere = await world.replica()
        const session = await created(refreshing.store, {}, now())
        await refreshing.store.reopen(session)
        const barrier = barriers.hold!('save', 'before')
        const saving = refreshing.store.save(session, { grant: rotated(2), tokens: [anAccessToken('orders', now(), 'after-logout')] })
        await barrier.reached
        expect(await elsewhere.store.end(session.ref, 'user')).toBe('ended')
        barrier.release()
        const saved = await saving
        const stored = await refreshing.records.read(session.ref)
        return { saved, stored: stored.kind, opened: (await refreshing.store.reopen(session)).kind }
      }
      it('stays final', async () => {
        expect(await race((records) => records)).toEqual({ saved: { kind: 'absent', reason: 'user' }, stored: 'ended', opened: 'ended' })
      })
      it('would not stay final without the guard (test of the test)', async () => {
        const { saved, stored } = await race(withoutGuard)
        expect(saved.kind).toBe('saved')
        expect(stored).toBe('found')
      })
    })

    describe('memory', () => {
      it('does not take an ended session back from a read that was under way', async () => {
        const barriers: { hold?: ReturnType<typeof withBarriers<SessionRecords>>['hold'] } = {}
        const slow = await world.replica({
          between: (records) => {
            const gated = withBarriers(records)
            barriers.hold = gated.hold
            return gated.port
          },
        })
        const other = await world.replica()
        const session = await created(other.store, {}, now())
        const barrier = barriers.hold!('read', 'after')
        const opening = slow.store.open(text(session))
        await barrier.reached
        const heard: SessionChange[] = []
        slow.store.onChange((change) => heard.push(change))
        await other.store.end(session.ref, 'user')
        await until(() => heard.length > 0)
        barrier.release()
        expect(await opening).toEqual({ kind: 'ended', reason: 'user' })
        expect(slow.store.peek(text(session), now())).toBeUndefined()
      })
      it('does not keep a generation older than one it heard of during the read', async () => {
        const barriers: { hold?: ReturnType<typeof withBarriers<SessionRecords>>['hold'] } = {}
        const slow = await world.replica({
          between: (records) => {
            const gated = withBarriers(records)
            barriers.hold = gated.hold
            return gated.port
          },
        })
        const other = await world.replica()
        const session = await created(other.store, {}, now())
        const barrier = barriers.hold!('read', 'after')
        const opening = slow.store.open(text(session))
        await barrier.reached
        const heard: SessionChange[] = []
        slow.store.onChange((change) => heard.push(change))
        const saved = await other.store.save(session, { grant: rotated(2), tokens: [] })
        await until(() => heard.length > 0)
        barrier.release()
        await opening
        expect(slow.store.peek(text(session), now())).toBeUndefined()
        await slow.store.open(text(session))
        expect(slow.store.peek(text(session), now())?.session.gen).toBe(saved.kind === 'saved' && saved.session.gen)
      })
      it('drops a copy that another replica has written over', async () => {
        const [a, b] = [await world.replica(), await world.replica()]
        const session = await created(a.store, {}, now())
        await b.store.open(text(session))
        const saved = await a.store.save(session, { grant: rotated(2), tokens: [] })
        await until(() => b.store.peek(text(session), now()) === undefined)
        expect(a.store.peek(text(session), now())?.session.gen).toBe(saved.kind === 'saved' && saved.session.gen)
      })
      it('is bounded in entries', async () => {
        const { store } = await world.replica({ entriesMax: 5 })
        const sessions = await Promise.all(Array.from({ length: 12 }, () => created(store, {}, now())))
        expect(sessions.filter((session) => store.peek(text(session), now()) !== undefined)).toHaveLength(5)
      })
      it('is bounded in bytes', async () => {
        const { store } = await world.replica({ bytesMax: 40_000 })
        const large = anAccessToken('orders', now(), 'x'.repeat(4_000))
        const sessions = await Promise.all(Array.from({ length: 12 }, () => created(store, { tokens: [large] }, now())))
        const held = sessions.filter((session) => store.peek(text(session), now()) !== undefined).length
        expect(held).toBeGreaterThan(0)
        expect(held).toBeLessThan(5)
        const [first] = sessions
        expect((await store.open(text(first!))).kind).toBe('found')
      })
    })

    describe('time', () => {
      it('ends a session that nobody used for the idle timeout, and says so', async () => {
        const { store, recorder } = await world.replica({ idleTimeoutMs: seconds(2) })
        const session = await created(store, {}, now())
        expect((await store.open(text(session))).kind).toBe('found')
        await world.pass(millis(2_100))
        expect(store.peek(text(session), now())).toBeUndefined()
        expect(await store.open(text(session))).toEqual({ kind: 'ended', reason: 'idle' })
        expect(recorder.events).toContainEqual(expect.objectContaining({ event: 'session.ended', reason: 'idle', sessionRef: session.ref }))
      })
      it('does not idle out a session in use, on any replica', async () => {
        const request = { idleTimeoutMs: seconds(2) }
        const [a, b] = [await world.replica(request), await world.replica(request)]
        const session = await created(a.store, {}, now())
        for (let i = 0; i < 3; i += 1) {
          await world.pass(millis(1_000))
          const opened = await a.store.open(text(session))
          if (opened.kind !== 'found') throw new Error(opened.kind)
          a.store.touch(opened.held, now())
        }
        expect((await b.store.open(text(session))).kind).toBe('found')
      })
      it('touches the store once for many requests', async () => {
        let touches = 0
        const { store } = await world.replica({
          idleTimeoutMs: seconds(4),
          between: (records) => ({ ...records, touch: (...args) => ((touches += 1), records.touch(...args)) }),
        })
        const session = await created(store, {}, now())
        await world.pass(millis(1_100))
        for (let i = 0; i < 50; i += 1) store.touch(store.peek(text(session), now())!, now())
        expect(touches).toBe(1)
      })
      it('ends a session at its absolute end, in use or not', async () => {
        const { store } = await world.replica()
        const session = await created(store, { endsIn: seconds(2) }, now())
        expect(store.peek(text(session), now())).toBeDefined()
        await world.pass(millis(2_100))
        expect(store.peek(text(session), now())).toBeUndefined()
        expect(await store.open(text(session))).toEqual({ kind: 'ended', reason: 'absolute' })
        expect(await store.save(session, { grant: rotated(2), tokens: [] })).toEqual({ kind: 'absent', reason: 'absolute' })
      })
    })

    describe('a lease', () => {
      const leased = async (store: SessionStore, ref: Parameters<SessionStore['acquireLease']>[0], length = LEASE) => {
        const lease = await store.acquireLease(ref, length)
        if (typeof lease === 'string') throw new Error(lease)
        return lease
      }
      it('has one holder in the fleet, until it is released', async () => {
        const [a, b] = [await world.replica(), await world.replica()]
        const { ref } = await created(a.store, {}, now())
        const results = await Promise.all(Array.from({ length: 30 }, (_, n) => (n % 2 ? a : b).store.acquireLease(ref, LEASE)))
        const [mine] = results.filter((result) => typeof result === 'object')
        expect(results.filter((result) => result === 'held')).toHaveLength(29)
        await b.store.releaseLease({ ref, fence: 'somebody-else' })
        expect(await b.store.acquireLease(ref, LEASE)).toBe('held')
        await a.store.releaseLease(mine!)
        expect(await b.store.acquireLease(ref, LEASE)).toMatchObject({ ref })
      })
      it('that ran out can neither be renewed nor mark nor release its successor', async () => {
        const { store } = await world.replica()
        const session = await created(store, {}, now())
        const old = await leased(store, session.ref, seconds(1))
        expect(await store.renewLease(old, seconds(1))).toBe('renewed')
        await world.pass(millis(1_100))
        expect(await store.renewLease(old, LEASE)).toBe('lost')
        expect(await store.markSpending(old, session, millis(1000))).toEqual({ kind: 'lease-lost' })
        const next = await leased(store, session.ref)
        await store.releaseLease(old)
        expect(await store.acquireLease(session.ref, LEASE)).toBe('held')
        expect(await store.markSpending(old, session, millis(1000))).toEqual({ kind: 'lease-lost' })
        expect(await store.markSpending(next, session, millis(1000))).toEqual({ kind: 'marked' })
      })
      it('marks once; whoever comes later finds who sent and when', async () => {
        const [a, b] = [await world.replica(), await world.replica()]
        const session = await created(a.store, {}, now())
        const lease = await leased(a.store, session.ref)
        expect(await a.store.markSpending(lease, session, millis(7_000))).toEqual({ kind: 'marked' })
        await a.store.releaseLease(lease)
        const found = await b.store.markSpending(await leased(b.store, session.ref), session, millis(9_000))
        if (found.kind !== 'found') throw new Error(found.kind)
        expect(found.mark).toMatchObject({ rtGen: 1, replica: 'replica-1', timeoutMs: 7_000 })
        expect(found.now).toBeGreaterThanOrEqual(found.mark.sentAt)
        expect(Math.abs(found.now - now())).toBeLessThan(60_000)
      })
      it('clears its own mark and no other', async () => {
        const { store } = await world.replica()
        const session = await created(store, {}, now())
        const first = await leased(store, session.ref)
        await store.markSpending(first, session, millis(1))
        await store.releaseLease(first)
        const second = await leased(store, session.ref)
        await store.clearMark(second, session)
        const found = await store.markSpending(second, session, millis(1))
        expect(found.kind).toBe('found')
        await store.clearMark(first, session)
        expect(await store.markSpending(second, session, millis(1))).toEqual({ kind: 'marked' })
      })
      it('does not mark a refresh token that somebody has rotated, and a save clears the mark', async () => {
        const { store } = await world.replica()
        const first = await created(store, {}, now())
        const lease = await leased(store, first.ref)
        await store.markSpending(lease, first, millis(1))
        const second = await store.save(first, { grant: rotated(2), tokens: [] })
        if (second.kind !== 'saved') throw new Error(second.kind)
        expect(await store.markSpending(lease, first, millis(1))).toEqual({ kind: 'superseded' })
        expect(await store.markSpending(lease, second.session, millis(1))).toEqual({ kind: 'marked' })
      })
      it('puts back the mark it took the place of when nothing was sent, and then no recovery was made', async () => {
        const { store } = await world.replica()
        const session = await created(store, {}, now())
        const lease = await leased(store, session.ref)
        await store.markSpending(lease, session, millis(5))
        const found = await store.markSpending(lease, session, millis(6))
        if (found.kind !== 'found') throw new Error(found.kind)
        expect(await store.takeOverMark(lease, session, found.mark, millis(7))).toBe('taken')
        await store.clearMark(lease, session, found.mark)
        const again = await store.markSpending(lease, session, millis(8))
        if (again.kind !== 'found') throw new Error(again.kind)
        expect(again.mark).toEqual(found.mark)
        await store.clearMark(lease, session)
        expect((await store.markSpending(lease, session, millis(8))).kind).toBe('found') // of nobody's fence
        expect(await store.takeOverMark(lease, session, again.mark, millis(9))).toBe('taken')
      })
      it('takes over exactly the mark it found, once per refresh token, also after a clear', async () => {
        const { store } = await world.replica()
        const session = await created(store, {}, now())
        const lease = await leased(store, session.ref)
        await store.markSpending(lease, session, millis(5))
        const found = await store.markSpending(lease, session, millis(5))
        if (found.kind !== 'found') throw new Error(found.kind)
        expect(await store.takeOverMark(lease, session, { ...found.mark, sentAt: instant(1) }, millis(5))).toBe('superseded')
        expect(await store.takeOverMark({ ...lease, fence: 'lost' }, session, found.mark, millis(5))).toBe('lease-lost')
        expect(await store.takeOverMark(lease, session, found.mark, millis(6))).toBe('taken')
        const mine = await store.markSpending(lease, session, millis(5))
        if (mine.kind !== 'found') throw new Error(mine.kind)
        expect(mine.mark.timeoutMs).toBe(6)
        expect(await store.takeOverMark(lease, session, mine.mark, millis(7))).toBe('recovered-before')
        await store.clearMark(lease, session)
        await store.markSpending(lease, session, millis(8))
        const again = await store.markSpending(lease, session, millis(9))
        if (again.kind !== 'found') throw new Error(again.kind)
        expect(await store.takeOverMark(lease, session, again.mark, millis(9))).toBe('recovered-before')
        // By a provider that forgives, and then the mark is of the one who sends now.
        expect(await store.takeOverMark(lease, session, again.mark, millis(10), true)).toBe('taken')
        expect(await store.markSpending(lease, session, millis(5))).toMatchObject({ kind: 'found', mark: { timeoutMs: 10 } })
        const saved = await store.save(session, { grant: rotated(2), tokens: [] })
        if (saved.kind !== 'saved') throw new Error(saved.kind)
        await store.markSpending(lease, saved.session, millis(1))
        const fresh = await store.markSpending(lease, saved.session, millis(1))
        if (fresh.kind !== 'found') throw new Error(fresh.kind)
        expect(await store.takeOverMark(lease, saved.session, fresh.mark, millis(1))).toBe('taken')
      })
      it('of many who take over the same mark: exactly one', async () => {
        const { store } = await world.replica()
        const session = await created(store, {}, now())
        const lease = await leased(store, session.ref)
        await store.markSpending(lease, session, millis(5))
        const found = await store.markSpending(lease, session, millis(5))
        if (found.kind !== 'found') throw new Error(found.kind)
        const results = await Promise.all(
          Array.from({ length: 20 }, (_, n) => store.takeOverMark(lease, session, found.mark, millis(100 + n))),
        )
        expect(results.filter((result) => result === 'taken')).toHaveLength(1)
      })
    })

    describe('a logout at the provider that races a login', () => {
      const iss = providerSessionIndexOf
      it.each(['before the index', 'after the record'] as const)('wins %s, and no cookie may be set', async (when) => {
        const barriers: { hold?: ReturnType<typeof withBarriers<SessionRecords>>['hold'] } = {}
        const { store, records, recorder } = await world.replica({
          between: (inner) => {
            const gated = withBarriers(inner)
            barriers.hold = gated.hold
            return gated.port
          },
        })
        const other = await world.replica()
        const barrier = when === 'before the index' ? barriers.hold!('addToIndex', 'before') : barriers.hold!('create', 'after')
        const signingIn = store.create(aDraft(now()))
        await barrier.reached
        await other.records.entomb(iss(world), now())
        barrier.release()
        expect(await signingIn).toEqual({ kind: 'ended-meanwhile' })
        expect(await records.refsOf(subjectIndex(world.sealer, APP, ISSUER, 'alice'))).toEqual([])
        expect(recorder.events).toContainEqual(expect.objectContaining({ event: 'session.ended', reason: 'login-raced' }))
      })
      it('wins between index and record by the ref', async () => {
        const barriers: { hold?: ReturnType<typeof withBarriers<SessionRecords>>['hold'] } = {}
        const { store } = await world.replica({
          between: (inner) => {
            const gated = withBarriers(inner)
            barriers.hold = gated.hold
            return gated.port
          },
        })
        const other = await world.replica()
        const barrier = barriers.hold!('create', 'before')
        const signingIn = store.create(aDraft(now()))
        await barrier.reached
        const refs = await other.records.refsOf(iss(world))
        if (refs === 'unavailable') throw new Error(refs)
        expect(refs).toHaveLength(1)
        for (const ref of refs) await other.store.end(ref, 'provider')
        barrier.release()
        expect(await signingIn).toEqual({ kind: 'ended-meanwhile' })
        expect((await other.records.read(refs[0]!)).kind).toBe('ended')
      })
      it.each`
        authenticated | loggedOut | outcome              | because
        ${-60}        | ${0}      | ${'ended-meanwhile'} | ${'the sign-in is older than the logout'}
        ${2}          | ${0}      | ${'ended-meanwhile'} | ${'within the skew of two seconds'}
        ${3}          | ${0}      | ${'created'}         | ${'the user has signed in anew'}
      `('of a subject: $outcome, $because', async ({ authenticated, loggedOut, outcome }: Record<string, number | string>) => {
        const { store, records } = await world.replica()
        const base = Math.floor(now() / 1000)
        await records.entomb(subjectIndex(world.sealer, APP, ISSUER, 'alice'), instant((base + Number(loggedOut)) * 1000))
        const claims = { sub: 'alice', iat: base + 999, auth_time: base + Number(authenticated) }
        expect((await store.create(aDraft(now(), { grant: { claims } }))).kind).toBe(outcome)
      })
      it('of a subject ends a sign-in whose ID token tells no time', async () => {
        const { store, records } = await world.replica()
        await records.entomb(subjectIndex(world.sealer, APP, ISSUER, 'alice'), now())
        expect((await store.create(aDraft(now(), { grant: { claims: { sub: 'alice' } } }))).kind).toBe('ended-meanwhile')
      })
      it('leaves other subjects, issuers and provider sessions alone', async () => {
        const { store, records } = await world.replica()
        await records.entomb(subjectIndex(world.sealer, APP, ISSUER, 'grace'), now())
        await records.entomb(subjectIndex(world.sealer, APP, 'https://other.example', 'alice'), now())
        await records.entomb(providerSessionIndex(world.sealer, APP, ISSUER, 'provider-session-2'), now())
        expect((await store.create(aDraft(now()))).kind).toBe('created')
      })
    })

    describe('once', () => {
      it('that was given back is claimed anew by exactly one of many', async () => {
        const [a, b] = [await world.replica(), await world.replica()]
        expect(await a.once.claim('state', 'given-back', minutes(10))).toBe('first')
        await a.once.release('state', 'given-back')
        const claims = await Promise.all(
          Array.from({ length: 20 }, (_, n) => (n % 2 ? a : b).once.claim('state', 'given-back', minutes(10))),
        )
        expect(claims.filter((claim) => claim === 'first')).toHaveLength(1)
      })

      it('is claimed first by exactly one of many', async () => {
        const [a, b] = [await world.replica(), await world.replica()]
        const claims = await Promise.all(Array.from({ length: 50 }, (_, n) => (n % 2 ? a : b).once.claim('state', 'digest', minutes(10))))
        expect(claims.filter((claim) => claim === 'first')).toHaveLength(1)
        expect(claims.filter((claim) => claim === 'again')).toHaveLength(49)
        expect(await a.once.claim('state', 'another', minutes(10))).toBe('first')
      })
      it('is forgotten after its time', async () => {
        const { once } = await world.replica()
        expect(await once.claim('state', 'digest', seconds(1))).toBe('first')
        await world.pass(millis(1_100))
        expect(await once.claim('state', 'digest', seconds(1))).toBe('first')
      })
      it('hands a record to exactly one of many takers', async () => {
        const { once } = await world.replica()
        expect(await once.put('logout-continue', 'name', 'sealed', minutes(1))).toBe('stored')
        const taken = await Promise.all(Array.from({ length: 20 }, () => once.take('logout-continue', 'name')))
        expect(taken.filter((value) => value === 'sealed')).toHaveLength(1)
        expect(taken.filter((value) => value === 'absent')).toHaveLength(19)
      })
      it('does not hand out a record after its time', async () => {
        const { once } = await world.replica()
        await once.put('logout-continue', 'name', 'sealed', seconds(1))
        await world.pass(millis(1_100))
        expect(await once.take('logout-continue', 'name')).toBe('absent')
      })
    })

    it('knows until when each sealing key is needed', async () => {
      const { store, records } = await world.replica()
      const session = await created(store, { endsIn: minutes(600) }, now())
      await created(store, { endsIn: minutes(60) }, now())
      const usage = await records.keyUsage()
      if (usage === 'unavailable') throw new Error(usage)
      expect(usage.size).toBe(1)
      const [until] = usage.values()
      expect(until).toBeGreaterThanOrEqual(session.card.endsAt)
      expect(until).toBeLessThanOrEqual(session.card.endsAt + 60_000)
    })
  })
}

const providerSessionIndexOf = (world: World) => providerSessionIndex(world.sealer, APP, ISSUER, 'provider-session-1')

/** A store as it is often written: read the record, write it back whole. For tests of the tests. */
const withoutGuard = (records: SessionRecords): SessionRecords => {
  const read = new Map<string, StoredSession>()
  const written = new Map<string, StoredSession>()
  return {
    ...records,
    read: async (ref) => {
      const back = written.get(ref)
      if (back) return { kind: 'found', stored: back, idleForMs: millis(0) }
      const result = await records.read(ref)
      if (result.kind === 'found') read.set(ref, result.stored)
      return result
    },
    save: async (ref, fields: SealedFields) => {
      const before = read.get(ref)
      if (!before) return { kind: 'absent', reason: undefined }
      const next = { ...before, ...fields, gen: before.gen + 1, rtGen: before.rtGen + 1 }
      written.set(ref, next)
      return { kind: 'saved', gen: next.gen, rtGen: next.rtGen, before: before.gen }
    },
  }
}
