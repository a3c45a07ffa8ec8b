import type { AuditSink, AuditWho } from '../domain/audit-event.ts'
import type { Ended, SessionStore } from '../domain/session-store.ts'
import type { EndReason, SessionRef } from '../domain/session.ts'

export interface EndSessionsDeps {
  readonly store: Pick<SessionStore, 'end'>
  readonly audit: AuditSink
}

/** One flow for every end somebody asks for. `unavailable`: this replica serves it no more, and the store retries from memory. */
export const endSession = async (deps: EndSessionsDeps, ref: SessionRef, reason: EndReason, who: AuditWho): Promise<Ended> => {
  const ended = await deps.store.end(ref, reason)
  if (ended !== 'absent') deps.audit.record({ ...who, sessionRef: ref, event: 'session.ended', reason, stored: ended === 'ended' })
  return ended
}
