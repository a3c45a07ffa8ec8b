import type { AuditWho } from '../domain/audit-event.ts'
import type { Provider } from '../domain/provider.ts'
import type { ListedSession, SessionDirectory, SessionPage } from '../domain/session-directory.ts'
import type { Ended, SessionStore } from '../domain/session-store.ts'
import type { Clock, Instant, Millis } from '../kernel/time.ts'
import { after, seconds } from '../kernel/time.ts'
import type { EndSessionsDeps } from './end-sessions.ts'
import { endSession, endSessionsOf, UNREAD } from './end-sessions.ts'

export interface SessionAdminDeps extends EndSessionsDeps {
  readonly store: Pick<SessionStore, 'end' | 'refsOf' | 'forget'>
  readonly directory: SessionDirectory
  readonly provider: Pick<Provider, 'name' | 'issuer'>
  readonly clock: Clock
}

/** All that is given must hold. Nothing given: every session. */
export interface SessionFilter {
  readonly subject?: string | undefined
  readonly tenant?: string | undefined
  /** By its name in the settings. */
  readonly provider?: string | undefined
  readonly createdBefore?: Instant | undefined
}

export type Listed = { readonly kind: 'page'; readonly page: SessionPage } | { readonly kind: 'unavailable' }
/** `ended`: those that lived until now. `next`: not through yet. */
export type EndedMany =
  | { readonly kind: 'ended'; readonly ended: number; readonly next: string | undefined }
  | { readonly kind: 'unavailable'; readonly ended: number }

/** What one call may take; whoever asks comes back with `next`. */
const CALL_MAX: Millis = seconds(2)
const ENDS_MAX = 1_000
const AT_ONCE = 50

/** @param limit about so many; a page is never cut in the middle of a step, so it may be a few hundred more */
export const listSessions = async (
  deps: SessionAdminDeps,
  filter: SessionFilter,
  cursor: string | undefined,
  limit: number,
): Promise<Listed> => {
  const until = after(deps.clock.now(), CALL_MAX)
  const way = await wayOf(deps, filter, cursor)
  const sessions: ListedSession[] = []
  let unreadable = 0
  let next = way.from
  do {
    const page = await way.step(next)
    if (page === 'unavailable') return { kind: 'unavailable' }
    sessions.push(...page.sessions.filter(({ card }) => matches(filter, card)))
    unreadable += page.unreadable
    next = page.next
  } while (next !== undefined && sessions.length < limit && deps.clock.now() < until)
  return { kind: 'page', page: { sessions, unreadable, next: next === undefined ? undefined : way.prefix + next } }
}

/** Every session that matches, by the one flow for an end. What could not be ended now is said; asking again ends the rest. */
export const endSessions = async (
  deps: SessionAdminDeps,
  filter: SessionFilter,
  cursor: string | undefined,
  who: AuditWho,
): Promise<EndedMany> => {
  const { subject } = filter
  if (subject !== undefined && isSubjectAlone(filter)) return endSubject(deps, subject, cursor, who)
  // Named with its provider, it is all of them as well. Once: who redeems a code behind the first call has signed in anew.
  if (cursor === undefined && (await endSignIns(deps, filter)) === 'unavailable') return { kind: 'unavailable', ended: 0 }
  const until = after(deps.clock.now(), CALL_MAX)
  const way = await wayOf(deps, filter, cursor)
  let ended = 0
  let next = way.from
  do {
    const page = await way.step(next)
    if (page === 'unavailable') return { kind: 'unavailable', ended }
    const ends = await endEach(
      deps,
      page.sessions.filter(({ card }) => matches(filter, card)),
      who,
    )
    ended += ends.filter((end) => end === 'ended').length
    if (ends.includes('unavailable')) return { kind: 'unavailable', ended }
    next = page.next
  } while (next !== undefined && ended < ENDS_MAX && deps.clock.now() < until)
  return { kind: 'ended', ended, next: next === undefined ? undefined : way.prefix + next }
}

/**
 * Tombstone, index, each: a sign-in of this subject that is between its code and its record ends as well. The tombstone is not the one of a logout at the
 * provider: there the session has ended as well, so that `auth_time` tells an old sign-in from a new one. Here it lives on, and who is let in again
 * without a question brings the old `auth_time`: for a quarter of an hour every new sign-in would end at once (docs/decisions/0021).
 */
