import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AuditEvent } from '../../src/domain/audit-event.ts'
import type { LogoutTokenRead } from '../../src/domain/provider.ts'
import type { OnceStore, SessionStore } from '../../src/domain/session-store.ts'
import { backchannelLogout, type LogoutNotice } from '../../src/flows/backchannel-logout.ts'
import { frontchannelLogout } from '../../src/flows/frontchannel-logout.ts'
import { createMinuteLimit } from '../../src/flows/minute-limit.ts'
import { queryOf } from '../../src/flows/query.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { after, instant, millis, minutes, seconds } from '../../src/kernel/time.ts'
import type { Instant } from '../../src/kernel/time.ts'
import { profileOf } from '../../src/provider/profiles.ts'
import type { SessionRecords } from '../../src/session/records.ts'
import { withBarriers, type Barriers } from '../harness/barriers.ts'
import { aDraft, created, ISSUER, until, type Replica, type World } from './session-store-kit.ts'

const VISITOR = { requestId: 'request-1', address: '192.0.2.7', userAgent: undefined }
const TOKEN = Secret.of('logout-token', 'CANARY-logout-token')
type Valid = Extract<LogoutTokenRead, { kind: 'valid' }>

/** The flows of both channels over a real store, with a provider whose verdict on the token is the test's to give. */
export const logoutNoticesContract = (name: string, makeWorld: () => Promise<World>): void => {
  describe(`logouts told by the provider, in ${name}`, () => {
    let world: World
    beforeEach(async () => {
      world = await makeWorld()
    })
    afterEach(async () => world.close())
    const now = (): Instant => (world.kind === 'memory' ? world.clock.now() : instant(Date.now()))

    const token = (over: Partial<Valid> = {}): Valid => ({
      kind: 'valid',
      issuer: ISSUER,
      subject: 'alice',
      providerSessionId: 'provider-session-1',
      tokenId: 'jti-1',
      issuedAt: now(),
      ...over,
    })
    const bySubject = (over: Partial<Valid> = {}): Valid => token({ providerSessionId: undefined, ...over })
    const tell = (
      { store, once, recorder }: Pick<Replica, 'store' | 'once' | 'recorder'>,
      read: LogoutTokenRead | undefined = token(),
    ): Promise<LogoutNotice> => {
      const provider = { name: 'default', readLogoutToken: async () => read }
      const { audit, metrics } = recorder
      return backchannelLogout(
        { provider, store, once, audit, metrics, background, clock: { now }, rejections, requireType: false },
        TOKEN,
        VISITOR,
      )
    }
    const rejections = createMinuteLimit(600)
    const background = { run: (task: () => Promise<unknown>) => void task() }
    const ends = (...replicas: readonly Replica[]): AuditEvent[] =>
      replicas.flatMap(({ recorder }) => recorder.events.filter(({ event }) => event === 'session.ended'))

    /** A replica with barriers in front of its records. */
    const gated = async (): Promise<Replica & { readonly hold: Barriers<SessionRecords>['hold'] }> => {
      let hold: Barriers<SessionRecords>['hold'] | undefined
      const replica = await world.replica({
        between: (inner) => {
          const barriers = withBarriers(inner)
          hold = barriers.hold
          return barriers.port
        },
      })
      if (!hold) throw new Error('no barriers')
      return { ...replica, hold }
    }

    it('by sid ends that session on every replica, copies in memory included, and tells who, once', async () => {
      const [a, b] = [await world.replica(), await world.replica()]
      const session = await created(a.store, {}, now())
      const other = await created(a.store, { grant: { providerSessionId: 'provider-session-2' } }, now())
      await b.store.open(session.cookie.reveal())
      expect(await tell(b)).toEqual({ kind: 'done' })
      await until(() => a.store.peek(session.cookie.reveal(), now()) === undefined)
      for (const { store } of [a, b]) expect(await store.open(session.cookie.reveal())).toEqual({ kind: 'ended', reason: 'provider' })
      expect((await a.store.open(other.cookie.reveal())).kind).toBe('found')
      const { ref } = session
      expect(ends(a, b)).toEqual([
        expect.objectContaining({
          reason: 'provider',
          stored: true,
          sessionRef: ref,
          subject: 'alice',
          requestId: 'request-1',
          address: '192.0.2.7',
        }),
      ])
      expect(b.recorder.events).toContainEqual(
        expect.objectContaining({ event: 'backchannel-logout.received', by: 'provider-session', ended: 1, subject: 'alice' }),
      )
      expect(b.recorder.counts.get('sallyport_logout_notices_total back ended')).toBe(1)
    })

    it('by sub ends all of the subject’s sessions at this issuer, and nobody else’s', async () => {
      const [a, b] = [await world.replica(), await world.replica()]
      const mine = []
      for (let i = 0; i < 60; i += 1) mine.push(await created(a.store, { grant: { providerSessionId: `ps-${i}` } }, now()))
      const grace = await created(a.store, { card: { subject: 'grace' } }, now())
      const elsewhere = await created(a.store, { grant: { issuer: 'https://other.example' } }, now())
      expect(await tell(b, bySubject())).toEqual({ kind: 'done' })
      for (const { cookie } of mine) expect((await b.store.open(cookie.reveal())).kind).toBe('ended')
      for (const { cookie } of [grace, elsewhere]) expect((await b.store.open(cookie.reveal())).kind).toBe('found')
      expect(ends(a, b)).toHaveLength(60)
    })

    it('is answered as done for sessions nobody knows, for ended ones, and for notices that come again under another name', async () => {
      const { store, once, recorder } = await world.replica()
      const replica = { store, once, recorder }
      expect(await tell(replica, token({ providerSessionId: 'never-seen' }))).toEqual({ kind: 'done' })
      const session = await created(store, {}, now())
      await store.end(session.ref, 'user')
      for (const tokenId of ['jti-2', 'jti-3', 'jti-4']) expect(await tell(replica, token({ tokenId }))).toEqual({ kind: 'done' })
      expect(recorder.events.filter(({ event }) => event === 'session.ended')).toEqual([])
    })

    it('a token whose work is done is refused on every replica, and ends nothing that began since', async () => {
      const [a, b] = [await world.replica(), await world.replica()]
      const first = await created(a.store, {}, now())
      const read = bySubject({ issuedAt: instant(now() - 60_000) })
      expect(await tell(a, read)).toEqual({ kind: 'done' })
      expect((await a.store.open(first.cookie.reveal())).kind).toBe('ended')
      // The user has signed in anew; the old token must not sign them out again.
      const claims = { sub: 'alice', auth_time: Math.floor(now() / 1000) }
      const second = await created(b.store, { grant: { claims, providerSessionId: 'provider-session-2' } }, now())
      for (const replica of [a, b]) {
        expect(await tell(replica, read)).toEqual({ kind: 'invalid' })
        expect(replica.recorder.events).toContainEqual(expect.objectContaining({ event: 'backchannel-logout.rejected', check: 'replayed' }))
        expect((await replica.store.open(second.cookie.reveal())).kind).toBe('found')
      }
      // The name counts together with its issuer.
      expect(await tell(b, { ...read, issuer: 'https://other.example' })).toEqual({ kind: 'done' })
    })

    it('two deliveries of one token at once are one logout', async () => {
      const [a, b] = [await gated(), await world.replica()]
      await created(b.store, {}, now())
      const barrier = a.hold('refsOf', 'after')
      const slow = tell(a)
      await barrier.reached
      expect(await tell(b)).toEqual({ kind: 'done' })
      barrier.release()
      expect(await slow).toEqual({ kind: 'done' })
      expect(ends(a, b)).toHaveLength(1)
    })

    describe('while a part of the store does not answer', () => {
      const away = (name: keyof SessionStore | keyof OnceStore) => async (): Promise<void> => {
        const replica = await world.replica()
        const session = await created(replica.store, {}, now())
        const broken = { [name]: async () => 'unavailable' }
        const store = { ...replica.store, ...(name in replica.store && broken) } as SessionStore
        const once = { ...replica.once, ...(name in replica.once && broken) } as OnceStore
        expect(await tell({ ...replica, store, once })).toEqual({ kind: 'unavailable', code: 'store.unavailable' })
        expect(replica.recorder.counts.get('sallyport_logout_notices_total back unavailable')).toBe(1)
        // The provider tries again with the same token, and then all of it is done.
        expect(await tell(replica)).toEqual({ kind: 'done' })
        expect((await replica.store.open(session.cookie.reveal())).kind).toBe('ended')
      }
      it('what was seen: it fails closed', away('seen'))
      it('tombstones: nothing is acknowledged', away('entomb'))
      it('indexes: nothing is acknowledged', away('refsOf'))
      it('ends: nothing is acknowledged', away('end'))
      it('what is remembered: nothing is acknowledged', away('claim'))
    })

    describe('racing a login', () => {
      // The steps of a login at which the whole of a logout can fall. Only after the last is the session there to be ended; before, it must never come to be.
      it.each<[string, keyof SessionRecords, 'before' | 'after']>([
        ['before its index', 'addToIndex', 'before'],
        ['between its index and its record', 'create', 'before'],
        ['between its record and the tombstones', 'create', 'after'],
      ])('the logout wins: %s', async (_when, method, at) => {
        for (const read of [token(), bySubject({ tokenId: 'jti-2' })]) {
          const [a, b] = [await gated(), await world.replica()]
          const barrier = a.hold(method as string as keyof SessionRecords & string, at)
          const signingIn = a.store.create(aDraft(now(), { card: { subject: 'alice' } }))
          await barrier.reached
          expect(await tell(b, read)).toEqual({ kind: 'done' })
          barrier.release()
          expect(await signingIn).toEqual({ kind: 'ended-meanwhile' })
          expect(await b.store.refsOf({ kind: 'subject', issuer: ISSUER, subject: 'alice' })).toEqual([])
          await world.close()
          world = await makeWorld()
        }
      })

      // The other way round: every step of the logout at which the whole of a login can fall.
      it.each<[string, keyof SessionRecords, 'before' | 'after', 'created' | 'ended-meanwhile']>([
        ['before its tombstone', 'entomb', 'before', 'created'],
        ['between tombstone and index', 'entomb', 'after', 'ended-meanwhile'],
        ['after it has read the index', 'refsOf', 'after', 'ended-meanwhile'],
      ])('no session is left: the login falls %s', async (_when, method, at, outcome) => {
        for (const read of [token(), bySubject({ tokenId: 'jti-2' })]) {
          const [a, b] = [await gated(), await world.replica()]
          const barrier = a.hold(method as string as keyof SessionRecords & string, at)
          const telling = tell(a, read)
          await barrier.reached
          const signedIn = await b.store.create(aDraft(now()))
          expect(signedIn.kind).toBe(outcome)
          barrier.release()
          expect(await telling).toEqual({ kind: 'done' })
          if (signedIn.kind === 'created') expect((await b.store.open(signedIn.session.cookie.reveal())).kind).toBe('ended')
          await world.close()
          world = await makeWorld()
        }
      })

      it('a subject that has signed in anew since the logout stays signed in', async () => {
        const { store, once, recorder } = await world.replica()
        const issuedAt = instant(now() - 30_000)
        await tell({ store, once, recorder }, bySubject({ issuedAt }))
        const signIn = (authTime: Instant) =>
          store.create(aDraft(now(), { grant: { claims: { sub: 'alice', auth_time: Math.floor(authTime / 1000) } } }))
        expect((await signIn(after(issuedAt, seconds(10)))).kind).toBe('created')
        expect((await signIn(after(issuedAt, seconds(-10)))).kind).toBe('ended-meanwhile')
      })
    })

    describe('in a frame', () => {
      const frame = (
        { store, recorder }: Pick<Replica, 'store' | 'recorder'>,
        query: string,
        profile: 'generic' | 'entra' = 'generic',
        unknown = createMinuteLimit(600),
        issuers: readonly string[] | undefined = [ISSUER],
      ) => {
        const provider = {
          name: 'default',
          profile: profileOf(profile),
          issuers: async () => issuers,
        }
        const { audit, metrics } = recorder
        const clock = { now }
        return frontchannelLogout({ provider, store, audit, metrics, clock, unknown, rejections }, queryOf(`/x?${query}`), VISITOR)
      }
      const iss = `iss=${encodeURIComponent(ISSUER)}`
      const sid = 'sid=provider-session-1'

      it('iss and sid end the session without any cookie, under a reason of their own', async () => {
        const replica = await world.replica()
        const session = await created(replica.store, {}, now())
        expect(await frame(replica, `${iss}&${sid}`)).toEqual({ kind: 'done', refs: [session.ref] })
        expect(await replica.store.open(session.cookie.reveal())).toEqual({ kind: 'ended', reason: 'front-channel' })
        expect(replica.recorder.events).toContainEqual(expect.objectContaining({ event: 'frontchannel-logout.received', ended: 1 }))
      })
      it.each([
        ['no iss', sid],
        ['another issuer', `iss=https%3A%2F%2Fevil.example&${sid}`],
        ['the issuer with a slash more', `${iss}%2F&${sid}`],
        ['no sid', iss],
        ['an empty sid', `${iss}&sid=`],
        ['a giant sid', `${iss}&sid=${'x'.repeat(256)}`],
        ['a doubled sid', `${iss}&${sid}&${sid}`],
        ['a doubled iss', `${iss}&${iss}&${sid}`],
        ['nothing', ''],
      ])('%s ends nothing', async (_what, query) => {
        const replica = await world.replica()
        const session = await created(replica.store, {}, now())
        expect(await frame(replica, query)).toEqual({ kind: 'invalid' })
        expect((await replica.store.open(session.cookie.reveal())).kind).toBe('found')
      })
      it('Entra names the session alone; if it names an issuer, it must be ours', async () => {
        const replica = await world.replica()
        const session = await created(replica.store, {}, now())
        expect(await frame(replica, `iss=https%3A%2F%2Fevil.example&${sid}`, 'entra')).toEqual({ kind: 'invalid' })
        expect(await frame(replica, sid, 'entra')).toEqual({ kind: 'done', refs: [session.ref] })
      })
      it('of several tenants the one whose session it is is found, and a session of that name elsewhere is another one', async () => {
        const replica = await world.replica()
        const [one, two, other] = ['https://id.example/1', 'https://id.example/2', 'https://id.example/3']
        const mine = await created(replica.store, { grant: { issuer: two } }, now())
        const elsewhere = await created(replica.store, { grant: { issuer: other } }, now())
        const limit = createMinuteLimit(600)
        expect(await frame(replica, sid, 'entra', limit, [one, two])).toEqual({ kind: 'done', refs: [mine.ref] })
        expect((await replica.store.open(elsewhere.cookie.reveal())).kind).toBe('found')
        expect(await frame(replica, `iss=${encodeURIComponent(other)}&${sid}`, 'entra', limit, [one, two])).toEqual({ kind: 'invalid' })
      })
      // Each of fifty tenants got one: invented names left fifty times what the store was to hold of them.
      it('of several tenants an invented name leaves no more tombstones than a minute has', async () => {
        const replica = await world.replica()
        const tenants = Array.from({ length: 50 }, (_none, i) => `https://id.example/${i}`)
        let tombstones = 0
        const store: typeof replica.store = {
          ...replica.store,
          entomb: async (whose, at) => {
            tombstones += 1
            return replica.store.entomb(whose, at)
          },
        }
        const limit = createMinuteLimit(120)
        for (let i = 0; i < 10; i += 1)
          expect(await frame({ ...replica, store }, `sid=invented-${i}`, 'entra', limit, tenants)).toEqual({ kind: 'done', refs: [] })
        expect(tombstones).toBe(100)
      })
      it('while nobody can say which tenants there are, nothing is taken for done', async () => {
        const replica = await world.replica()
        const provider = { name: 'default', profile: profileOf('entra'), issuers: async () => undefined }
        const { audit, metrics } = replica.recorder
        const deps = { provider, store: replica.store, audit, metrics, clock: { now }, unknown: createMinuteLimit(600), rejections }
        expect(await frontchannelLogout(deps, queryOf(`/x?${sid}`), VISITOR)).toEqual({ kind: 'unavailable', code: 'provider.unavailable' })
      })
      it('of several tenants a login under way is ended by it as well', async () => {
        const [a, b] = [await gated(), await world.replica()]
        const barrier = a.hold('addToIndex', 'before')
        const signingIn = a.store.create(aDraft(now()))
        await barrier.reached
        await frame(b, sid, 'entra', createMinuteLimit(600), ['https://id.example/1', ISSUER])
        barrier.release()
        expect(await signingIn).toEqual({ kind: 'ended-meanwhile' })
      })
      it('a login under way is ended by it as well', async () => {
        const [a, b] = [await gated(), await world.replica()]
        const barrier = a.hold('addToIndex', 'before')
        const signingIn = a.store.create(aDraft(now()))
        await barrier.reached
        await frame(b, `${iss}&${sid}`)
        barrier.release()
        expect(await signingIn).toEqual({ kind: 'ended-meanwhile' })
      })
      it('invented names fill no store: so many a minute leave something behind, known sessions end all the same', async () => {
        const replica = await world.replica()
        const session = await created(replica.store, {}, now())
        const limit = createMinuteLimit(3)
        for (let i = 0; i < 20; i += 1) expect((await frame(replica, `${iss}&sid=invented-${i}`, 'generic', limit)).kind).toBe('done')
        const left = await Promise.all(
          Array.from(
            { length: 20 },
            async (_, i) => (await replica.store.create(aDraft(now(), { grant: { providerSessionId: `invented-${i}` } }))).kind,
          ),
        )
        expect(left.filter((kind) => kind === 'ended-meanwhile')).toHaveLength(3)
        expect(await frame(replica, `${iss}&${sid}`, 'generic', limit)).toEqual({ kind: 'done', refs: [session.ref] })
        await world.pass(millis(1))
      })
    })

    it('nothing that was told stands in what is counted, logged or audited', async () => {
      const replica = await world.replica()
      await created(replica.store, {}, now())
      await tell(replica)
      await tell(replica, { kind: 'invalid', check: 'signature' })
      await tell(replica, { kind: 'unavailable', retryAfter: minutes(1), cause: 'ECONNREFUSED' })
      const told = JSON.stringify([replica.recorder.events, replica.recorder.lines, [...replica.recorder.counts]])
      for (const secret of ['CANARY', 'jti-1', 'provider-session-1']) expect(told).not.toContain(secret)
    })
  })
}
