import type { AuditSink, AuditWho } from '../domain/audit-event.ts'
import type { Ended, SessionStore } from '../domain/session-store.ts'
import type { EndReason, SessionRef } from '../domain/session.ts'
import type { PendingEnds } from './pending-ends.ts'

export interface EndSessionsDeps {
  readonly store: Pick<SessionStore, 'end'>
  readonly pending: Pick<PendingEnds, 'add'>
  readonly audit: AuditSink
}

/** One flow for every end somebody asks for. `unavailable`: the store does not have it yet; it is retried from memory. */
export const endSession = async (deps: EndSessionsDeps, ref: SessionRef, reason: EndReason, who: AuditWho): Promise<Ended> => {
  const ended = await deps.store.end(ref, reason)
  if (ended === 'unavailable') deps.pending.add(ref, reason)
  if (ended !== 'absent') deps.audit.record({ ...who, sessionRef: ref, event: 'session.ended', reason, stored: ended === 'ended' })
  return ended
}
