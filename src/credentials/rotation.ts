import type { CredentialId, CredentialVerdict, CredentialWord } from '../domain/credential.ts'
import { backoff } from '../kernel/backoff.ts'
import { after, between, millis, minutes } from '../kernel/time.ts'
import type { Instant, Millis } from '../kernel/time.ts'
import { isBetter, isProven, isTroubled, isUsable, isWanted, lastWordOf, substitutes } from './choice.ts'
import { AHEAD_MAX_MS, inOurPast } from './set-back.ts'

/** candidate: waits (for its date, or because a better one is in use). probing: it would be better than the active one, if the provider took it. */
export type Phase = 'candidate' | 'probing' | 'active' | 'retiring' | 'retired'

export interface Entry {
  readonly id: CredentialId
  /** Place in `client_auth`. */
  readonly source: number
  /** Its files are there. What is held stays usable without them. */
  readonly isPresent: boolean
  readonly notBefore: Instant | undefined
  readonly notAfter: Instant | undefined
  readonly firstSeenAt: Instant
  readonly phase: Phase
  readonly since: Instant
  readonly withdrawnAt: Instant | undefined
  /** Acceptances seen here without a rejection between them. */
  readonly series: { readonly count: number; readonly since: Instant } | undefined
  /** Last seen here; what others say is `toldAt`. */
  readonly acceptedAt: Instant | undefined
  readonly toldAt: Instant | undefined
  /** The last order of an operator to use it that was followed. */
  readonly orderedAt: Instant | undefined
  /** Of an active one that an operator ordered: what was found before this moment does not take its place, however well it does. */
  readonly heldFrom: Instant | undefined
  readonly rejectedAt: Instant | undefined
  readonly rejection: string | undefined
  /** Rejections of late, for the demotion; oldest first. */
  readonly failures: readonly Instant[]
  /** When it was put aside for them, the last time. */
  readonly asideAt: Instant | undefined
  /** Probes without an acceptance since the last one. */
  readonly attempts: number
  readonly nextProbeAt: Instant
}

/** At most one entry is active. */
export interface Rotation {
  readonly entries: readonly Entry[]
  /** Of ids that may not even be loaded now: a file that comes back does not undo a withdrawal. */
  readonly withdrawn: ReadonlyMap<CredentialId, Instant>
  /** The last order to use each: a withdrawal from before it says nothing any more, whoever says it again. */
  readonly restored: ReadonlyMap<CredentialId, Instant>
}

/** `credential_rotation` of the settings. */
export interface RotationSettings {
  /** There is something to probe with. */
  readonly probes: boolean
  /** Consecutive acceptances, and the time they must span, before a credential replaces one that works. */
  readonly acceptances: number
  readonly spreadMs: Millis
  /** Between probes that were not accepted: from the first to the most. */
  readonly retryFirstMs: Millis
  readonly retryMostMs: Millis
  /** How long the one before stays the fallback. */
  readonly keepPreviousMs: Millis
  /** So many rejections within the window, and another one was accepted: that one is used. */
  readonly demoteAfter: number
  readonly demoteWindowMs: Millis
  /** Where nothing can be probed: used this long after it was first seen and is valid. undefined: when an operator says so. */
  readonly activateAfterMs: Millis | undefined
  /** How long a word of another replica counts. */
  readonly wordMs: Millis
}

/** What a look at the sources found, dates not judged. */
export interface Found {
  readonly id: CredentialId
  readonly source: number
  readonly notBefore: Instant | undefined
  readonly notAfter: Instant | undefined
}

export const EMPTY: Rotation = { entries: [], withdrawn: new Map(), restored: new Map() }

/** The files changed, or were looked at again. A credential in use stays in use without them. */
export const looked = (before: Rotation, found: readonly Found[], now: Instant, settings: RotationSettings): Rotation => {
  const state = inOurPast(before, now, settings)
  const byId = new Map(found.map((one) => [one.id, one]))
  const kept = state.entries.flatMap((entry): readonly Entry[] => {
    const here = byId.get(entry.id)
    if (here) return [{ ...entry, ...here, isPresent: true }]
    return entry.phase === 'active' || entry.phase === 'retiring' ? [{ ...entry, isPresent: false }] : []
  })
  const known = new Set(kept.map(({ id }) => id))
  const fresh = [...byId.values()].filter(({ id }) => !known.has(id)).map((one) => entryOf(one, state, now))
  return settled({ ...state, entries: [...kept, ...fresh] }, now, settings)
}

const entryOf = (found: Found, { withdrawn }: Rotation, now: Instant): Entry => ({
  ...found,
  isPresent: true,
  firstSeenAt: now,
  phase: 'candidate',
  since: now,
  withdrawnAt: withdrawn.get(found.id),
  series: undefined,
  acceptedAt: undefined,
  toldAt: undefined,
  orderedAt: undefined,
  heldFrom: undefined,
  rejectedAt: undefined,
  rejection: undefined,
  failures: [],
  asideAt: undefined,
  attempts: 0,
  nextProbeAt: now,
})

