import type { Metrics } from '../domain/metric.ts'
import type { EndReason, SessionRef } from '../domain/session.ts'

const PENDING_MAX = 10_000
const BATCH = 50

/**
 * Ends that the store could not take: tried again when it answers and each second after that, while the process lives. A logout that was answered "pending" is not forgotten.
 * Bounded: names that anybody may have invented while nobody could look go first, then the oldest; a session that is dropped still ends by time.
 */
export class PendingEnds {
  readonly #pending = new Map<SessionRef, EndReason>()
  /** Of these, the ones that this replica has never seen a session of. */
  readonly #unseen = new Set<SessionRef>()
  readonly #end: (ref: SessionRef, reason: EndReason) => Promise<unknown>
  readonly #metrics: Metrics
  #retrying: Promise<void> | undefined

  constructor(end: (ref: SessionRef, reason: EndReason) => Promise<unknown>, metrics: Metrics) {
    this.#end = end
    this.#metrics = metrics
  }
  /** @param isSeen this replica held the session open: its cookie was shown to be one */
  add(ref: SessionRef, reason: EndReason, isSeen: boolean): void {
    if (this.#pending.has(ref)) return
    if (this.#pending.size >= PENDING_MAX) {
      const [oldest] = this.#unseen.size > 0 ? this.#unseen : this.#pending.keys()
      this.#metrics.count('sallyport_session_ends_dropped_total', {})
      if (oldest === undefined || (!isSeen && this.#unseen.size === 0)) return
      this.#forget(oldest)
    }
    this.#pending.set(ref, reason)
    if (!isSeen) this.#unseen.add(ref)
    this.#tell()
  }
  delete(ref: SessionRef): void {
    if (this.#forget(ref)) this.#tell()
  }
  #forget(ref: SessionRef): boolean {
    this.#unseen.delete(ref)
    return this.#pending.delete(ref)
  }
  /** In order; one that fails again stays, and the rest waits for the next time. Whoever asks while it runs waits for this run. */
  retry(): Promise<void> {
    this.#retrying ??= this.#all().finally(() => {
      this.#retrying = undefined
    })
    return this.#retrying
  }
  async #all(): Promise<void> {
    const all = [...this.#pending]
    // One alone shows whether the store takes any; then many at once, because a process that ends waits for them.
    for (let from = 0; from < all.length; from += from === 0 ? 1 : BATCH) {
      const some = all.slice(from, from === 0 ? 1 : from + BATCH)
      const done = await Promise.all(some.map(([ref, reason]) => this.#end(ref, reason)))
      if (done.includes('unavailable')) return
    }
  }
  get size(): number {
    return this.#pending.size
  }
  #tell(): void {
    this.#metrics.gauge('sallyport_session_pending_ends', this.#pending.size, {})
  }
}
