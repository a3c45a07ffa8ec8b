import { setTimeout as sleepFor } from 'node:timers/promises'

/** Milliseconds since 1970-01-01T00:00:00Z. */
export type Instant = number & { readonly __instant: true }
/** A length of time in milliseconds. */
export type Millis = number & { readonly __millis: true }

export const instant = (ms: number): Instant => ms as Instant
export const millis = (ms: number): Millis => ms as Millis
export const seconds = (s: number): Millis => (s * 1000) as Millis
export const minutes = (m: number): Millis => (m * 60_000) as Millis

/** The moment `length` after `at`; a negative length lies before it. */
export const after = (at: Instant, length: Millis): Instant => (at + length) as Instant
/** How long it is from `from` to `to`; negative when `to` lies before. */
export const between = (from: Instant, to: Instant): Millis => (to - from) as Millis
export const earliest = (a: Instant, b: Instant): Instant => (a < b ? a : b)
/** More than callers differ in when they looked at the clock. */
const LOOKED_APART_MS = 1_000
/**
 * Whether a pause that ends at `until` is still on. One that has more to go than it was long is over: the clock was set back since it began, and nobody is to
 * wait for as long as that was.
 */
export const isPausedUntil = (until: Instant, length: Millis, now: Instant): boolean =>
  now < until && between(now, until) <= length + LOOKED_APART_MS
/** NumericDate of RFC 7519 §2: whole seconds. */
export const toNumericDate = (at: Instant): number => Math.floor(at / 1000)
export const fromNumericDate = (s: number): Instant => (s * 1000) as Instant

/** Only adapters and the code that waits hold a clock; pure code takes `now` as an argument. Tests move it by hand. */
export interface Clock {
  now(): Instant
  /** Milliseconds that only go forward, from nowhere in particular: for lengths. Without it `now` does, which can be set. */
  ticks?(): number
  /** Rejects with the signal's reason when aborted. Never keeps the process alive on its own. */
  sleep(length: Millis, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: () => Date.now() as Instant,
  ticks: () => performance.now(),
  sleep: async (length, signal) => {
    await sleepFor(length, undefined, { ref: false, ...(signal && { signal }) })
  },
}

export const ticks = (clock: Clock): number => clock.ticks?.() ?? clock.now()

/** A length that begins now and stays what it is, whatever becomes of the clock meanwhile. @returns how much of it is left; negative when it is over */
export const countdown = (clock: Clock, length: Millis): (() => Millis) => {
  const over = ticks(clock) + length
  return () => millis(over - ticks(clock))
}

/** This machine's time as it was when the process began, and since then only lengths: nobody sets it. For what compares moments of this process alone. */
export const steadyClock: Clock = {
  now: () => instant(Math.round(performance.timeOrigin + performance.now())),
  ticks: () => performance.now(),
  sleep: systemClock.sleep,
}

/** A clock that goes by somebody else's: replicas whose machines disagree by minutes agree on what all of them read and write. */
export interface FollowingClock extends Clock {
  /** @param ahead how far the followed clock is ahead of this one, by its last answer */
  correct(ahead: Millis): void
}

/** Below this an answer's way here may be all there is to see. */
const CLOCK_NOISE_MS = 500

/** Goes by `own` until it is corrected. A correction is taken whole: what it was wrong by is known better than how to hide it. */
export const followingClock = (own: Clock): FollowingClock => {
  let offset = 0
  return {
    now: () => (own.now() + offset) as Instant,
    sleep: own.sleep,
    ticks: () => ticks(own),
    correct: (ahead) => {
      // Whole: an instant is, and stores refuse to expire a key at a fraction of a millisecond.
      if (Math.abs(ahead) >= CLOCK_NOISE_MS) offset += Math.round(ahead)
    },
  }
}
