import type { Instant, Millis } from '../kernel/time.ts'
import type {
  Card,
  EndReason,
  Grant,
  HeldSession,
  Lease,
  Opened,
  Session,
  SessionChange,
  SessionEnd,
  SessionRef,
  SessionsOf,
  SpendingMark,
} from './session.ts'
import type { AccessToken } from './token.ts'

/** For login: what a new session is made of; the store adds ref, cookie, generations. */
export interface SessionDraft {
  readonly card: Omit<Card, 'ref'>
  readonly grant: Grant
  readonly tokens: readonly AccessToken[]
}

export type Created =
  | { readonly kind: 'created'; readonly session: Session }
  /** A logout of the same provider session or subject arrived meanwhile (spec §4): the new session was ended again, no cookie may be set. */
  | { readonly kind: 'ended-meanwhile' }
  | { readonly kind: 'unavailable' }

/** The token that was spent decides what may be saved, not the lease. */
export type Saved =
  | { readonly kind: 'saved'; readonly session: Session }
  /** The session ended meanwhile: revoke the new refresh token. */
  | { readonly kind: 'absent'; readonly reason: EndReason | undefined }
  /** Somebody saved first: use theirs, drop ours, never revoke. */
  | { readonly kind: 'superseded' }
  | { readonly kind: 'unavailable' }