/** A probe or a request showed something. @param random in [0, 1), for the jitter */
export const answered = (
  before: Rotation,
  { id, verdict, random }: { readonly id: CredentialId; readonly verdict: CredentialVerdict; readonly random: number },
  now: Instant,
  settings: RotationSettings,
): Rotation => {
  const state = inOurPast(before, now, settings)
  const entries = state.entries.map((entry) => (entry.id === id ? judged(entry, verdict, random, now, settings) : entry))
  return settled({ ...state, entries }, now, settings)
}

const judged = (entry: Entry, verdict: CredentialVerdict, random: number, now: Instant, settings: RotationSettings): Entry => {
  const retryAt = after(now, backoff(entry.attempts, settings.retryFirstMs, settings.retryMostMs, random))
  switch (verdict.kind) {
    case 'accepted': {
      const step = millis(settings.spreadMs / Math.max(1, settings.acceptances - 1))
      const series = { count: (entry.series?.count ?? 0) + 1, since: entry.series?.since ?? now }
      return { ...entry, acceptedAt: now, rejection: undefined, series, attempts: 0, nextProbeAt: after(now, step) }
    }
    case 'rejected': {
      const recent = entry.failures.filter((at) => between(at, now) < settings.demoteWindowMs)
      const failures = [...recent, now].slice(-settings.demoteAfter)
      return {
        ...entry,
        rejectedAt: now,
        rejection: verdict.code,
        series: undefined,
        failures,
        attempts: entry.attempts + 1,
        nextProbeAt: retryAt,
      }
    }
    case 'none':
      // Nobody answered: it is neither better nor worse than before, and the next look comes later.
      return { ...entry, attempts: entry.attempts + 1, nextProbeAt: retryAt }
  }
}

/**
 * Words of other replicas and operators, their seals checked. An acceptance counts while it is fresh and later than any rejection seen here: what was
 * overheard and said again says nothing new. It promotes a better credential, or says where a restarted replica was; it demotes none.
 */
export const told = (before: Rotation, words: readonly CredentialWord[], now: Instant, settings: RotationSettings): Rotation => {
  const state = inOurPast(before, now, settings)
  const { withdrawn, restored } = ordersOf(state, words)
  const fresh = words.filter(({ at }) => between(at, now) < settings.wordMs && between(now, at) < AHEAD_MAX_MS)
  let entries: readonly Entry[] = state.entries.map((entry): Entry => {
    const accepted = lastWordOf(fresh, 'accepted', entry.id)
    return { ...entry, withdrawnAt: withdrawn.get(entry.id), toldAt: accepted ?? entry.toldAt }
  })
  // A replica that has just started believes the latest word; one that knows its own active credential works only takes a better one.
  const active = entries.find(({ phase }) => phase === 'active')
  const usable = entries.filter((entry) => isUsable(entry, now) && entry.phase !== 'active')
  const spoken = usable
    .filter(
      (entry) => entry.toldAt !== undefined && fresh.some(({ id, kind }) => id === entry.id && kind === 'accepted') && isProven(entry),
    )
    .filter((entry) => !active || isWanted(entry, active) || (!isProven(active) && active.toldAt === undefined && !active.heldFrom))
    .toSorted((a, b) => (b.toldAt ?? 0) - (a.toldAt ?? 0))[0]
  // Of several the last one, also where it cannot be followed: what was ordered before it is no longer wanted.
  const lastOrderAt = Math.max(0, ...fresh.filter(({ kind }) => kind === 'promoted').map(({ at }) => at))
  const order = entries
    .filter((entry) => isUsable(entry, now))
    .map((entry) => ({ entry, at: lastWordOf(fresh, 'promoted', entry.id) ?? 0 }))
    // Each order is followed once; what the provider said after it counts more.
    .find(({ entry, at }) => at === lastOrderAt && at > Math.max(entry.orderedAt ?? 0, entry.rejectedAt ?? 0))
  const next = order?.entry ?? spoken
  if (next) entries = promoted(entries, next.id, now)
  if (order)
    entries = entries.map(
      (entry): Entry => (entry.id === order.entry.id ? { ...entry, orderedAt: order.at as Instant, heldFrom: now } : entry),
    )
  return settled({ entries, withdrawn, restored }, now, settings)
}

/** Of each credential the last order counts. */
const ordersOf = (state: Rotation, words: readonly CredentialWord[]): Pick<Rotation, 'withdrawn' | 'restored'> => {
  const withdrawn = new Map(state.withdrawn)
  const restored = new Map(state.restored)
  for (const { id, kind, at } of words) {
    const last = kind === 'promoted' ? restored : kind === 'withdrawn' ? withdrawn : undefined
    if (at > (last?.get(id) ?? 0)) last?.set(id, at)
  }
  for (const [id, at] of restored) if (at > (withdrawn.get(id) ?? Infinity)) withdrawn.delete(id)
  return { withdrawn, restored }
}

