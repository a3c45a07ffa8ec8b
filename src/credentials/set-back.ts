import { after, between, instant, millis } from '../kernel/time.ts'
import type { Instant } from '../kernel/time.ts'
import type { Entry, Rotation, RotationSettings } from './rotation.ts'

/** Replicas follow one clock to half a second. */
export const AHEAD_MAX_MS = 5_000

/**
 * The store's clock, which all follow, can be set back (a failover to a server whose time is wrong). What was seen here then lies in the future, and until that
 * has come an acceptance from before would count more than every rejection, and no probe would be due. So it moves along, in the order it was seen in.
 */
export const inOurPast = (state: Rotation, now: Instant, { retryMostMs, spreadMs }: RotationSettings): Rotation => {
  const nextProbeMost = after(now, millis(Math.max(retryMostMs, spreadMs)))
  const entries = state.entries.map((entry): Entry => {
    const moved = latestOf(entry) > now + AHEAD_MAX_MS ? moveTo(now, entry) : entry
    return moved.nextProbeAt > nextProbeMost ? { ...moved, nextProbeAt: now } : moved
  })
  return entries.every((entry, i) => entry === state.entries[i]) ? state : { ...state, entries }
}

const latestOf = ({ firstSeenAt, since, acceptedAt, rejectedAt, toldAt, orderedAt, heldFrom }: Entry): Instant =>
  instant(Math.max(firstSeenAt, since, acceptedAt ?? 0, rejectedAt ?? 0, toldAt ?? 0, orderedAt ?? 0, heldFrom ?? 0))

const moveTo = (now: Instant, entry: Entry): Entry => {
  const length = between(latestOf(entry), now)
  const moved = (at: Instant): Instant => after(at, length)
  const ifAny = (at: Instant | undefined): Instant | undefined => at && moved(at)
  return {
    ...entry,
    firstSeenAt: moved(entry.firstSeenAt),
    since: moved(entry.since),
    series: entry.series && { ...entry.series, since: moved(entry.series.since) },
    acceptedAt: ifAny(entry.acceptedAt),
    toldAt: ifAny(entry.toldAt),
    orderedAt: ifAny(entry.orderedAt),
    heldFrom: ifAny(entry.heldFrom),
    rejectedAt: ifAny(entry.rejectedAt),
    asideAt: ifAny(entry.asideAt),
    failures: entry.failures.map(moved),
    nextProbeAt: moved(entry.nextProbeAt),
  }
}