export type Marked =
  | { readonly kind: 'marked' }
  /** Somebody, perhaps a crashed replica, sent this very refresh token before. `now` is the store's clock. */
  | { readonly kind: 'found'; readonly mark: SpendingMark; readonly now: Instant }
  /** rt_gen moved: look again. */
  | { readonly kind: 'superseded' }
  | { readonly kind: 'lease-lost' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unavailable' }

/** `idleEndsAt`: unless it is used before. `gone`: ended, whoever did it, or never there. */
export type Looked = { readonly kind: 'alive'; readonly idleEndsAt: Instant } | { readonly kind: 'gone' } | { readonly kind: 'unavailable' }

export type Ended = 'ended' | 'absent' | 'unavailable'

/**
 * Where sessions live. `memory` and `redis` keep the same promises: one contract suite runs on both (test/contract/session-store.ts).
 * Nothing here throws for what can happen in normal service; an outage is the value `unavailable`.
 * Updates cannot create: no write but `create` makes a record, and none works on an ended one.
 */
export interface SessionStore {
  /** The value of the session cookie as it came. Synchronous, no I/O: a hit only while this replica's copy is known to be true (mode live) and neither end has passed. */
  peek(cookie: string, now: Instant): HeldSession | undefined
  /** The slow way: parses the cookie, asks the store, opens the seals, keeps the copy. A malformed cookie is `absent`. Ends what it finds expired. */
  open(cookie: string): Promise<Opened>
  /** Like `open`, by what we hold; never from this replica's copy. For looking again under a lease. */
  reopen(session: Session): Promise<Opened>
  /** The ref a presented cookie names, without looking anywhere; undefined when it is malformed. */
  refOf(cookie: string): SessionRef | undefined

  create(draft: SessionDraft): Promise<Created>
  /** At most once a minute per session and replica, behind the request. Never awaited, never publishes. */
  touch(held: HeldSession, now: Instant): void
  /**
   * Stores what a token call yielded. With `grant` (rotation, new claims): succeeds iff rt_gen is still `session.rtGen`, moves it, clears the mark.
   * Without: stores the access tokens only and moves `gen`; for profiles that do not rotate.
   */
  save(session: Session, change: { readonly grant: Grant | undefined; readonly tokens: readonly AccessToken[] }): Promise<Saved>
  /** Removes the record, leaves a tombstone with the reason, cleans the indexes, publishes. Idempotent. */
  end(ref: SessionRef, reason: EndReason): Promise<Ended>
  /** As `end`, iff rt_gen is still the given one, in one step: a refused refresh must not end a session that somebody else renewed. */
  endIfUnrenewed(session: Session, reason: EndReason): Promise<Ended | 'superseded'>

  /** For sessions nobody asks for, such as that of an open stream: by the ref alone, without opening it. Ends what it finds expired. */
  look(ref: SessionRef): Promise<Looked>

  /**
   * The first step of a logout of many: from here on a login of theirs that is under way finds the tombstone.
   * @param at of a subject, sign-ins up to this moment are meant (and a little more: LOGOUT_SKEW_MS)
   */
  entomb(whose: SessionsOf, at: Instant): Promise<'stored' | 'unavailable'>
  /** The second: whatever is there, logins between index and record included; also some that have ended since. */
  refsOf(whose: SessionsOf, most?: number): Promise<readonly SessionRef[] | 'unavailable'>
  /** Takes out of the index what names no session any more. Best effort. */
  forget(whose: SessionsOf, ref: SessionRef): Promise<void>

  /** One holder per session in the whole fleet; undefined: somebody else holds it. Expires after `length` unless renewed. */
  acquireLease(ref: SessionRef, length: Millis): Promise<Lease | 'held' | 'unavailable'>
  renewLease(lease: Lease, length: Millis): Promise<'renewed' | 'lost' | 'unavailable'>
  releaseLease(lease: Lease): Promise<void>
  /** Right before sending: checks lease and rt_gen and writes the mark, in one step. */
  markSpending(lease: Lease, session: Session, timeoutMs: Millis): Promise<Marked>
  /**
   * The request was certainly not sent or not spent: takes our own mark back.
   * @param replaced the mark that ours took the place of: of that sender's request nobody knows more than before, so it is put back, and no recovery was made
   */
  clearMark(lease: Lease, session: Session, replaced?: SpendingMark): Promise<void>
  /**
   * After waiting for the sender's save in vain: replaces exactly the found mark by ours, under the lease; counted, so that only one recovery is ever made.
   * @param forgives by a provider that does not mind: as many as it takes
   */
  takeOverMark(
    lease: Lease,
    session: Session,
    found: SpendingMark,
    timeoutMs: Millis,
    forgives?: boolean,
  ): Promise<'taken' | 'recovered-before' | 'superseded' | 'lease-lost' | 'absent' | 'unavailable'>

  /** Every write, wherever it was made, this replica included. */
  onChange(listener: (change: SessionChange) => void): () => void
  /** Every end this replica hears of, once each: its own, another's, and what the store found to be over. */
  onEnded(listener: (end: SessionEnd) => void): () => void
  /** When this replica's connection to the store last came back; a mark's finder waits at least 3 s from here. */
  connectedSince(): Instant
  /**
   * For how long the servers behind the store have been the ones they are; 0 while that is not known. Another one may have acknowledged before what is
   * missing here; a replica that stored a rotated refresh token there stores it again.
   */
  serverAge(): Millis
  mode(): 'live' | 'checking' | 'grace'
  /** Resolves when the store has answered once. Readiness. */
  ready(): Promise<void>
  reachable(): boolean
  close(): Promise<void>
}

export type OncePurpose = 'state' | 'logout-jti' | 'revocation'

/** Things that may happen once, and small sealed records that are taken once. Same adapters, same contract suites. */
export interface OnceStore {
  /**
   * SET NX on a digest. `state`: a doubled callback never redeems twice; a store that is away costs no code. `logout-jti`: a logout token that has done its
   * work. `revocation`: of the replicas that hold an ended session open, one tells the provider.
   */
  claim(purpose: OncePurpose, digest: string, forMs: Millis): Promise<'first' | 'again' | 'unavailable'>
  /** Whether it was claimed, without claiming it. */
  seen(purpose: 'logout-jti', digest: string): Promise<boolean | 'unavailable'>
  /** Takes a claim back, for when it is certain that nothing was done under it. Best effort: one that stays only costs a new start. */
  release(purpose: 'state', digest: string): Promise<void>
  /** One-use records; the value is sealed by the caller. */
  put(purpose: 'logout-continue', name: string, sealed: string, forMs: Millis): Promise<'stored' | 'unavailable'>
  take(purpose: 'logout-continue', name: string): Promise<string | 'absent' | 'unavailable'>
}