const endSubject = async (deps: SessionAdminDeps, subject: string, cursor: string | undefined, who: AuditWho): Promise<EndedMany> => {
  const { directory, provider, store, audit } = deps
  // Without the issuer there is no index to look into, and no sign-in that could come to its end either: what is there is found by looking at everything.
  const issuer = await provider.issuer()
  if (issuer === undefined) {
    if ((await directory.endSignIns(provider.name, subject)) === 'unavailable') return { kind: 'unavailable', ended: 0 }
    return endSessions(deps, { subject, provider: provider.name, createdBefore: deps.clock.now() }, cursor, who)
  }
  const ending = {
    store: { end: store.end, refsOf: store.refsOf, forget: store.forget, entomb: () => directory.endSignIns(provider.name, subject) },
    audit,
  }
  const whose = { kind: 'subject', issuer, subject } as const
  const result = await endSessionsOf(ending, whose, {
    at: deps.clock.now(),
    reason: 'admin',
    who: { ...who, subject, provider: provider.name },
    // Once: who redeems a code behind the first call has signed in anew.
    ...(cursor !== undefined && { rest: UNREAD }),
  })
  if (result.kind === 'unavailable') return { kind: 'unavailable', ended: result.count }
  return { kind: 'ended', ended: result.count, next: result.kind === 'partly' ? REST : undefined }
}

/** What was ended is in the index no more, so that the next call begins with the rest. */
const REST = 's.rest'

/** Before anything is ended; of sign-ins at this provider. */
const endSignIns = async (deps: SessionAdminDeps, filter: SessionFilter): Promise<'stored' | 'unavailable'> => {
  const { directory, provider, clock } = deps
  if (filter.provider !== undefined && filter.provider !== provider.name) return 'stored'
  return filter.subject !== undefined && isAllOf(filter, provider.name)
    ? directory.endSignIns(provider.name, filter.subject)
    : directory.endSignInsUntil(filter.createdBefore ?? after(clock.now(), CALL_MAX))
}

const isSubjectAlone = (filter: SessionFilter): boolean =>
  filter.tenant === undefined && filter.provider === undefined && filter.createdBefore === undefined

/** Of what a subject has at this provider: without a tenant or an age, by which a sign-in under way may not be meant. */
const isAllOf = (filter: SessionFilter, provider: string): boolean =>
  filter.provider === provider && filter.tenant === undefined && filter.createdBefore === undefined

const endEach = async (deps: SessionAdminDeps, sessions: readonly ListedSession[], who: AuditWho): Promise<readonly Ended[]> => {
  const ends: Ended[] = []
  for (let i = 0; i < sessions.length; i += AT_ONCE) {
    const some = sessions
      .slice(i, i + AT_ONCE)
      .map(({ card: { ref, subject, tenant, provider } }) => endSession(deps, ref, 'admin', { ...who, subject, tenant, provider }))
    ends.push(...(await Promise.all(some)))
    if (ends.includes('unavailable')) break
  }
  return ends
}

const matches = ({ subject, tenant, provider, createdBefore }: SessionFilter, card: ListedSession['card']): boolean =>
  (subject === undefined || card.subject === subject) &&
  (tenant === undefined || card.tenant === tenant) &&
  (provider === undefined || card.provider === provider) &&
  (createdBefore === undefined || card.createdAt < createdBefore)

interface Way {
  readonly prefix: string
  readonly from: string | undefined
  readonly step: (cursor: string | undefined) => Promise<SessionPage | 'unavailable'>
}

const BY_SUBJECT = 's.'
const BY_SCAN = 'a.'

/** One subject's sessions by their index, everything else step by step through all. A cursor goes on the way it came from. */
const wayOf = async ({ directory, provider }: SessionAdminDeps, { subject }: SessionFilter, cursor: string | undefined): Promise<Way> => {
  const scan: Way = { prefix: BY_SCAN, from: undefined, step: (at) => directory.step(at) }
  if (cursor?.startsWith(BY_SCAN)) return { ...scan, from: cursor.slice(BY_SCAN.length) }
  const issuer = subject === undefined ? undefined : await provider.issuer()
  if (subject === undefined || issuer === undefined) return scan
  const from = cursor?.startsWith(BY_SUBJECT) ? cursor.slice(BY_SUBJECT.length) : undefined
  return { prefix: BY_SUBJECT, from, step: (at) => directory.ofSubject({ issuer, subject }, at) }
}
