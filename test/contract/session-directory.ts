import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SessionDirectory, SessionPage } from '../../src/domain/session-directory.ts'
import type { SessionRef } from '../../src/domain/session.ts'
import { instant, millis, minutes } from '../../src/kernel/time.ts'
import { createSessionDirectory } from '../../src/session/directory.ts'
import { operatorTombstone, subjectIndex } from '../../src/session/index-names.ts'
import type { SessionRecords } from '../../src/session/records.ts'
import { withBarriers } from '../harness/barriers.ts'
import { APP, aDraft, CANARY, created, ISSUER, until } from './session-store-kit.ts'
import type { DraftRequest, World } from './session-store-kit.ts'

const ALICE = { issuer: ISSUER, subject: 'alice' }

/** What operators and "my sessions" look through, on whatever the store stands. */
export const sessionDirectoryContract = (name: string, open: () => Promise<World>): void => {
  describe(`session directory on ${name}`, () => {
    let world: World
    beforeEach(async () => {
      world = await open()
    })
    afterEach(() => world.close())

    const now = () => (world.kind === 'memory' ? world.clock.now() : instant(Date.now()))
    const directoryOf = (records: SessionRecords, idleTimeoutMs = minutes(60)): SessionDirectory =>
      createSessionDirectory({ records, sealer: world.sealer, app: APP, clock: { now, sleep: async () => {} }, idleTimeoutMs })
    const all = async (
      directory: SessionDirectory,
      between: () => Promise<void> = async () => {},
      begin?: string,
    ): Promise<SessionPage> => {
      const sessions: SessionPage['sessions'][number][] = []
      let unreadable = 0
      let cursor = begin
      do {
        const page = await directory.step(cursor)
        if (page === 'unavailable') throw new Error(page)
        sessions.push(...page.sessions)
        unreadable += page.unreadable
        cursor = page.next
        await between()
      } while (cursor !== undefined)
      return { sessions, unreadable, next: undefined }
    }
    const some = async (
      count: number,
      request?: (at: number) => DraftRequest,
    ): Promise<{ refs: Set<SessionRef>; records: SessionRecords }> => {
      const { store, records } = await world.replica()
      const refs = new Set<SessionRef>()
      for (let at = 0; at < count; at += 1) refs.add((await created(store, request?.(at), now())).ref)
      return { refs, records }
    }

    it('meets every session that is there throughout, however many steps it takes, while others come and go', {
      timeout: 60_000,
    }, async () => {
      const { refs, records } = await some(1_200)
      const { store } = await world.replica()
      const directory = directoryOf(records)
      const leaving = [...refs].slice(0, 100)
      let steps = 0
      const met = await all(directory, async () => {
        steps += 1
        const ref = leaving.pop()
        if (ref === undefined) return
        refs.delete(ref)
        await store.end(ref, 'admin')
        await created(store, {}, now())
      })
      expect(steps).toBeGreaterThan(2)
      const seen = new Set(met.sessions.map(({ card }) => card.ref))
      expect([...refs].filter((ref) => !seen.has(ref))).toEqual([])
      expect(met.unreadable).toBe(0)
    })
    it('meets nothing but records: no tombstone, no index, no session of another application', async () => {
      const { refs, records } = await some(3)
      const { store } = await world.replica()
      const [first = '' as SessionRef] = refs
      await store.end(first, 'admin')
      await store.end('never-there-at-all-0001' as SessionRef, 'admin')
      await world.raw?.hset(world.keys.record(first).replace(`{${APP}.`, '{another.'), 'card', 'x')
      await world.raw?.hset(`${world.keys.record(first)}x`, 'card', 'x')
      refs.delete(first)
      expect((await all(directoryOf(records))).sessions.map(({ card }) => card.ref).sort()).toEqual([...refs].sort())
    })
    it('begins anew on a cursor that leads nowhere, rather than skip what it has not met', async () => {
      const { refs, records } = await some(2)
      const met = await all(directoryOf(records), undefined, '1.1-2-12345')
      expect(new Set(met.sessions.map(({ card }) => card.ref))).toEqual(refs)
    })
    it('tells who, since when, until when and from where, and opens no token', async () => {
      const { refs, records } = await some(1)
      const [ref = '' as SessionRef] = refs
      const found = await directoryOf(records).find(ref)
      if (typeof found === 'string') throw new Error(found)
      expect(found.card).toMatchObject({
        ref,
        subject: 'alice',
        tenant: 'tenant-1',
        browser: 'Firefox on Linux',
        address: '203.0.113.0/24',
      })
      expect(Math.abs(found.lastSeenAt - now())).toBeLessThan(5_000)
      const told = JSON.stringify(found)
      for (const secret of Object.values(CANARY)) expect(told).not.toContain(secret)
    })
    it('finds a subject by its index only: nobody else, and none that has ended', async () => {
      const { store, records } = await world.replica()
      const mine = await created(store, {}, now())
      const ended = await created(store, {}, now())
      const bobs = await created(store, { card: { subject: 'bob' } }, now())
      await store.end(ended.ref, 'user')
      const directory = directoryOf(records)
      const page = await directory.ofSubject(ALICE, undefined)
      expect(page !== 'unavailable' && page.sessions.map(({ card }) => card.ref)).toEqual([mine.ref])
      expect(await directory.isOfSubject(ALICE, mine.ref)).toBe(true)
      expect(await directory.isOfSubject(ALICE, bobs.ref)).toBe(false)
      expect(await directory.isOfSubject(ALICE, ended.ref)).toBe(false)
      expect(await directory.isOfSubject({ ...ALICE, issuer: 'https://other.example' }, mine.ref)).toBe(false)
    })
    it('pages through a subject with very many sessions, each once, though some end meanwhile', { timeout: 90_000 }, async () => {
      const { refs, records } = await some(250)
      const { store } = await world.replica()
      const directory = directoryOf(records)
      const seen: SessionRef[] = []
      let cursor: string | undefined
      do {
        const page = await directory.ofSubject(ALICE, cursor)
        if (page === 'unavailable') throw new Error(page)
        seen.push(...page.sessions.map(({ card }) => card.ref))
        cursor = page.next
        await Promise.all(seen.slice(0, 20).map((ref) => store.end(ref, 'admin')))
      } while (cursor !== undefined)
      expect(seen.sort()).toEqual([...refs].sort())
    })
    it('leaves out what is idle or over, although nobody has come to notice', async () => {
      const { records } = await some(2)
      await world.pass(millis(60))
      const directory = directoryOf(records, millis(50))
      expect((await all(directory)).sessions).toEqual([])
      expect(await directory.ofSubject(ALICE, undefined)).toMatchObject({ sessions: [], unreadable: 0 })
    })
    it('forgets a ref that a crash left in an index, and only that', async () => {
      const { refs, records } = await some(1)
      const left = 'left-behind-by-a-crash' as SessionRef
      await records.addToIndex(subjectIndex(world.sealer, APP, ISSUER, 'alice'), left, instant(now() + 60_000))
      const directory = directoryOf(records)
      expect(await directory.isOfSubject(ALICE, left)).toBe(true)
      await directory.forget(ALICE, left)
      expect(await directory.isOfSubject(ALICE, left)).toBe(false)
      for (const ref of refs) expect(await directory.isOfSubject(ALICE, ref)).toBe(true)
    })
    it('counts what does not open, and says nothing of it', async () => {
      const { refs, records } = await some(1)
      const broken: SessionRecords = {
        ...records,
        card: async (ref) => {
          const read = await records.card(ref)
          return read.kind === 'found' ? { ...read, card: `${read.card.slice(0, -8)}AAAAAAAA` } : read
        },
      }
      expect(await all(directoryOf(broken))).toEqual({ sessions: [], unreadable: 1, next: undefined })
      for (const ref of refs) expect(await directoryOf(broken).find(ref)).toBe('unreadable')
    })

    // The login has redeemed its code and put its ref into the index after the operator's command had read it: nothing but the tombstone can tell it.
    it('ends a sign-in that comes to its end while its subject is being ended, and nobody else’s', async () => {
      const { records } = await world.replica()
      const barriers: { hold?: ReturnType<typeof withBarriers<SessionRecords>>['hold'] } = {}
      const racing = await world.replica({
        between: (inner) => {
          const gated = withBarriers(inner)
          barriers.hold = gated.hold
          return gated.port
        },
      })
      const barrier = barriers.hold!('create', 'before')
      const login = racing.store.create(aDraft(now()))
      await barrier.reached
      expect(await directoryOf(records).endSignIns('default', 'alice')).toBe('stored')
      barrier.release()
      expect(await login).toEqual({ kind: 'ended-meanwhile' })
      expect((await racing.store.create(aDraft(now(), { card: { subject: 'bob' } }))).kind).toBe('created')
      expect((await racing.store.create(aDraft(now(), { card: { provider: 'another' } }))).kind).toBe('created')
    })
    it('ends a sign-in on its way to its record when sessions of whoever it is are ended, and none that began later or is younger than meant', async () => {
      const { records } = await world.replica()
      const barriers: { hold?: ReturnType<typeof withBarriers<SessionRecords>>['hold'] } = {}
      const racing = await world.replica({
        between: (inner) => {
          const gated = withBarriers(inner)
          barriers.hold = gated.hold
          return gated.port
        },
      })
      const barrier = barriers.hold!('create', 'before')
      const login = racing.store.create(aDraft(now()))
      await barrier.reached
      const directory = directoryOf(records)
      // Of those older than an hour: this one is not.
      expect(await directory.endSignInsUntil(instant(now() - 3_600_000))).toBe('stored')
      expect((await racing.store.create(aDraft(now()))).kind).toBe('created')
      // Of a time to come no more than clocks may differ.
      expect(await directory.endSignInsUntil(instant(now() + 3_600_000))).toBe('stored')
      barrier.release()
      expect(await login).toEqual({ kind: 'ended-meanwhile' })
      expect((await racing.store.create(aDraft(instant(now() + 2_000)))).kind).toBe('created')
    })
    it('lets the subject in again half a minute later, whatever the provider says of when it saw the password', async () => {
      const { store, records } = await world.replica()
      await directoryOf(records).endSignIns('default', 'alice')
      if (world.kind === 'memory') await world.pass(millis(30_001))
      else {
        if (!world.raw) return // a Cluster: the same command on one of its servers
        const key = world.keys.indexTombstone(operatorTombstone(world.sealer, APP, 'default', 'alice'))
        const left = await world.raw.pttl(key)
        expect([left > 20_000, left <= 30_000]).toEqual([true, true])
        await world.raw.pexpire(key, 1)
        await until(async () => (await world.raw?.exists(key)) === 0)
      }
      const hourAgo = Math.floor(now() / 1000) - 3_600
      expect((await store.create(aDraft(now(), { grant: { claims: { sub: 'alice', auth_time: hourAgo } } }))).kind).toBe('created')
    })
  })
}
