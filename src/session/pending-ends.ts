import type { Metrics } from '../domain/metric.ts'
import type { EndReason, SessionRef } from '../domain/session.ts'

const PENDING_MAX = 10_000

/**
 * Ends that the store could not take: tried again when it answers and each second after that, while the process lives. A logout that was answered "pending" is not forgotten.
 * Bounded: the oldest goes first; its session still ends by time.
 */
export class PendingEnds {
  readonly #pending = new Map<SessionRef, EndReason>()
  readonly #end: (ref: SessionRef, reason: EndReason) => Promise<unknown>
  readonly #metrics: Metrics
  #retrying: Promise<void> | undefined

  constructor(end: (ref: SessionRef, reason: EndReason) => Promise<unknown>, metrics: Metrics) {
    this.#end = end
    this.#metrics = metrics
  }
  add(ref: SessionRef, reason: EndReason): void {
    if (this.#pending.has(ref)) return
    const [oldest] = this.#pending.keys()
    if (this.#pending.size >= PENDING_MAX && oldest !== undefined) {
      this.#pending.delete(oldest)
      this.#metrics.count('sallyport_session_ends_dropped_total', {})
    }
    this.#pending.set(ref, reason)
    this.#tell()
  }
  delete(ref: SessionRef): void {
    if (this.#pending.delete(ref)) this.#tell()
  }
  /** In order; one that fails again stays, and the rest waits for the next time. Whoever asks while it runs waits for this run. */
  retry(): Promise<void> {
    this.#retrying ??= this.#all().finally(() => {
      this.#retrying = undefined
    })
    return this.#retrying
  }
  async #all(): Promise<void> {
    for (const [ref, reason] of this.#pending) if ((await this.#end(ref, reason)) === 'unavailable') return
  }
  get size(): number {
    return this.#pending.size
  }
  #tell(): void {
    this.#metrics.gauge('sallyport_session_pending_ends', this.#pending.size, {})
  }
}