/** What follows from the time alone, and from everything above. */
export const settled = (before: Rotation, now: Instant, settings: RotationSettings): Rotation => {
  const state = inOurPast(before, now, settings)
  let entries = state.entries
  // 1. The active one can no longer be used, or it fails where another works.
  const active = entries.find(({ phase }) => phase === 'active')
  if (!active || !isUsable(active, now)) {
    const [next] = substitutes(entries, now)
    if (next) entries = promoted(entries, next.id, now)
    else if (active) entries = entries.map((entry) => (entry === active ? { ...entry, phase: 'retired', since: now } : entry))
  } else if (isFailing(active, now, settings)) {
    const next = substitutes(entries, now).find(
      (other) =>
        isProven(other) && (other.acceptedAt ?? 0) >= (active.failures[0] ?? 0) && !(isTakingTurns(active) && isJustPutAside(other, now)),
    )
    if (next) entries = demoted(entries, active.id, next.id, now)
  }
  // 2. A better one has been accepted often enough, or long enough, or the active one is rejected anyway.
  const current = entries.find(({ phase }) => phase === 'active')
  const better = entries.filter((entry) => isUsable(entry, now) && current && entry !== current && isWanted(entry, current))
  const ripe = better.filter((entry) => isRipe(entry, current, now, settings)).toSorted((a, b) => (isBetter(a, b) ? -1 : 1))[0]
  if (ripe) entries = promoted(entries, ripe.id, now)
  // 3. Everybody else by the one that is active now.
  const chosen = entries.find(({ phase }) => phase === 'active')
  entries = entries.map((entry) => inPhase(entry, phaseOf(entry, chosen, now, settings), now))
  return { ...state, entries: entries.filter((entry) => entry.isPresent || (entry.phase !== 'retired' && entry.phase !== 'candidate')) }
}

const isRipe = (entry: Entry, active: Entry | undefined, now: Instant, settings: RotationSettings): boolean => {
  const { series, acceptedAt } = entry
  // What the provider said while it is news: it may have forgotten since what it knew then.
  if (series && acceptedAt !== undefined && between(acceptedAt, now) < settings.wordMs) {
    if (active && isTroubled(active) && !isJustPutAside(entry, now)) return true
    if (series.count >= settings.acceptances && between(series.since, acceptedAt) >= settings.spreadMs) return true
  }
  if (settings.probes || settings.activateAfterMs === undefined) return false
  // Rejected by a request: as long again, for whoever registers it may be late.
  const from = Math.max(entry.firstSeenAt, entry.notBefore ?? 0, isTroubled(entry) ? (entry.rejectedAt ?? 0) : 0) as Instant
  return now >= after(from, settings.activateAfterMs)
}

/** Where each of two is known to a part of the provider only, they would take turns with every few requests: each request falls back anyway. */
const isJustPutAside = ({ asideAt }: Entry, now: Instant): boolean => asideAt !== undefined && between(asideAt, now) < ASIDE_MS
const ASIDE_MS = minutes(1)
/** Accepted between the rejections. */
const isTakingTurns = ({ acceptedAt, failures }: Entry): boolean => (acceptedAt ?? 0) > (failures[0] ?? 0)

/** Once is enough for one that has never been accepted: it is in use because something had to be. What was before an operator's order does not count. */
const isFailing = (active: Entry, now: Instant, settings: RotationSettings): boolean =>
  (isTroubled(active) &&
    active.acceptedAt === undefined &&
    active.toldAt === undefined &&
    (active.rejectedAt ?? 0) > (active.heldFrom ?? 0)) ||
  (active.failures.length >= settings.demoteAfter && between(active.failures[0] ?? now, now) < settings.demoteWindowMs)

const phaseOf = (entry: Entry, active: Entry | undefined, now: Instant, settings: RotationSettings): Phase => {
  if (entry === active) return 'active'
  if (entry.withdrawnAt !== undefined || (entry.notAfter !== undefined && now >= entry.notAfter)) return 'retired'
  // Back from a withdrawal, or put in the place of the active one again: better means that somebody wants it.
  if (active && entry.isPresent && isWanted(entry, active)) return isUsable(entry, now) ? 'probing' : 'candidate'
  if (entry.phase === 'retiring') return now < after(entry.since, settings.keepPreviousMs) ? 'retiring' : 'retired'
  return entry.phase === 'retired' ? 'retired' : 'candidate'
}

const inPhase = (entry: Entry, phase: Phase, now: Instant): Entry => (entry.phase === phase ? entry : { ...entry, phase, since: now })

/** The active one stays as the fallback; to be used first again it has to prove itself anew. */
const promoted = (entries: readonly Entry[], id: CredentialId, now: Instant): readonly Entry[] =>
  entries.map((entry) => {
    if (entry.id === id) return inPhase({ ...entry, failures: [] }, 'active', now)
    return entry.phase === 'active' ? inPhase({ ...entry, series: undefined, heldFrom: undefined }, 'retiring', now) : entry
  })

/** Out of use until it is accepted again. One that is in memory only stays the fallback: nobody could bring it back. */
const demoted = (entries: readonly Entry[], from: CredentialId, to: CredentialId, now: Instant): readonly Entry[] =>
  promoted(entries, to, now).map((entry) =>
    entry.id === from ? { ...entry, phase: entry.isPresent ? 'probing' : 'retiring', toldAt: undefined, asideAt: now } : entry,
  )
