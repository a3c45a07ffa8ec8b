import { expect, it } from 'vitest'
import type { AuditEvent } from '../../../src/domain/audit-event.ts'
import type { LogoutTokenRead } from '../../../src/domain/provider.ts'
import type { SessionRef, SessionsOf } from '../../../src/domain/session.ts'
import { backchannelLogout } from '../../../src/flows/backchannel-logout.ts'
import { endSessionsOf, UNREAD } from '../../../src/flows/end-sessions.ts'
import { createMinuteLimit } from '../../../src/flows/minute-limit.ts'
import { endSessions } from '../../../src/flows/session-admin.ts'
import type { SessionAdminDeps } from '../../../src/flows/session-admin.ts'
import { Secret } from '../../../src/kernel/secret.ts'
import { instant } from '../../../src/kernel/time.ts'

const now = instant(1_800_000_000_000)
const ALICE: SessionsOf = { kind: 'subject', issuer: 'https://idp.example', subject: 'alice' }
const refAt = (at: number): SessionRef => `r${String(at).padStart(21, '0')}` as SessionRef

/** An index of `size` sessions, of which those from `leftFrom` on ended long ago without leaving it. */
const world = (size: number, leftFrom = size) => {
  const index = new Set(Array.from({ length: size }, (_, at) => refAt(at)))
  const alive = new Set(Array.from({ length: Math.min(size, leftFrom) }, (_, at) => refAt(at)))
  const events: AuditEvent[] = []
  const asked: string[] = []
  let awayAfter = Number.POSITIVE_INFINITY
  let ends = 0
  const store = {
    entomb: async () => {
      asked.push('tombstone')
      return 'stored' as const
    },
    refsOf: async (_whose: SessionsOf, most?: number) => {
      asked.push('index')
      return [...index].slice(0, most)
    },
    forget: async (_whose: SessionsOf, ref: SessionRef) => void index.delete(ref),
    end: async (ref: SessionRef) => {
      ends += 1
      if (ends > awayAfter) return 'unavailable' as const
      if (!alive.delete(ref)) return 'absent' as const
      index.delete(ref)
      return 'ended' as const
    },
  }
  const deps = { store, audit: { record: (event: AuditEvent) => void events.push(event) } }
  return { deps, index, alive, events, asked, ends: () => ends, awayAfter: (count: number) => (awayAfter = count) }
}
const ENDING = { at: now, reason: 'provider', who: {} } as const

it('one call ends a thousand, and the next ones the rest, without another tombstone and without who has signed in since', async () => {
  const { deps, alive, index, asked } = world(2_500)
  const first = await endSessionsOf(deps, ALICE, ENDING)
  if (first.kind !== 'partly') throw new Error(first.kind)
  expect([first.count, alive.size]).toEqual([1_000, 1_500])
  alive.add(refAt(9_999))
  index.add(refAt(9_999))
  const second = await endSessionsOf(deps, ALICE, { ...ENDING, rest: first.rest })
  if (second.kind !== 'partly') throw new Error(second.kind)
  const third = await endSessionsOf(deps, ALICE, { ...ENDING, rest: second.rest })
  expect(third).toMatchObject({ kind: 'ended', count: 500 })
  expect([...alive]).toEqual([refAt(9_999)])
  expect(asked).toEqual(['tombstone', 'index'])
})

it('an index full of what ended long ago does not keep the living behind it alive', async () => {
  const { deps, index, alive } = world(12_000, 0)
  alive.add(refAt(11_999))
  let calls = 1
  let ended = await endSessionsOf(deps, ALICE, ENDING)
  for (; ended.kind === 'partly' && calls < 50; calls += 1) ended = await endSessionsOf(deps, ALICE, { ...ENDING, rest: UNREAD })
  expect(ended.kind).toBe('ended')
  expect([index.size, alive.size]).toEqual([0, 0])
  expect(calls).toBeLessThan(20)
})

it('a store that goes away half way: what was ended is counted', async () => {
  const { deps, awayAfter } = world(300)
  awayAfter(125)
  expect(await endSessionsOf(deps, ALICE, ENDING)).toEqual({ kind: 'unavailable', count: 125 })
})

