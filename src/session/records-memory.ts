import type { SessionChange, SessionRef, SpendingMark } from '../domain/session.ts'
import { after, between } from '../kernel/time.ts'
import type { Clock, Instant } from '../kernel/time.ts'
import type { IndexName } from './index-names.ts'
import { RECORD_VERSION, SCAN_COUNT, TOMBSTONE_MS } from './records.ts'
import type { MarkRequest, NewRecord, SealedFields, SessionRecords, StoredSession } from './records.ts'
import { ExpiringMap } from './expiring-map.ts'
import type { EndReason } from '../domain/session.ts'

interface Row {
  readonly serial: number
  stored: StoredSession
  readonly indexes: readonly IndexName[]
  spending: (SpendingMark & { readonly fence: string }) | undefined
  /** The last rt_gen for which a second send was allowed. */
  recovered: number | undefined
}

export interface MemoryRecordsDeps {
  readonly clock: Clock
  /** Hears of each change, as the event channel of a shared store would. */
  readonly announce: (change: SessionChange) => void
}

/**
 * The same promises as Redis, kept in this process: sealed texts in maps. Each method runs to its end without awaiting, which is what a script
 * does there; the promise it returns is already settled.
 */
export const createMemoryRecords = ({ clock, announce }: MemoryRecordsDeps): SessionRecords & { dump(): string } => {
  const rows = new ExpiringMap<SessionRef, Row>(clock)
  const stamps = new ExpiringMap<SessionRef, Instant>(clock)
  const leases = new ExpiringMap<SessionRef, string>(clock)
  const tombstones = new ExpiringMap<SessionRef, EndReason>(clock)
  const indexes = new ExpiringMap<string, { readonly refs: Map<SessionRef, Instant>; readonly latest: Instant }>(clock)
  const indexTombstones = new ExpiringMap<string, Instant>(clock)
  const keyEnds = new Map<string, Instant>()
  let made = 0

  const nameOf = ({ kind, name }: IndexName): string => `${kind}:${name}`
  const idleFor = (ref: SessionRef) => {
    const stamp = stamps.get(ref)
    return stamp === undefined ? undefined : between(stamp, clock.now())
  }
  const merged = (stored: StoredSession, { card, grant, tokens }: SealedFields): StoredSession => ({
    ...stored,
    ...(card !== undefined && { card }),
    ...(grant !== undefined && { grant }),
    tokens: new Map([...stored.tokens, ...tokens]),
  })
  /** What `mark` and `takeMark` check alike, in the order of the script. */
  const underLease = ({ ref, fence, rtGen }: MarkRequest): Row | 'absent' | 'lease-lost' | 'superseded' => {
    const row = rows.get(ref)
    if (!row) return 'absent'
    if (leases.get(ref) !== fence) return 'lease-lost'
    return row.stored.rtGen === rtGen ? row : 'superseded'
  }
  const newMark = ({ fence, rtGen, replica, timeoutMs }: MarkRequest) => ({ fence, rtGen, replica, timeoutMs, sentAt: clock.now() })

  const create = ({ ref, card, grant, tokens, endsAt, idleTimeoutMs, indexes: names }: NewRecord): 'created' | 'taken' => {
    if (rows.has(ref) || tombstones.has(ref)) return 'taken'
    const stored = { version: RECORD_VERSION, gen: 1, rtGen: 1, card, grant, tokens: new Map(tokens) }
    made += 1
    rows.set(ref, { serial: made, stored, indexes: names, spending: undefined, recovered: undefined }, endsAt)
    stamps.set(ref, clock.now(), after(clock.now(), idleTimeoutMs))
    announce({ kind: 'written', ref, gen: 1 })
    return 'created'
  }

  return {
    read: async (ref) => {
      const reason = tombstones.get(ref)
      if (reason) return { kind: 'ended', reason }
      const row = rows.get(ref)
      return row ? { kind: 'found', stored: row.stored, idleForMs: idleFor(ref) } : { kind: 'absent' }
    },
    check: async (ref) => {
      const reason = tombstones.get(ref)
      if (reason) return { kind: 'ended', reason }
      const row = rows.get(ref)
      return row ? { kind: 'found', gen: row.stored.gen, idleForMs: idleFor(ref) } : { kind: 'absent' }
    },
    card: async (ref) => {
      const reason = tombstones.get(ref)
      if (reason) return { kind: 'ended', reason }
      const row = rows.get(ref)
      return row ? { kind: 'found', card: row.stored.card, idleForMs: idleFor(ref) } : { kind: 'absent' }
    },
    scan: async (cursor) => {
      // In the order of their making, so that what ends meanwhile shifts nothing.
      const from = Number(cursor ?? 0)
      const refs: SessionRef[] = []
      for (const [ref, { serial }] of rows.entries()) {
        if (serial <= from) continue
        refs.push(ref)
        if (refs.length === SCAN_COUNT) return { kind: 'refs', refs, next: String(serial) }
      }
      return { kind: 'refs', refs, next: undefined }
    },
    create: async (record) => create(record),
    touch: async (ref, idleTimeoutMs) => {
      if (!stamps.has(ref)) return 'gone'
      stamps.set(ref, clock.now(), after(clock.now(), idleTimeoutMs))
      return 'touched'
    },
    save: async (ref, fields, spent) => {
      const row = rows.get(ref)
      if (!row) return { kind: 'absent', reason: tombstones.get(ref) }
      if (spent !== undefined) {
        if (row.stored.rtGen !== spent) return { kind: 'superseded' }
        row.spending = undefined
      }
      const before = row.stored.gen
      const gen = nextAfter(before, clock.now())
      const rtGen = spent === undefined ? row.stored.rtGen : nextAfter(spent, clock.now())
      row.stored = { ...merged(row.stored, fields), gen, rtGen }
      announce({ kind: 'written', ref, gen })
      return { kind: 'saved', gen, rtGen, before }
    },
    end: async (ref, reason, onlyRtGen) => {
      const row = rows.get(ref)
      const bury = (): void => {
        tombstones.set(ref, reason, after(clock.now(), TOMBSTONE_MS))
        announce({ kind: 'ended', ref, reason })
      }
      if (!row) {
        const isFirst = onlyRtGen === undefined && !tombstones.has(ref)
        if (isFirst) bury()
        return { kind: 'absent', indexes: [], isFirst }
      }
      if (onlyRtGen !== undefined && row.stored.rtGen !== onlyRtGen) return { kind: 'superseded', indexes: [], isFirst: false }
      for (const map of [rows, stamps, leases]) map.delete(ref)
      bury()
      return { kind: 'ended', indexes: row.indexes, isFirst: true }
    },

    lease: async (ref, fence, length) => {
      if (leases.has(ref)) return 'held'
      leases.set(ref, fence, after(clock.now(), length))
      return 'leased'
    },
    renew: async (ref, fence, length) => {
      if (leases.get(ref) !== fence) return 'lost'
      leases.set(ref, fence, after(clock.now(), length))
      return 'renewed'
    },
    release: async (ref, fence) => {
      if (leases.get(ref) === fence) leases.delete(ref)
    },
    mark: async (request) => {
      const row = underLease(request)
      if (typeof row === 'string') return { kind: row }
      if (row.spending) return { kind: 'found', mark: markOf(row.spending), now: clock.now() }
      row.spending = newMark(request)
      return { kind: 'marked' }
    },
    clearMark: async (ref, fence, rtGen, replaced) => {
      const row = rows.get(ref)
      if (row?.spending?.fence !== fence || row.stored.rtGen !== rtGen) return
      row.spending = replaced && { ...replaced, fence: '-' }
      if (replaced && row.recovered === rtGen) row.recovered = undefined
    },
    takeMark: async (request, found, forgives = false) => {
      const row = underLease(request)
      if (typeof row === 'string') return row
      if (!row.spending || !isSameMark(row.spending, found)) return 'superseded'
      if (!forgives && row.recovered === request.rtGen) return 'recovered-before'
      row.recovered = request.rtGen
      row.spending = newMark(request)
      return 'taken'
    },

    addToIndex: async (index, ref, endsAt) => {
      const now = clock.now()
      const { refs, latest } = indexes.get(nameOf(index)) ?? { refs: new Map<SessionRef, Instant>(), latest: now }
      // In the order of their making, which is nearly that of their ends: what is left behind goes with the set.
      for (const [old, ends] of refs) {
        if (ends > now) break
        refs.delete(old)
      }
      refs.set(ref, endsAt)
      const last = endsAt > latest ? endsAt : latest
      indexes.set(nameOf(index), { refs, latest: last }, last)
      return 'stored'
    },
    dropFromIndex: async (index, ref) => {
      const held = indexes.get(nameOf(index))
      held?.refs.delete(ref)
      if (held?.refs.size === 0) indexes.delete(nameOf(index))
    },
    refsOf: async (index, most) => [...(indexes.get(nameOf(index))?.refs.keys() ?? [])].slice(0, most),
    isInIndex: async (index, ref) => indexes.get(nameOf(index))?.refs.has(ref) ?? false,
    entomb: async (index, at, length = TOMBSTONE_MS) => {
      const before = indexTombstones.get(nameOf(index))
      const latest = before !== undefined && before > at ? before : at
      indexTombstones.set(nameOf(index), latest, after(clock.now(), length))
      return 'stored'
    },
    entombedAt: async (index) => indexTombstones.get(nameOf(index)),

    noteKey: async (kid, endsAt) => {
      const before = keyEnds.get(kid)
      if (before === undefined || before < endsAt) keyEnds.set(kid, endsAt)
      return 'stored'
    },
    keyUsage: async () => new Map(keyEnds),

    /** Everything that is held, as text: for the test that searches it. */
    dump: () =>
      JSON.stringify(
        [rows, stamps, leases, tombstones, indexes, indexTombstones].map((map) => map.dump()).concat([[...keyEnds]]),
        (_, value) => (value instanceof Map ? [...value] : (value as unknown)),
      ),
  }
}

/** As in Redis: the moment of the write in microseconds, and always more than the one before. */
const nextAfter = (before: number, now: Instant): number => Math.max(before + 1, now * 1000)

const markOf = ({ rtGen, replica, sentAt, timeoutMs }: SpendingMark): SpendingMark => ({ rtGen, replica, sentAt, timeoutMs })
const isSameMark = (a: SpendingMark, b: SpendingMark): boolean =>
  a.sentAt === b.sentAt && a.timeoutMs === b.timeoutMs && a.replica === b.replica
