import { backoff } from '../kernel/backoff.ts'
import type { Instant, Millis } from '../kernel/time.ts'
import { after, between, isPausedUntil, millis, seconds } from '../kernel/time.ts'
import type { Refused, Unavailable } from './renewal.ts'

const ENTRIES_MAX = 10_000
const FIRST_PAUSE = seconds(1)
const LONGEST_PAUSE = seconds(30)
/** What was accepted this long before a rejection is remembered was accepted while that call was under way. */
const JUST_NOW = seconds(5)
/** How often in a row a rejection is forgotten: what is refused again and again is refused for a reason of its own, whatever the provider calls it. */
const FORGIVEN_MOST = 3

interface Entry {
  readonly until: Instant
  readonly length: Millis
  readonly outcome: Refused | Unavailable
  readonly failures: number
  readonly forgiven: { readonly at: Instant; readonly times: number } | undefined
}

/**
 * Remembers, per (session, ask) or app ask, that the last call failed, so that a page asking on and on does not hammer the provider
 * (and does not run into its loop detection, providers.md §1.13). In memory, bounded, the oldest forgotten first.
 */
export class HoldOff {
  readonly #entries = new Map<string, Entry>()
  /** Of rejected credentials, and not forgiven too often. */
  readonly #rejected = new Set<string>()
  #acceptedAt: Instant | undefined

  /** The outcome to repeat without a call. */
  outcome(key: string, now: Instant): Refused | Unavailable | undefined {
    const entry = this.#entries.get(key)
    if (!entry || !isPausedUntil(entry.until, entry.length, now)) return undefined
    return entry.outcome.kind === 'refused' ? entry.outcome : { ...entry.outcome, retryAfter: between(now, entry.until) }
  }

  refused(key: string, outcome: Refused, now: Instant, length: Millis): void {
    this.#put(key, { until: after(now, length), length, outcome, failures: 0, forgiven: undefined })
  }

  /** The provider did not take the gateway's own credential. */
  rejected(key: string, outcome: Refused, now: Instant, length: Millis): void {
    const before = this.#entries.get(key)?.forgiven
    const forgiven = before && between(before.at, now) < length ? before : undefined
    this.#put(key, { until: after(now, length), length, outcome, failures: 0, forgiven })
    if ((forgiven?.times ?? 0) >= FORGIVEN_MOST) return
    this.#rejected.add(key)
    if (this.#acceptedAt !== undefined && Math.abs(between(this.#acceptedAt, now)) < JUST_NOW) this.forgive(now)
  }

  /** It has taken one of them now: what was refused for want of one may be asked for again, by everybody and at once. */
  accepted(now: Instant): void {
    this.#acceptedAt = now
    this.forgive(now)
  }

  /** The same where there is another one to try, and nobody knows yet. */
  forgive(now: Instant): void {
    for (const key of this.#rejected) {
      const entry = this.#entries.get(key)
      if (entry) this.#entries.set(key, { ...entry, until: now, forgiven: { at: now, times: (entry.forgiven?.times ?? 0) + 1 } })
    }
    this.#rejected.clear()
  }

  /** @param pause asked for by the provider; undefined: growing pauses of our own */
  failed(key: string, outcome: Unavailable, now: Instant, pause: Millis | undefined): void {
    const failures = (this.#entries.get(key)?.failures ?? 0) + 1
    // Never less than the provider asked for; more when it goes on like that, or its "try again in five seconds" is a loop that it ends by refusing.
    const length = millis(Math.max(pause ?? 0, backoff(failures - 1, FIRST_PAUSE, LONGEST_PAUSE)))
    this.#put(key, { until: after(now, length), length, outcome, failures, forgiven: undefined })
  }

  succeeded(key: string): void {
    this.#entries.delete(key)
    this.#rejected.delete(key)
  }

  #put(key: string, entry: Entry): void {
    this.#rejected.delete(key)
    this.#entries.delete(key) // to the young end
    this.#entries.set(key, entry)
    if (this.#entries.size <= ENTRIES_MAX) return
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest)
      this.#rejected.delete(oldest)
      return
    }
  }
}
