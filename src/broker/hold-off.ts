import { backoff } from '../kernel/backoff.ts'
import type { Instant, Millis } from '../kernel/time.ts'
import { after, between, isPausedUntil, millis, seconds } from '../kernel/time.ts'
import type { Refused, Unavailable } from './renewal.ts'

const ENTRIES_MAX = 10_000
const FIRST_PAUSE = seconds(1)
const LONGEST_PAUSE = seconds(30)
/** How often in a row an acceptance ends a rejection at once: what is refused again and again is refused for a reason of its own, whatever the provider calls it. */
const FORGIVEN_MOST = 3

interface Entry {
  readonly until: Instant
  readonly length: Millis
  readonly outcome: Refused | Unavailable
  readonly failures: number
  /** How often in a row it was asked for again before its time. */
  readonly forgiven: { readonly at: Instant; readonly times: number } | undefined
}

interface Rejection {
  readonly askedAt: Instant | undefined
  readonly now: Instant
  readonly length: Millis
}

/**
 * Remembers, per (session, ask) or app ask, that the last call failed, so that a page asking on and on does not hammer the provider
 * (and does not run into its loop detection, providers.md §1.13). In memory, bounded, the oldest forgotten first.
 */
export class HoldOff {
  readonly #entries = new Map<string, Entry>()
  /** Those of rejected credentials; of them, those that acceptances did not help. */
  readonly #rejected = new Set<string>()
  readonly #unhelped = new Set<string>()
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

  /**
   * The provider did not take the gateway's own credential.
   * @param askedAt undefined: not known, so nothing is said to have been accepted since
   * @param length as long as nothing is accepted. What others' acceptances did not help is asked for after a second, two, four…
   */
  rejected(key: string, outcome: Refused, { askedAt, now, length }: Rejection): void {
    const before = this.#entries.get(key)?.forgiven
    const forgiven = before && between(before.at, now) < length ? before : undefined
    const times = forgiven?.times ?? 0
    const pause = times < FORGIVEN_MOST ? length : backoff(times - FORGIVEN_MOST, FIRST_PAUSE, length)
    const next = times < FORGIVEN_MOST ? forgiven : { at: now, times: times + 1 }
    const entry = { until: after(now, pause), length: pause, outcome, failures: 0, forgiven: next }
    this.#put(key, entry)
    if (times >= FORGIVEN_MOST) return void this.#unhelped.add(key)
    this.#rejected.add(key)
    // Accepted while the call was under way: nobody says it again.
    if (askedAt !== undefined && this.#acceptedAt !== undefined && this.#acceptedAt > askedAt) this.#forgive(key, entry, now)
  }

  /** It has taken one of them now: what was refused for want of one may be asked for again, by everybody and at once. */
  accepted(now: Instant): void {
    this.#acceptedAt = now
    for (const key of this.#rejected) {
      const entry = this.#entries.get(key)
      if (entry) this.#forgive(key, entry, now)
    }
  }

  /** There is another one to try: whatever was found of those before says nothing any more. */
  another(now: Instant): void {
    for (const key of [...this.#rejected, ...this.#unhelped]) {
      const entry = this.#entries.get(key)
      if (entry) this.#entries.set(key, { ...entry, until: now, forgiven: undefined })
    }
    this.#rejected.clear()
    this.#unhelped.clear()
  }

  #forgive(key: string, entry: Entry, now: Instant): void {
    this.#rejected.delete(key)
    this.#entries.set(key, { ...entry, until: now, forgiven: { at: now, times: (entry.forgiven?.times ?? 0) + 1 } })
  }

  /** @param pause asked for by the provider; undefined: growing pauses of our own */
  failed(key: string, outcome: Unavailable, now: Instant, pause: Millis | undefined): void {
    const failures = (this.#entries.get(key)?.failures ?? 0) + 1
    // Never less than the provider asked for; more when it goes on like that, or its "try again in five seconds" is a loop that it ends by refusing.
    const length = millis(Math.max(pause ?? 0, backoff(failures - 1, FIRST_PAUSE, LONGEST_PAUSE)))
    this.#put(key, { until: after(now, length), length, outcome, failures, forgiven: undefined })
  }

  succeeded(key: string): void {
    this.#forget(key)
  }

  #forget(key: string): void {
    this.#entries.delete(key)
    this.#rejected.delete(key)
    this.#unhelped.delete(key)
  }

  #put(key: string, entry: Entry): void {
    this.#forget(key) // to the young end
    this.#entries.set(key, entry)
    if (this.#entries.size <= ENTRIES_MAX) return
    for (const oldest of this.#entries.keys()) return this.#forget(oldest)
  }
}
