import type { ListedSession, SessionDirectory, SessionPage, SubjectName } from '../domain/session-directory.ts'
import type { SessionRef } from '../domain/session.ts'
import type { Sealer } from '../domain/sealer.ts'
import { after, earliest, instant, seconds } from '../kernel/time.ts'
import type { Clock, Millis } from '../kernel/time.ts'
import { openCard } from './codec.ts'
import { everybodysTombstone, operatorTombstone, subjectIndex } from './index-names.ts'
import type { IndexName } from './index-names.ts'
import type { SessionRecords } from './records.ts'

export interface DirectoryDeps {
  readonly records: SessionRecords
  readonly sealer: Sealer
  readonly app: string
  readonly clock: Clock
  readonly idleTimeoutMs: Millis
}

/** One page of a subject's sessions. */
const SUBJECT_PAGE = 100
/** Cards asked for at once. */
const AT_ONCE = 50
/**
 * Longer than any sign-in takes from its redemption to the look at the tombstones, by no clock but the store's. Not longer: it keeps away the honest one,
 * too, whom the provider lets in without a question.
 */
const SIGN_INS_END_MS = seconds(30)

/** How far the clocks of two replicas may disagree that both follow the store's. */
const CLOCKS_APART_MS = seconds(1)

type Found = ListedSession | 'absent' | 'unreadable' | 'unavailable'

export const createSessionDirectory = (deps: DirectoryDeps): SessionDirectory => {
  const { records, sealer, app, clock, idleTimeoutMs } = deps
  const indexOf = ({ issuer, subject }: SubjectName): IndexName => subjectIndex(sealer, app, issuer, subject)

  const find = async (ref: SessionRef): Promise<Found> => {
    const startedAt = clock.now()
    const read = await records.card(ref)
    if (read.kind === 'unavailable') return 'unavailable'
    if (read.kind !== 'found') return 'absent'
    // Over, though nobody has come to notice.
    if (read.idleForMs === undefined || read.idleForMs >= idleTimeoutMs) return 'absent'
    const card = openCard(deps, ref, read.card)
    if ('kind' in card) return 'unreadable'
    return card.endsAt <= startedAt ? 'absent' : { card, lastSeenAt: instant(startedAt - read.idleForMs) }
  }

  const pageOf = async (refs: readonly SessionRef[], next: string | undefined): Promise<SessionPage | 'unavailable'> => {
    const sessions: ListedSession[] = []
    let unreadable = 0
    for (let i = 0; i < refs.length; i += AT_ONCE) {
      for (const found of await Promise.all(refs.slice(i, i + AT_ONCE).map(find))) {
        if (found === 'unavailable') return found
        if (found === 'unreadable') unreadable += 1
        else if (found !== 'absent') sessions.push(found)
      }
    }
    return { sessions, unreadable, next }
  }

  return {
    find,
    ofSubject: async (subject, cursor) => {
      const refs = await records.refsOf(indexOf(subject))
      if (refs === 'unavailable') return refs
      // Behind the ref the page before ended with, in an order that does not move when sessions end.
      const sorted = refs.toSorted()
      const rest = cursor === undefined ? sorted : sorted.filter((ref) => ref > cursor)
      const page = rest.slice(0, SUBJECT_PAGE)
      return pageOf(page, rest.length > page.length ? page.at(-1) : undefined)
    },
    isOfSubject: (subject, ref) => records.isInIndex(indexOf(subject), ref),
    forget: (subject, ref) => records.dropFromIndex(indexOf(subject), ref),
    step: async (cursor) => {
      const step = await records.scan(cursor)
      return step.kind === 'unavailable' ? step.kind : pageOf([...new Set(step.refs)], step.next)
    },
    endSignIns: (provider, subject) => records.entomb(operatorTombstone(sealer, app, provider, subject), clock.now(), SIGN_INS_END_MS),
    endSignInsUntil: (at) => {
      const latest = earliest(at, after(clock.now(), CLOCKS_APART_MS))
      return records.entomb(everybodysTombstone(sealer, app), latest, SIGN_INS_END_MS)
    },
    keyUsage: () => records.keyUsage(),
  }
}
