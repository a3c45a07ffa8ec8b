import type { AuditWho } from '../domain/audit-event.ts'
import type { EndReason, Session } from '../domain/session.ts'
import type { Ended } from '../domain/session-store.ts'
import type { Secret } from '../kernel/secret.ts'
import type { Tools } from './deps.ts'
import type { Refused, Step } from './renewal.ts'
import { AGAIN, refused, refusedAsEnded, unavailable } from './renewal.ts'

export const whoOf = (session: Session): AuditWho => ({
  sessionRef: session.ref,
  provider: session.card.provider,
  subject: session.card.subject,
  tenant: session.card.tenant,
})

const recordEnd = (tools: Tools, session: Session, reason: EndReason, ended: Ended): void => {
  if (ended === 'absent') return // somebody else ended it, and told
  tools.audit.record({ ...whoOf(session), event: 'session.ended', reason, stored: ended === 'ended' })
  tools.log.info({ sessionRef: session.ref, reason }, 'session ended')
}

/** RFC 7009, behind the request: the browser does not wait for the provider to forget. */
export const revokeBehind = (tools: Tools, session: Session, token: Secret<'refresh-token'>): void => {
  const revoked = async (): Promise<void> => {
    const outcome = await tools.provider.revoke(token)
    tools.audit.record({ ...whoOf(session), event: 'token.revoked', outcome })
  }
  tools.behind(revoked())
}

/** Ends the session iff nobody renewed it meanwhile; otherwise: look again. */
export const endUnrenewed = async (tools: Tools, session: Session, reason: EndReason): Promise<Step> => {
  const ended = await tools.store.endIfUnrenewed(session, reason)
  if (ended === 'superseded') return AGAIN
  // Not ended, and nothing is lost: the mark stays, and whoever comes next learns the same from the provider.
  if (ended === 'unavailable') return unavailable('store.unavailable')
  recordEnd(tools, session, reason, ended)
  return refusedAsEnded(reason)
}

/** The identity is in doubt: ended whoever renewed it meanwhile, and whatever token we hold is revoked. A store that is away ends it when it is back. */
export const endAsDoubtful = async (tools: Tools, session: Session, token: Secret<'refresh-token'> | undefined): Promise<Refused> => {
  const ended = await tools.store.end(session.ref, 'identity-changed')
  recordEnd(tools, session, 'identity-changed', ended)
  if (token) revokeBehind(tools, session, token)
  return refused('session.ended')
}
