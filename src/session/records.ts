import type { EndReason, SessionChange, SessionRef, SpendingMark } from '../domain/session.ts'
import type { TokenKey } from '../domain/token.ts'
import { minutes, seconds } from '../kernel/time.ts'
import type { Instant, Millis } from '../kernel/time.ts'
import type { IndexName } from './index-names.ts'

/** Moves when what is stored under a session's key can no longer be read by the release before. */
export const RECORD_VERSION = 1
/** How long an ended session, a logged-out provider session and a logged-out subject are remembered in the store. */
export const TOMBSTONE_MS: Millis = minutes(15)
/** How many keys one step of a scan looks at, about. */
export const SCAN_COUNT = 500
/** A `sub` tombstone concerns sign-ins up to this much after the logout token's `iat` (spec §4). */
export const LOGOUT_SKEW_MS: Millis = seconds(2)

/** The sealed fields of a record, each under its own name. The adapters cannot read one of them. */
export interface SealedFields {
  readonly card?: string
  readonly grant?: string
  readonly tokens: ReadonlyMap<TokenKey, string>
}

export interface StoredSession extends SealedFields {
  readonly version: number
  readonly card: string
  readonly grant: string
  readonly gen: number
  readonly rtGen: number
}

export type NoAnswer = { readonly kind: 'unavailable' }
export type Gone = { readonly kind: 'absent' } | { readonly kind: 'ended'; readonly reason: EndReason }
/** `idleForMs`: by the store's clock, since the last touch; undefined: the idle stamp has run out. */
export type RecordRead =
  | { readonly kind: 'found'; readonly stored: StoredSession; readonly idleForMs: Millis | undefined }
  | { readonly kind: 'unreadable' }
  | Gone
  | NoAnswer
export type RecordCheck = { readonly kind: 'found'; readonly gen: number; readonly idleForMs: Millis | undefined } | Gone | NoAnswer
/** The card still sealed; `idleForMs` as in `RecordRead`. */
export type RecordCard = { readonly kind: 'found'; readonly card: string; readonly idleForMs: Millis | undefined } | Gone | NoAnswer
/** `next`: undefined when all have been met. */
export type RecordScan = { readonly kind: 'refs'; readonly refs: readonly SessionRef[]; readonly next: string | undefined } | NoAnswer
export type RecordSaved =
  /** `before`: the generation that it was written over. */
  | { readonly kind: 'saved'; readonly gen: number; readonly rtGen: number; readonly before: number }
  | { readonly kind: 'absent'; readonly reason: EndReason | undefined }
  | { readonly kind: 'superseded' }
  | NoAnswer
export type RecordEnded =
  | {
      readonly kind: 'ended' | 'absent' | 'superseded'
      readonly indexes: readonly IndexName[]
      /** The tombstone is new: of many who find a session forgotten, one is the first to say so. */
      readonly isFirst: boolean
    }
  | NoAnswer
export type RecordMarked =
  | { readonly kind: 'marked' | 'superseded' | 'lease-lost' | 'absent' }
  | { readonly kind: 'found'; readonly mark: SpendingMark; readonly now: Instant }
  | NoAnswer
export type RecordTaken = 'taken' | 'recovered-before' | 'superseded' | 'lease-lost' | 'absent' | 'unavailable'

export interface NewRecord {
  readonly ref: SessionRef
  readonly card: string
  readonly grant: string
  readonly tokens: ReadonlyMap<TokenKey, string>
  readonly endsAt: Instant
  readonly idleTimeoutMs: Millis
  /** Kept beside the record, so that an end finds them without opening a seal. */
  readonly indexes: readonly IndexName[]
}

export interface MarkRequest {
  readonly ref: SessionRef
  readonly fence: string
  readonly rtGen: number
  readonly replica: string
  readonly timeoutMs: Millis
}

/**
 * Where sealed records lie. Each method is one atomic step; none throws in normal service. Only `create` makes a record: every other write first
 * asks whether it is still there, in the same step, so that no update can bring an ended session back.
 * Every step that changes what a session opens to also announces it on the event channel, in the same step.
 */
