import type { Instant } from '../kernel/time.ts'
import type { Card, SessionRef } from './session.ts'

/** A session as operators and its owner see it: what the keyring alone opens. */
export interface ListedSession {
  readonly card: Card
  /** When it was last used, to about a minute. */
  readonly lastSeenAt: Instant
}

export interface SessionPage {
  /** Of those that are alive. */
  readonly sessions: readonly ListedSession[]
  /** Records whose card does not open here: damaged, or sealed with a key that is gone or not here yet. They are in no list. */
  readonly unreadable: number
  /** For the next page; undefined: that was all. */
  readonly next: string | undefined
}

/** A subject as its issuer names it. */
export interface SubjectName {
  readonly issuer: string
  readonly subject: string
}

/** Looks at sessions without their cookies. Every call is bounded; none opens a token, and none counts as use. */
export interface SessionDirectory {
  find(ref: SessionRef): Promise<ListedSession | 'absent' | 'unreadable' | 'unavailable'>
  /** By the index of the subject, in no order that means anything. @param cursor `next` of the page before */
  ofSubject(subject: SubjectName, cursor: string | undefined): Promise<SessionPage | 'unavailable'>
  /** Whether this ref stands in the subject's index; asks nothing about the session itself, so that the time it takes tells nothing about others. */
  isOfSubject(subject: SubjectName, ref: SessionRef): Promise<boolean | 'unavailable'>
  /** Refs of an index name sessions that have ended, too, where a crash left them; this takes one out. */
  forget(subject: SubjectName, ref: SessionRef): Promise<void>
  /** One step through everything. A session that is there throughout is met at least once, perhaps twice. */
  step(cursor: string | undefined): Promise<SessionPage | 'unavailable'>
  /**
   * Before all sessions of a subject are ended: for half a minute each of its sign-ins that comes to its end is ended as well. Whoever is between
   * redeeming and storing is not found in the index, and needs a tombstone.
   */
  endSignIns(provider: string, subject: string): Promise<'stored' | 'unavailable'>
  /**
   * The same before sessions are ended by anything else than their subject: every sign-in that came to its end by `at`, or by a second from now if that is
   * earlier, and is still on its way to its record.
   */
  endSignInsUntil(at: Instant): Promise<'stored' | 'unavailable'>
  /** Per key id of the keyring, the latest end of any session sealed with it. */
  keyUsage(): Promise<ReadonlyMap<string, Instant> | 'unavailable'>
}
