import type { Instant } from '../kernel/time.ts'
import { minutes } from '../kernel/time.ts'

/** So much in a minute, of what anybody may ask for. In one replica. */
export interface MinuteLimit {
  allows(now: Instant): boolean
}

const MINUTE_MS = minutes(1)

export const createMinuteLimit = (perMinute: number): MinuteLimit => {
  let minute = Number.NaN
  let used = 0
  return {
    allows: (now) => {
      const current = Math.floor(now / MINUTE_MS)
      if (current !== minute) used = 0
      minute = current
      used += 1
      return used <= perMinute
    },
  }
}

/**
 * Tombstones for names of sessions at the provider that nobody knows; where a name may be of several tenants, each takes one. Ten times the sign-outs of a
 * busy shop; what they leave in the store stays below a megabyte.
 */
export const UNKNOWN_PER_MINUTE = 600
/** Refused notices that the audit stream tells of: enough to see what is wrong, too few to fill a disk or to hide another event. All are counted. */
export const REJECTIONS_PER_MINUTE = 60
