import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Session, SessionRef } from '../../src/domain/session.ts'
import type { TokenKey } from '../../src/domain/token.ts'
import type { SealPurpose } from '../../src/domain/sealer.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { instant } from '../../src/kernel/time.ts'
import type { SessionRecords } from '../../src/session/records.ts'
import { APP, CANARY, anAccessToken, created } from './session-store-kit.ts'
import type { Replica, World } from './session-store-kit.ts'

type Fields = Record<string, string>
type Edit = (fields: Fields) => void

/** What lies in a store opens only in its place and only with its cookie. */
export const sealedContract = (name: string, open: () => Promise<World>): void => {
  describe(`what lies in ${name}`, () => {
    let world: World
    const edits = new Map<SessionRef, Edit>()
    beforeEach(async () => {
      edits.clear()
      world = await open()
    })
    afterEach(() => world.close())
    const now = () => (world.kind === 'memory' ? world.clock.now() : instant(Date.now()))

    /** Changes the stored fields of a session behind the store's back: in Redis itself, or as the memory adapter hands them out. */
    const tamper = async (ref: SessionRef, edit: Edit): Promise<void> => {
      if (!world.raw) return void edits.set(ref, edit)
      const key = world.keys.record(ref)
      const fields = await world.raw.hgetall(key)
      edit(fields)
      for (const [field, value] of Object.entries(fields)) await world.raw.hset(key, field, value)
    }
    const between = (records: SessionRecords): SessionRecords => ({
      ...records,
      read: async (ref) => {
        const result = await records.read(ref)
        const edit = edits.get(ref)
        if (result.kind !== 'found' || !edit) return result
        const { card, grant, tokens, ...rest } = result.stored
        const fields: Fields = { card, grant, ...Object.fromEntries([...tokens].map(([key, sealed]) => [`t:${key}`, sealed])) }
        edit(fields)
        const entries = Object.entries(fields).flatMap(([field, value]) =>
          field.startsWith('t:') ? [[field.slice(2) as TokenKey, value] as const] : [],
        )
        return { ...result, stored: { ...rest, card: fields['card']!, grant: fields['grant']!, tokens: new Map(entries) } }
      },
    })
    const fieldsOf = async (replica: Replica, ref: SessionRef): Promise<Fields> => {
      const read = await replica.records.read(ref)
      if (read.kind !== 'found') throw new Error(read.kind)
      const { card, grant, tokens } = read.stored
      return { card, grant, ...Object.fromEntries([...tokens].map(([key, sealed]) => [`t:${key}`, sealed])) }
    }
    const two = async (): Promise<{ maker: Replica; reader: Replica; a: Session; b: Session }> => {
      const maker = await world.replica()
      const tokens = [anAccessToken('orders', now()), anAccessToken('reports', now())]
      const [a, b] = [
        await created(maker.store, { tokens }, now()),
        await created(maker.store, { tokens, card: { subject: 'grace' } }, now()),
      ]
      return { maker, reader: await world.replica({ between }), a, b }
    }

    it('yields no token and no claim but subject and tenant to who has all of it and the keyring, but not the cookie', async () => {
      const { maker, a, b } = await two()
      await maker.store.acquireLease(a.ref, 5_000 as never)
      const dump = await world.dump()
      for (const secret of [
        ...Object.values(CANARY),
        a.cookie.reveal(),
        b.cookie.reveal(),
        'alice',
        'grace',
        'tenant-1',
        'provider-session-1',
      ])
        expect(dump).not.toContain(secret)
      // The thief has the keyring, so the sealer opens for him whatever the ring alone opens: every text, every purpose, every place he can think of.
      const sealed = dump.match(/1\.\d{8}T\d{6}Z-[a-z0-9]{6}\.[A-Za-z0-9_-]+/g) ?? []
      expect(sealed.length).toBeGreaterThanOrEqual(8)
      const fields = ['card', 'grant', 'rest', ...[...a.tokens.keys()].map((key) => `t:${key}`)]
      const guesses = [
        undefined,
        Secret.of('data-key', Buffer.alloc(32).toString('base64url')),
        Secret.of('data-key', Buffer.from(a.ref.padEnd(32)).toString('base64url')),
      ]
      const opened: string[] = []
      for (const text of sealed)
        for (const purpose of [
          'grant',
          'rest',
          'token',
          'card',
          'state',
          'attempt',
          'logout-continue',
        ] as const satisfies readonly SealPurpose[])
          for (const ref of [a.ref, b.ref])
            for (const field of fields)
              for (const dataKey of guesses) {
                const result = world.sealer.open(purpose, [APP, ref, field], text, dataKey)
                if (result.kind === 'opened') opened.push(result.text)
              }
      expect(opened.map((text) => (JSON.parse(text) as { subject: string }).subject).sort()).toEqual(['alice', 'grace'])
      for (const text of opened) {
        expect(Object.keys(JSON.parse(text) as object).sort()).toEqual([
          'address',
          'app',
          'browser',
          'createdAt',
          'endsAt',
          'provider',
          'subject',
          'tenant',
        ])
        for (const secret of Object.values(CANARY)) expect(text).not.toContain(secret)
      }
    })

    it('does not open when two entries of a session are swapped: neither token is ever another audience’s', async () => {
      const { reader, a } = await two()
      const [orders, reports] = [...a.tokens.keys()].map((key) => `t:${key}`) as [string, string]
      await tamper(a.ref, (fields) => {
        ;[fields[orders], fields[reports]] = [fields[reports]!, fields[orders]!]
      })
      const opened = await reader.store.open(a.cookie.reveal())
      if (opened.kind !== 'found') throw new Error(opened.kind)
      expect(opened.held.session.tokens.size).toBe(0)
      expect(opened.held.session.grant.refreshToken?.reveal()).toBe(`${CANARY.refresh}-1`)
      expect(reader.recorder.counts.get('sallyport_session_lookups_total unopened')).toBe(1)
    })
    it.each(['grant', 'card'])('does not open with the %s of another session, and ends nothing', async (field) => {
      const { maker, reader, a, b } = await two()
      const theirs = (await fieldsOf(maker, b.ref))[field]!
      const ours = (await fieldsOf(maker, a.ref))[field]!
      await tamper(a.ref, (fields) => void (fields[field] = theirs))
      expect(await reader.store.open(a.cookie.reveal())).toEqual({ kind: 'absent' })
      await tamper(a.ref, (fields) => void (fields[field] = ours))
      expect((await reader.store.open(a.cookie.reveal())).kind).toBe('found')
    })
    it('does not take the access token of another session', async () => {
      const { maker, reader, a, b } = await two()
      const theirs = await fieldsOf(maker, b.ref)
      await tamper(
        a.ref,
        (fields) => void Object.assign(fields, Object.fromEntries(Object.entries(theirs).filter(([name]) => name.startsWith('t:')))),
      )
      const opened = await reader.store.open(a.cookie.reveal())
      if (opened.kind !== 'found') throw new Error(opened.kind)
      expect(opened.held.session.tokens.size).toBe(0)
    })
    it('does not open a grant put in the place of a token, nor the other way', async () => {
      const { reader, a } = await two()
      const [orders] = [...a.tokens.keys()].map((key) => `t:${key}`) as [string]
      await tamper(a.ref, (fields) => {
        ;[fields['grant'], fields[orders]] = [fields[orders]!, fields['grant']!]
      })
      expect(await reader.store.open(a.cookie.reveal())).toEqual({ kind: 'absent' })
    })
    it.each(['', 'x', '1.', '1..', '1.20261120T101500Z-x1y2z3.', '9.20261120T101500Z-x1y2z3.AAAA', '\u0000', '{}'])(
      'crashes nobody and ends nothing when a field is %j',
      async (value) => {
        const { maker, reader, a } = await two()
        const whole = await fieldsOf(maker, a.ref)
        for (const field of Object.keys(whole)) {
          await tamper(a.ref, (fields) => void Object.assign(fields, whole, { [field]: value }))
          expect(['found', 'absent']).toContain((await reader.store.open(a.cookie.reveal())).kind)
        }
        await tamper(a.ref, (fields) => void Object.assign(fields, whole))
        const opened = await reader.store.open(a.cookie.reveal())
        expect(opened.kind === 'found' && opened.held.session.tokens.size).toBe(2)
      },
    )
    it('is never in a log line or audit event', async () => {
      const { maker, reader, a } = await two()
      await tamper(a.ref, (fields) => void (fields['grant'] = fields['card']!))
      await reader.store.open(a.cookie.reveal())
      await maker.store.end(a.ref, 'user')
      const said = JSON.stringify([maker.recorder.lines, maker.recorder.events, reader.recorder.lines, reader.recorder.events])
      for (const secret of [...Object.values(CANARY), a.cookie.reveal()]) expect(said).not.toContain(secret)
    })
  })
}
