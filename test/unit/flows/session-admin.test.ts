import { describe, expect, it } from 'vitest'
import type { SessionRef } from '../../../src/domain/session.ts'
import type { SessionAdminDeps, SessionFilter } from '../../../src/flows/session-admin.ts'
import { endSessions } from '../../../src/flows/session-admin.ts'
import { instant } from '../../../src/kernel/time.ts'

const now = instant(1_800_000_000_000)

/** A store in which nobody is signed in yet; says in which order it was asked. */
const empty = (tombstone: 'stored' | 'unavailable' = 'stored') => {
  const asked: string[] = []
  const note = <T>(what: string, answer: T) => {
    asked.push(what)
    return Promise.resolve(answer)
  }
  const page = { sessions: [], unreadable: 0, next: undefined }
  const deps: SessionAdminDeps = {
    store: { end: () => note('end', 'absent' as const), refsOf: () => note('index', [] as readonly SessionRef[]), forget: async () => {} },
    directory: {
      find: () => note('find', 'absent' as const),
      ofSubject: () => note('index', page),
      isOfSubject: () => note('isOfSubject', false),
      forget: () => note('forget', undefined),
      step: () => note('scan', page),
      endSignIns: (provider, subject) => note(`tombstone ${provider} ${subject}`, tombstone),
      endSignInsUntil: (at) => note(`tombstone of all until ${at}`, tombstone),
      keyUsage: () => note('keyUsage', new Map()),
    },
    provider: { name: 'main', issuer: () => Promise.resolve('https://idp.example') },
    clock: { now: () => now, monotonic: () => 0, sleep: () => Promise.resolve() } as unknown as SessionAdminDeps['clock'],
    audit: { record: () => undefined },
  }
  return { asked, end: (filter: SessionFilter) => endSessions(deps, filter, undefined, { requestId: 'r' }) }
}

describe('ending sessions of a subject', () => {
  it.each([
    ['by its name', { subject: 'alice' }, ['tombstone main alice', 'index']],
    ['by its name and our provider', { subject: 'alice', provider: 'main' }, ['tombstone main alice', 'index']],
    ['by its name and another provider', { subject: 'alice', provider: 'other' }, ['index']],
    ['only the old ones', { subject: 'alice', createdBefore: now }, [`tombstone of all until ${now}`, 'index']],
    ['only of one tenant', { subject: 'alice', tenant: 't' }, [`tombstone of all until ${now + 2_000}`, 'index']],
  ])('%s: a sign-in under way that is meant as well ends, tombstone first', async (_name, filter, order) => {
    const { asked, end } = empty()
    expect(await end(filter)).toEqual({ kind: 'ended', ended: 0, next: undefined })
    expect(asked).toEqual(order)
  })

  it.each([{ subject: 'alice' }, { subject: 'alice', provider: 'main' }, { tenant: 't' }, { createdBefore: now }, {}])(
    '%o is not said to be done without the tombstone',
    async (filter) => {
      const { asked, end } = empty('unavailable')
      expect(await end(filter)).toEqual({ kind: 'unavailable', ended: 0 })
      expect(asked).toEqual([expect.stringMatching(/^tombstone /)])
    },
  )
})
