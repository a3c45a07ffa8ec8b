import type { AuditSink } from '../domain/audit-event.ts'
import type { ListedSession, SessionDirectory, SubjectName } from '../domain/session-directory.ts'
import type { SessionStore } from '../domain/session-store.ts'
import type { HeldSession, SessionRef } from '../domain/session.ts'
import { endSession } from './end-sessions.ts'
import type { Visitor } from './visitor.ts'

export interface MySessionsDeps {
  readonly store: Pick<SessionStore, 'end'>
  readonly directory: Pick<SessionDirectory, 'ofSubject' | 'isOfSubject' | 'forget'>
  readonly audit: AuditSink
}

/** A person has a handful; a robot that signs in a thousand times needs no list. */
const LISTED_MAX = 200
/** Each page steps through the subject's whole index: ten thousand sessions that idled away must not make one request a million steps. */
const PAGES_MAX = 10

/** Sessions of the same subject at the same issuer, the one that asks first, then by when they were last used. */
export const mySessions = async ({ directory }: MySessionsDeps, held: HeldSession): Promise<readonly ListedSession[] | 'unavailable'> => {
  const { card } = held.session
  const others: ListedSession[] = []
  let cursor: string | undefined
  let pages = 0
  do {
    pages += 1
    const page = await directory.ofSubject(subjectOf(held), cursor)
    if (page === 'unavailable') return page
    others.push(...page.sessions.filter((one) => one.card.ref !== card.ref))
    cursor = page.next
  } while (cursor !== undefined && others.length < LISTED_MAX && pages < PAGES_MAX)
  const sorted = others.toSorted((a, b) => b.lastSeenAt - a.lastSeenAt).slice(0, LISTED_MAX)
  return [{ card, lastSeenAt: held.lastSeenAt }, ...sorted]
}

/**
 * Ends another of mine. `unknown`: somebody else's, over, or never there; which of them is not told, and takes no different time to find out, because only
 * the caller's own index is looked into.
 */
export const endMine = async (
  deps: MySessionsDeps,
  held: HeldSession,
  ref: SessionRef,
  { requestId, address }: Visitor,
): Promise<'ended' | 'unknown' | 'unavailable'> => {
  const isMine = await deps.directory.isOfSubject(subjectOf(held), ref)
  if (isMine === 'unavailable') return isMine
  if (!isMine) return 'unknown'
  const { provider, subject, tenant } = held.session.card
  const ended = await endSession(deps, ref, 'user', { requestId, address, provider, subject, tenant })
  if (ended !== 'absent') return ended
  // Left in the index by a crash: it named nothing.
  await deps.directory.forget(subjectOf(held), ref)
  return 'unknown'
}

const subjectOf = ({ session: { card, grant } }: HeldSession): SubjectName => ({ issuer: grant.issuer, subject: card.subject })
