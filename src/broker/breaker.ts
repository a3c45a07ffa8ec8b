import { backoff } from '../kernel/backoff.ts'
import type { Instant, Millis } from '../kernel/time.ts'
import { after, between, isPausedUntil, millis, minutes, seconds } from '../kernel/time.ts'

/** So many different asks must fail in a row before all others are held back: one user's bad luck is not the provider's outage. */
const FAILURES_TO_OPEN = 3
const RETRY_AFTER_MOST = minutes(60)
const FIRST_PAUSE = seconds(1)
const LONGEST_PAUSE = seconds(30)

/**
 * Stops hammering a provider that is away or throttles. Opens at once when the provider asks for a pause, else after three different asks failed
 * without a success between. When the pause is over one probe goes out; its outcome closes or opens again. Pure in time: `now` is an argument.
 */
export class Breaker {
  readonly #failing = new Set<string>()
  #openUntil: Instant | undefined
  #openFor = millis(0)
  #opened = 0
  #probe: string | undefined
  /** The provider asked for this pause. */
  #isAskedFor = false

  /** How long to stay away; undefined: a call may be made. Changes nothing. */
  blockedFor(now: Instant): Millis | undefined {
    if (this.#openUntil === undefined) return undefined
    if (isPausedUntil(this.#openUntil, this.#openFor, now)) return between(now, this.#openUntil)
    return this.#probe === undefined ? undefined : FIRST_PAUSE
  }

  /** Right before a call; every `enter` without an answer is followed by `succeeded`, `answered` or `failed` with the same key. */
  enter(key: string, now: Instant): Millis | undefined {
    const blocked = this.blockedFor(now)
    if (blocked === undefined && this.#openUntil !== undefined) this.#probe = key
    return blocked
  }

  /** Any answer that shows the provider at work, refusals included. One to what was sent before a pause that was asked for does not end it. */
  succeeded(now: Instant): void {
    this.#failing.clear()
    this.#probe = undefined
    if (this.#isAskedFor && this.#openUntil !== undefined && isPausedUntil(this.#openUntil, this.#openFor, now)) return
    this.#isAskedFor = false
    this.#openUntil = undefined
    this.#opened = 0
  }

  /** Somebody is there, and what came says nothing more: the end of a probe, and no word on other asks. */
  answered(key: string, now: Instant): void {
    if (this.#probe === key) this.succeeded(now)
  }

  /** @param pause what the provider asked for with 429 or 503; undefined: it did not ask */
  failed(key: string, now: Instant, pause: Millis | undefined): void {
    const probeFailed = this.#probe === key
    if (probeFailed) this.#probe = undefined
    this.#failing.add(key)
    if (pause === undefined && !probeFailed && this.#failing.size < FAILURES_TO_OPEN) return
    const length = Math.max(pause ?? 0, backoff(this.#opened, FIRST_PAUSE, LONGEST_PAUSE))
    const openFor = millis(Math.min(length, RETRY_AFTER_MOST))
    const until = after(now, openFor)
    // Calls that were under way when it opened come back one by one: they may lengthen the pause, never count as further openings.
    const isOpen = this.#openUntil !== undefined && isPausedUntil(this.#openUntil, this.#openFor, now)
    if (!isOpen) this.#opened += 1
    this.#isAskedFor = pause !== undefined || (isOpen && this.#isAskedFor)
    if (!isOpen || this.#openUntil === undefined || until > this.#openUntil) {
      this.#openUntil = until
      this.#openFor = openFor
    }
    this.#failing.clear()
  }
}