const READ: LogoutTokenRead = {
  kind: 'valid',
  issuer: 'https://idp.example',
  subject: 'alice',
  providerSessionId: undefined,
  tokenId: 'jti',
  issuedAt: now,
}
const notice = ({ deps }: ReturnType<typeof world>) => {
  const claimed: string[] = []
  const behind: Promise<unknown>[] = []
  const tell = () =>
    backchannelLogout(
      {
        ...deps,
        provider: { name: 'default', readLogoutToken: async () => READ },
        once: {
          seen: async () => claimed.length > 0,
          claim: async (_purpose, digest) => (claimed.push(digest) === 1 ? 'first' : 'again'),
        },
        metrics: { count: () => {}, gauge: () => {}, observe: () => {} },
        background: { run: (task) => void behind.push(task()) },
        clock: { now: () => now },
        rejections: createMinuteLimit(3),
        requireType: false,
      },
      Secret.of('logout-token', 't'),
      { requestId: 'r', address: '192.0.2.1', userAgent: undefined },
    )
  return { tell, claimed, behind }
}

it('a logout of thousands is answered soon, is not said to be done, and is finished behind the answer', async () => {
  const many = world(3_200)
  const { tell, claimed, behind } = notice(many)
  expect((await tell()).kind).toBe('unavailable')
  expect(claimed).toEqual([])
  await Promise.all(behind)
  expect(many.alive.size).toBe(0)
  expect(claimed).toHaveLength(1)
  expect(many.events.at(-1)).toMatchObject({ event: 'backchannel-logout.received', by: 'subject', ended: 3_200 })
})

it('a logout that the store cut short is audited with what it ended, and the same token ends the rest', async () => {
  const some = world(120)
  some.awayAfter(60)
  const { tell, claimed } = notice(some)
  expect((await tell()).kind).toBe('unavailable')
  expect(some.events.at(-1)).toMatchObject({ event: 'backchannel-logout.unfinished', by: 'subject', ended: 60 })
  expect(claimed).toEqual([])
  some.awayAfter(Number.POSITIVE_INFINITY)
  expect((await tell()).kind).toBe('done')
  expect(some.alive.size).toBe(0)
})

it('an operator ends all of a subject step by step: each call is bounded, one tombstone, all are counted', async () => {
  const { deps, asked, alive } = world(2_500)
  const admin = {
    store: deps.store,
    audit: deps.audit,
    directory: { endSignIns: deps.store.entomb },
    provider: { name: 'default', issuer: async () => 'https://idp.example' },
    clock: { now: () => now, sleep: async () => {} },
  } as unknown as SessionAdminDeps
  let cursor: string | undefined
  const counts: number[] = []
  do {
    const step = await endSessions(admin, { subject: 'alice' }, cursor, {})
    if (step.kind !== 'ended') throw new Error(step.kind)
    counts.push(step.ended)
    cursor = step.next
    if (cursor !== undefined) expect(cursor).toMatch(/^[as]\.[\w.-]{1,200}$/) // as the admin listener takes it
  } while (cursor !== undefined)
  expect(counts).toEqual([1_000, 1_000, 500])
  expect(alive.size).toBe(0)
  expect(asked.filter((what) => what === 'tombstone')).toHaveLength(1)
})

it('a flood of refused notices is answered and counted, and told a bounded number of times', async () => {
  const { deps, events } = world(0)
  const counted: string[] = []
  const rejections = createMinuteLimit(3)
  const refused = (at: number) =>
    backchannelLogout(
      {
        ...deps,
        provider: { name: 'default', readLogoutToken: async () => ({ kind: 'invalid', check: 'key-unknown' }) },
        once: { seen: async () => false, claim: async () => 'first' },
        metrics: { count: (_name, labels) => void counted.push(Object.values(labels).join(' ')), gauge: () => {}, observe: () => {} },
        background: { run: () => {} },
        clock: { now: () => instant(now + at) },
        rejections,
        requireType: false,
      },
      Secret.of('logout-token', 't'),
      { requestId: 'r', address: '192.0.2.1', userAgent: undefined },
    )
  for (let i = 0; i < 50; i += 1) expect(await refused(i)).toEqual({ kind: 'invalid' })
  expect(counted.filter((labels) => labels === 'back refused')).toHaveLength(50)
  expect(events).toHaveLength(3)
  await refused(60_000)
  expect(events).toHaveLength(4)
})
