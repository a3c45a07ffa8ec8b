import type { EndReason } from '../domain/session.ts'
import { after, between, millis, minutes } from '../kernel/time.ts'
import type { Instant, Millis } from '../kernel/time.ts'

export interface Timers {
  readonly lastSeenAt: Instant
  /** The absolute end. */
  readonly endsAt: Instant
  readonly idleTimeoutMs: Millis
}

/** Why a session is over by time alone; undefined while it lives. The absolute end is named first: nobody could have moved it. */
export const expiredBy = (
  { lastSeenAt, endsAt, idleTimeoutMs }: Timers,
  now: Instant,
): Extract<EndReason, 'absolute' | 'idle'> | undefined => {
  if (endsAt <= now) return 'absolute'
  return after(lastSeenAt, idleTimeoutMs) <= now ? 'idle' : undefined
}

/** At most once a minute; more often only where the idle timeout is so short that a user at work would run into it. */
export const touchIntervalMs = (idleTimeoutMs: Millis): Millis => millis(Math.min(minutes(1), idleTimeoutMs / 4))

export const isTouchDue = (lastSeenAt: Instant, idleTimeoutMs: Millis, now: Instant): boolean =>
  between(lastSeenAt, now) >= touchIntervalMs(idleTimeoutMs)
