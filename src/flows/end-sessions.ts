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
  readonly store: Pick<SessionStore, 'end' | 'entomb' | 'refsOf'>
}

export type EndedAll =
  /** `count`: of them, those that lived until now. */
  | { readonly kind: 'ended'; readonly refs: readonly SessionRef[]; readonly count: number }
  /** Nothing is lost: what was ended stays ended, and asking again ends the rest. */
  | { readonly kind: 'unavailable' }

/** So many at once: a subject may have very many sessions, and the store has other work. */
const BATCH = 50

/**
 * Tombstone, index, each, in this order (spec §4). A login under way writes its index, makes its record, and reads the tombstones last. Whichever way the
 * two interleave, one sees the other: if the login read no tombstone, its index was written before ours was, and we find its ref; if its record is not
 * made yet, the tombstone on the ref keeps it from being made.
 */
export const endSessionsOf = async (
  deps: EndSessionsOfDeps,
  whose: SessionsOf,
  { at, reason, who }: { readonly at: Instant; readonly reason: EndReason; readonly who: AuditWho },
): Promise<EndedAll> => {
  if ((await deps.store.entomb(whose, at)) === 'unavailable') return { kind: 'unavailable' }
  const refs = await deps.store.refsOf(whose)
  if (refs === 'unavailable') return { kind: 'unavailable' }
  const ends: Ended[] = []
  for (let i = 0; i < refs.length; i += BATCH)
    ends.push(...(await Promise.all(refs.slice(i, i + BATCH).map((ref) => endSession(deps, ref, reason, who)))))
  return ends.includes('unavailable')
    ? { kind: 'unavailable' }
    : { kind: 'ended', refs, count: ends.filter((end) => end === 'ended').length }
}
