import type { AuditSink, AuditWho } from '../domain/audit-event.ts'
import type { Ended, SessionStore } from '../domain/session-store.ts'
import type { EndReason, SessionRef, SessionsOf } from '../domain/session.ts'
import type { Instant } from '../kernel/time.ts'

export interface EndSessionsDeps {
  readonly store: Pick<SessionStore, 'end'>
  readonly audit: AuditSink
}

/**
 * One flow for every end somebody asks for; what the store itself finds to be over (idle, absolute) it ends and audits in the same way. What follows an
 * end, whoever brought it about, follows from `SessionStore.onEnded`: streams are cut, the refresh token is revoked (revocations.ts).
 * `unavailable`: this replica serves it no more, and the store retries from memory.
 */
export const endSession = async (deps: EndSessionsDeps, ref: SessionRef, reason: EndReason, who: AuditWho): Promise<Ended> => {
  const ended = await deps.store.end(ref, reason)
  if (ended !== 'absent') deps.audit.record({ ...who, sessionRef: ref, event: 'session.ended', reason, stored: ended === 'ended' })
  return ended
}

export interface EndSessionsOfDeps extends EndSessionsDeps {
  readonly store: Pick<SessionStore, 'end' | 'entomb' | 'refsOf' | 'forget'>
}

/** What a call left to the next one. `refs`: what it knew of and did not end; `isMore`: there are others that it did not look at. */
export interface Rest {
  readonly refs: readonly SessionRef[]
  readonly isMore: boolean
}
/** To go on where nothing is known but that the tombstone is there. */
export const UNREAD: Rest = { refs: [], isMore: true }

export type EndedAll =
  /** `count`: of them, those that lived until now. */
  | { readonly kind: 'ended'; readonly refs: readonly SessionRef[]; readonly count: number }
  /** So many that one call does not end all of them. */
  | { readonly kind: 'partly'; readonly rest: Rest; readonly count: number }
  /** Nothing is lost: what was ended stays ended, and asking again ends the rest. */
  | { readonly kind: 'unavailable'; readonly count: number }

/** So many at once: a subject may have very many sessions, and the store has other work. */
const BATCH = 50
/** Of one call: about a tenth of a second of a store at rest. */
const CALL_MAX = 1_000
/** Of one look into an index. */
const READ_MAX = 10_000

/**
 * Tombstone, index, each, in this order (spec §4). A login under way writes its index, makes its record, and reads the tombstones last. Whichever way the
 * two interleave, one sees the other: if the login read no tombstone, its index was written before ours was, and we find its ref; if its record is not
 * made yet, the tombstone on the ref keeps it from being made.
 */
export const endSessionsOf = async (deps: EndSessionsOfDeps, whose: SessionsOf, { at, reason, who, rest }: Ending): Promise<EndedAll> => {
  const { store } = deps
  if (!rest && (await store.entomb(whose, at)) === 'unavailable') return { kind: 'unavailable', count: 0 }
  const read = rest && rest.refs.length > 0 ? rest.refs : await store.refsOf(whose, READ_MAX)
  if (read === 'unavailable') return { kind: 'unavailable', count: 0 }
  const refs = read.slice(0, CALL_MAX)
  let count = 0
  for (let i = 0; i < refs.length; i += BATCH) {
    const some = refs.slice(i, i + BATCH)
    const ends = await Promise.all(some.map((ref) => endSession(deps, ref, reason, who)))
    count += ends.filter((end) => end === 'ended').length
    if (ends.includes('unavailable')) return { kind: 'unavailable', count }
    // A crash may have left it there, or its sign-in is on the way to a record that it will not get any more. Who reads the index again begins with the rest.
    await Promise.all(some.filter((_ref, n) => ends[n] === 'absent').map((ref) => store.forget(whose, ref)))
  }
  const left: Rest = { refs: read.slice(CALL_MAX), isMore: rest && rest.refs.length > 0 ? rest.isMore : read.length === READ_MAX }
  return left.refs.length > 0 || left.isMore ? { kind: 'partly', rest: left, count } : { kind: 'ended', refs, count }
}

interface Ending {
  readonly at: Instant
  readonly reason: EndReason
  readonly who: AuditWho
  /** Of the call before, which has left the tombstone. Who has signed in anew since then is not among its refs. */
  readonly rest?: Rest | undefined
}
