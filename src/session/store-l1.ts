import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { EndReason, Session, SessionRef } from '../domain/session.ts'
import { minutes } from '../kernel/time.ts'
import type { Instant, Millis } from '../kernel/time.ts'
import { Held } from './held.ts'
import type { SeenBox } from './held.ts'
import { expiredBy } from './lifetime.ts'

export interface L1Settings {
  readonly entriesMax: number
  readonly bytesMax: number
}

export interface L1Entry {
  readonly digest: string
  readonly session: Session
  readonly held: Held
  /** The same session, for when the store cannot be asked. */
  readonly stale: Held
  readonly seen: SeenBox
  /** When the store last confirmed it by a read, in ticks: a clock that is set changes no age. A heartbeat in mode live confirms all. */
  checkedAt: number
  /** Which arming of the event channel keeps it true; only the present one counts in mode live. */
  epoch: number
}

/** Objects, parsed claims, maps around a session, roughly: `npm run measure:sessions` tells what one weighs. */
const OVERHEAD_BYTES = 2_560
/** Tokens and claims are Latin-1 at most, which V8 keeps in a byte each. */
const BYTES_PER_CHAR = 1
/** A replica remembers what has ended for this long, so that no answer that was under way brings it back. */
const ENDED_MS = minutes(10)
const ENDED_MAX = 100_000

/**
 * Opened sessions of this replica, by the SHA-256 of the whole cookie value: a session id with another data key is another entry, and the time a
 * look-up by digest takes says nothing about either. Bounded in entries and bytes. `crypto.hash` is one call without an object.
 */
export const digestOf = (cookie: string): string => hash('sha256', cookie, 'base64')

export class L1 {
  readonly #entries: LRUCache<string, L1Entry>
  readonly #digests = new Map<SessionRef, string>()
  readonly #ended = new LRUCache<SessionRef, EndReason>({ max: ENDED_MAX, ttl: ENDED_MS, ttlAutopurge: false })
  /** Reads under way, with the newest generation heard of meanwhile. */
  readonly #flights = new Map<SessionRef, { readers: number; newest: number }>()
  readonly #idleTimeoutMs: Millis

  constructor({ entriesMax, bytesMax }: L1Settings, idleTimeoutMs: Millis) {
    this.#idleTimeoutMs = idleTimeoutMs
    this.#entries = new LRUCache<string, L1Entry>({
      max: entriesMax,
      maxSize: bytesMax,
      dispose: (entry, digest) => {
        if (this.#digests.get(entry.session.ref) === digest) this.#digests.delete(entry.session.ref)
      },
    })
  }

  /** @returns undefined also when either end has passed: the store decides then */
  get(digest: string, now: Instant): L1Entry | undefined {
    const entry = this.#entries.get(digest)
    return entry && this.expiry(entry, now) === undefined ? entry : undefined
  }
  /** As it lies there, expired or not; does not count as a use. */
  look(digest: string): L1Entry | undefined {
    return this.#entries.peek(digest)
  }
  expiry(entry: L1Entry, now: Instant): 'absolute' | 'idle' | undefined {
    return expiredBy({ lastSeenAt: entry.seen.at, endsAt: entry.session.card.endsAt, idleTimeoutMs: this.#idleTimeoutMs }, now)
  }

  /**
   * Keeps what a read or a write yielded, unless something newer was heard of while it was under way, or the session ended.
   * @returns the object to hand out, kept or not
   */
  keep(digest: string, session: Session, chars: number, seenAt: Instant, checkedAt: number, epoch: number): Held {
    const { ref, gen } = session
    const before = this.#entryOf(ref)
    const isSame = before?.session.gen === gen && before.digest === digest && before.session.tokens.size === session.tokens.size
    if (before && isSame && !this.#ended.has(ref)) {
      // Read again, unchanged: whoever holds the object keeps holding the one that is used.
      if (before.checkedAt < checkedAt) before.checkedAt = checkedAt
      if (before.seen.at < seenAt) before.seen.at = seenAt
      before.epoch = Math.max(before.epoch, epoch)
      return before.held
    }
    const seen: SeenBox = { at: seenAt }
    const held = new Held(session, seen, false)
    const outdated =
      this.#ended.has(ref) || (this.#flights.get(ref)?.newest ?? 0) > gen || (before !== undefined && before.session.gen > gen)
    if (outdated) return held
    const entry: L1Entry = { digest, session, held, stale: new Held(session, seen, true), seen, checkedAt, epoch }
    this.#entries.set(digest, entry, { size: OVERHEAD_BYTES + chars * BYTES_PER_CHAR })
    if (this.#entries.has(digest)) this.#digests.set(ref, digest)
    return held
  }

  /** Runs a read or write of `ref`; what is heard of it meanwhile is remembered for `keep`. */
  async during<T>(ref: SessionRef, work: () => Promise<T>): Promise<T> {
    const flight = this.#flights.get(ref) ?? { readers: 0, newest: 0 }
    flight.readers += 1
    this.#flights.set(ref, flight)
    try {
      return await work()
    } finally {
      flight.readers -= 1
      if (flight.readers === 0) this.#flights.delete(ref)
    }
  }

  /** Somebody wrote generation `gen`: an older copy is no longer true, nor is what a read under way may bring. */
  written(ref: SessionRef, gen: number): void {
    const flight = this.#flights.get(ref)
    if (flight && gen > flight.newest) flight.newest = gen
    const entry = this.#entryOf(ref)
    if (entry && entry.session.gen < gen) this.#entries.delete(entry.digest)
  }
  drop(ref: SessionRef): void {
    const digest = this.#digests.get(ref)
    if (digest !== undefined) this.#entries.delete(digest)
  }
  /** @returns false when this replica knew already */
  ended(ref: SessionRef, reason: EndReason): boolean {
    this.drop(ref)
    if (this.#ended.has(ref)) return false
    this.#ended.set(ref, reason)
    return true
  }
  /** As it lies there, expired or not. */
  sessionOf(ref: SessionRef): Session | undefined {
    return this.#entryOf(ref)?.session
  }
  endedBecause(ref: SessionRef): EndReason | undefined {
    return this.#ended.get(ref)
  }
  /** All ends that are remembered, newest first. */
  endedRefs(): Iterable<[SessionRef, EndReason]> {
    return this.#ended.entries()
  }

  all(): readonly L1Entry[] {
    return [...this.#entries.values()]
  }
  clear(): void {
    this.#entries.clear()
  }
  get size(): number {
    return this.#entries.size
  }
  get bytes(): number {
    return this.#entries.calculatedSize
  }
  #entryOf(ref: SessionRef): L1Entry | undefined {
    const digest = this.#digests.get(ref)
    return digest === undefined ? undefined : this.#entries.peek(digest)
  }
}
