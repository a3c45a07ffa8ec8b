import { LRUCache } from 'lru-cache'
import type { Metrics } from '../domain/metric.ts'
import type { SessionRef } from '../domain/session.ts'
import type { Log } from '../kernel/ports.ts'
import { minutes } from '../kernel/time.ts'
import type { SealedFields, SessionRecords } from './records.ts'

/** As long as ended sessions are remembered. */
const REMEMBERED_MS = minutes(10)
const ENTRIES_MAX = 10_000
const CHARS_MAX = 16 * 1024 * 1024
const OVERHEAD_CHARS = 256
const BATCH = 50

export interface SavedAgainDeps {
  readonly records: Pick<SessionRecords, 'restore'>
  readonly metrics: Metrics
  readonly log: Log
}

interface Kept {
  readonly fields: SealedFields
  readonly rtGen: number
}

/**
 * The rotated refresh tokens that this replica stored of late, sealed as they were stored; of each session the newest. A failover may lose one, and the
 * record then holds a token that is spent: the provider takes its second use for theft (RFC 9700 §4.14.2). Whoever received the new one writes it again,
 * where the record is there and older. Bounded; the oldest goes first.
 */
export class SavedAgain {
  readonly #deps: SavedAgainDeps
  readonly #kept = new LRUCache<SessionRef, Kept>({ max: ENTRIES_MAX, maxSize: CHARS_MAX, ttl: REMEMBERED_MS })
  #run: Promise<void> | undefined
  #again = false

  constructor(deps: SavedAgainDeps) {
    this.#deps = deps
  }

  remember(ref: SessionRef, fields: SealedFields, rtGen: number): void {
    if (!this.#deps.records.restore) return
    const size = [fields.card ?? '', fields.grant ?? '', ...fields.tokens.values()].reduce((sum, text) => sum + text.length, OVERHEAD_CHARS)
    this.#kept.set(ref, { fields, rtGen }, { size })
  }
  forget(ref: SessionRef): void {
    this.#kept.delete(ref)
  }
  /** Whether a record with this `rt_gen` has lost what this replica had stored in it. */
  isBehind(ref: SessionRef, rtGen: number): boolean {
    return (this.#kept.peek(ref)?.rtGen ?? 0) > rtGen
  }

  /** Compare and set: two replicas that remember two rotations of one session leave the later one, in whatever order they come. */
  async restore(ref: SessionRef): Promise<'restored' | 'kept' | 'absent' | 'unavailable'> {
    const { records, metrics } = this.#deps
    const kept = this.#kept.peek(ref)
    if (!kept || !records.restore) return 'kept'
    const done = await records.restore(ref, kept.fields, kept.rtGen)
    if (done === 'absent') this.forget(ref)
    if (done === 'restored') metrics.count('sallyport_session_saved_again_total', {})
    return done
  }

  /** When another server has come to speak for the store; newest first, because a failover loses the newest. Twice at once: the second begins anew. */
  run(): Promise<void> {
    this.#again = true
    this.#run ??= this.#all().finally(() => (this.#run = undefined))
    return this.#run
  }

  async #all(): Promise<void> {
    let count = 0
    while (this.#again) {
      this.#again = false
      const refs = [...this.#kept.keys()]
      for (let i = 0; i < refs.length && !this.#again; i += BATCH) {
        const done = await Promise.all(refs.slice(i, i + BATCH).map((ref) => this.restore(ref)))
        count += done.filter((one) => one === 'restored').length
        if (done.includes('unavailable')) break // what is left is found at its next read, or with the next server
      }
    }
    if (count > 0)
      this.#deps.log.warn({ count }, 'rotated refresh tokens were missing with another server of the store, and were stored again')
  }
}
