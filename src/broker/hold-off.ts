import { backoff } from '../kernel/backoff.ts'
import type { Instant, Millis } from '../kernel/time.ts'
import { after, between, isPausedUntil, millis, seconds } from '../kernel/time.ts'
import type { Refused, Unavailable } from './renewal.ts'

const ENTRIES_MAX = 10_000
const FIRST_PAUSE = seconds(1)
const LONGEST_PAUSE = seconds(30)

interface Entry {
  readonly until: Instant
  readonly length: Millis
  readonly outcome: Refused | Unavailable
  readonly failures: number
}

/**
 * Remembers, per (session, ask) or app ask, that the last call failed, so that a page asking on and on does not hammer the provider
 * (and does not run into its loop detection, providers.md §1.13). In memory, bounded, the oldest forgotten first.
 */
export class HoldOff {
  readonly #entries = new Map<string, Entry>()

  /** The outcome to repeat without a call. */
  outcome(key: string, now: Instant): Refused | Unavailable | undefined {
    const entry = this.#entries.get(key)
    if (!entry || !isPausedUntil(entry.until, entry.length, now)) return undefined
    return entry.outcome.kind === 'refused' ? entry.outcome : { ...entry.outcome, retryAfter: between(now, entry.until) }
  }

  refused(key: string, outcome: Refused, now: Instant, length: Millis): void {
    this.#put(key, { until: after(now, length), length, outcome, failures: 0 })
  }

  /** @param pause asked for by the provider; undefined: growing pauses of our own */
  failed(key: string, outcome: Unavailable, now: Instant, pause: Millis | undefined): void {
    const failures = (this.#entries.get(key)?.failures ?? 0) + 1
    // Never less than the provider asked for; more when it goes on like that, or its "try again in five seconds" is a loop that it ends by refusing.
    const length = millis(Math.max(pause ?? 0, backoff(failures - 1, FIRST_PAUSE, LONGEST_PAUSE)))
    this.#put(key, { until: after(now, length), length, outcome, failures })
  }

  succeeded(key: string): void {
    this.#entries.delete(key)
  }

  #put(key: string, entry: Entry): void {
    this.#entries.delete(key) // to the young end
    this.#entries.set(key, entry)
    if (this.#entries.size <= ENTRIES_MAX) return
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest)
      return
    }
  }
}