export interface SessionRecords {
  read(ref: SessionRef): Promise<RecordRead>
  /** Generation and idle stamp only. */
  check(ref: SessionRef): Promise<RecordCheck>
  /** The card and the idle stamp only: what an operator may see, and whether it is still of use. */
  card(ref: SessionRef): Promise<RecordCard>
  /**
   * One bounded step through all records, in no order that means anything. A record that is there from the first step to the last is met at least once.
   * @param cursor what the step before gave as `next`; undefined begins. One that no longer leads anywhere begins anew.
   */
  scan(cursor: string | undefined): Promise<RecordScan>
  /** `taken`: there is a tombstone or a record of this ref. */
  create(record: NewRecord): Promise<'created' | 'taken' | 'unavailable'>
  /** Moves the idle stamp by the store's clock, if it has not run out. */
  touch(ref: SessionRef, idleTimeoutMs: Millis): Promise<'touched' | 'gone' | 'unavailable'>
  /** @param spent the rt_gen that must still be there; with it `rt_gen` moves and the mark is cleared. Undefined: only `gen` moves. */
  save(ref: SessionRef, fields: SealedFields, spent: number | undefined): Promise<RecordSaved>
  /**
   * Stores once more what was saved as `rtGen`, iff the record is there and its `rt_gen` is lower: another server speaks for the store, and has lost it.
   * Not there: a store that forgets nothing it acknowledged.
   */
  restore?(ref: SessionRef, fields: SealedFields, rtGen: number): Promise<'restored' | 'kept' | 'absent' | 'unavailable'>
  /** Leaves a tombstone also where there was no record: a login under way must find it. The first reason stays. */
  end(ref: SessionRef, reason: EndReason, onlyRtGen?: number): Promise<RecordEnded>

  lease(ref: SessionRef, fence: string, length: Millis): Promise<'leased' | 'held' | 'unavailable'>
  renew(ref: SessionRef, fence: string, length: Millis): Promise<'renewed' | 'lost' | 'unavailable'>
  release(ref: SessionRef, fence: string): Promise<void>
  mark(request: MarkRequest): Promise<RecordMarked>
  /** Clears the mark that was written under this fence, no other. @param replaced is put back in its place */
  clearMark(ref: SessionRef, fence: string, rtGen: number, replaced?: SpendingMark): Promise<void>
  /** @param forgives never `recovered-before` */
  takeMark(request: MarkRequest, found: SpendingMark, forgives?: boolean): Promise<RecordTaken>

  addToIndex(index: IndexName, ref: SessionRef, endsAt: Instant): Promise<'stored' | 'unavailable'>
  dropFromIndex(index: IndexName, ref: SessionRef): Promise<void>
  /** Those first that end first. */
  refsOf(index: IndexName, most?: number): Promise<readonly SessionRef[] | 'unavailable'>
  isInIndex(index: IndexName, ref: SessionRef): Promise<boolean | 'unavailable'>
  /** A logout of everything in the index; in its slot. @param at the logout token's `iat` @param length TOMBSTONE_MS unless given */
  entomb(index: IndexName, at: Instant, length?: Millis): Promise<'stored' | 'unavailable'>
  entombedAt(index: IndexName): Promise<Instant | undefined | 'unavailable'>

  /** Per key id, the latest end of any session sealed with it: from then on the key may go. */
  noteKey(kid: string, endsAt: Instant): Promise<'stored' | 'unavailable'>
  keyUsage(): Promise<ReadonlyMap<string, Instant> | 'unavailable'>
}

/** Whether commands are answered; apart from the event channel, which has a connection of its own. */
export interface StoreConnection {
  reachable(): boolean
  connectedSince(): Instant
  /** For how long the servers that answer have been the ones they are; 0 while that is not known. What was acknowledged before may be missing. */
  serverAge(): Millis
  /** Called when another server answers than before. */
  onReplaced(listener: () => void): void
  /** Called each time commands work again, the first time included. */
  onReachable(listener: () => void): void
  close(): Promise<void>
}

/** What the event channel tells. Between `armed` and `lost` no change goes unseen, and a `beat` proves that all before it have been. */
export interface ChannelListener {
  change(change: SessionChange): void
  /** Something was put on the board of credentials, somebody says. */
  word?(field: string): void
  armed(): void
  lost(): void
  /** @param at in ticks of the clock, when it was asked for */
  beat(at: number): void
}

export interface EventChannel {
  /** How often it beats; undefined: it misses nothing and needs no proof. */
  readonly beatMs?: number
  start(listener: ChannelListener): void
  /** Connects anew: the server it listens to is not the one that is written to. */
  leave?(): void
  close(): Promise<void>
}

const REASONS: ReadonlySet<string> = new Set<EndReason>([
  'user',
  'local',
  'idle',
  'absolute',
  'provider',
  'front-channel',
  'admin',
  'replaced',
  'refresh-refused',
  'refresh-lost',
  'identity-changed',
  'recheck-failed',
  'key-removed',
  'login-raced',
])
/** A reason of a later release is still an end. */
export const endReason = (text: string): EndReason => (REASONS.has(text) ? (text as EndReason) : 'provider')
