import { randomBytes } from 'node:crypto'
import type { AuditSink } from '../domain/audit-event.ts'
import type { Metrics } from '../domain/metric.ts'
import type { Sealer } from '../domain/sealer.ts'
import type { EndReason, HeldSession, Opened, Session, SessionChange, SessionEnd, SessionRef, SessionsOf } from '../domain/session.ts'
import type { SessionStore } from '../domain/session-store.ts'
import type { Log } from '../kernel/ports.ts'
import type { Clock, Instant, Millis } from '../kernel/time.ts'
import { createSession } from './create-session.ts'
import { EndedAgain } from './ended-again.ts'
import { PendingEnds } from './pending-ends.ts'
import { Held } from './held.ts'
import { cookieParts } from './id.ts'
import { providerSessionIndex, subjectIndex } from './index-names.ts'
import type { IndexName } from './index-names.ts'
import { isTouchDue } from './lifetime.ts'
import type { EventChannel, SessionRecords, StoreConnection } from './records.ts'
import { lookAt, sweepExpired } from './session-look.ts'
import { SessionReader } from './session-reader.ts'
import { saveSession } from './save-session.ts'
import { SavedAgain } from './saved-again.ts'
import { L1, digestOf } from './store-l1.ts'
import type { L1Settings } from './store-l1.ts'
import { ModeKeeper } from './store-mode.ts'

export interface SessionStoreSettings {
  readonly idleTimeoutMs: Millis
  /** How long a copy in memory may be used after the store last confirmed it, while it cannot be asked; 0: not at all. */
  readonly graceMs: Millis
  readonly l1: L1Settings
}

export interface SessionStoreDeps {
  readonly records: SessionRecords
  readonly connection: StoreConnection
  readonly channel: EventChannel
  readonly sealer: Sealer
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly audit: AuditSink
  /** Tells when a sealing key was taken away: what was sealed with it must not live on in memory. */
  readonly onKeyRemoved?: ((listener: (kid: string) => void) => void) | undefined
  readonly settings: SessionStoreSettings
  readonly app: string
  /** Names this replica in a spending mark; unique in the fleet. */
  readonly replica: string
}

const FROM_L1 = { outcome: 'l1' } as const
const LOOKUPS = 'sallyport_session_lookups_total'
const RETRY_ENDS_MS = 1_000

interface EndedRecord {
  readonly kind: 'ended' | 'absent' | 'superseded' | 'unavailable'
  readonly isFirst: boolean
}

/** What the parts of the store share. */
export interface StoreParts {
  readonly deps: SessionStoreDeps
  readonly l1: L1
  readonly modes: ModeKeeper
  readonly saves: SavedAgain
  /** Key ids that sealed what a session was opened from or stored as: a write seals anew what an older key had sealed. */
  readonly kids: WeakMap<Session, ReadonlySet<string>>
  /** Ends a session and tells everybody. @param onlyRtGen as in SessionRecords.end */
  readonly end: (ref: SessionRef, reason: EndReason, onlyRtGen?: number) => Promise<'ended' | 'absent' | 'superseded' | 'unavailable'>
  /** This replica has learnt of an end; the first time it is told on. */
  readonly noteEnded: (ref: SessionRef, reason: EndReason) => void
  /** Ends what the store itself found to be over, and writes the audit event, since no flow does. */
  readonly endFound: (ref: SessionRef, reason: EndReason, session: Session | undefined) => Promise<Opened>
}

const SWEEP_MS = 10_000

/** The session store on top of any adapter of `SessionRecords`: cookies, seals, L1 and its modes are the same above all of them. */
export const createSessionStore = (deps: SessionStoreDeps): SessionStore => {
  const { records, connection, channel, metrics, audit, settings } = deps
  const l1 = new L1(settings.l1, settings.idleTimeoutMs)
  const listeners = new Set<(change: SessionChange) => void>()
  const tell = (change: SessionChange): void => {
    for (const listener of listeners) listener(change)
  }

  const saves = new SavedAgain(deps)

  const endListeners = new Set<(end: SessionEnd) => void>()
  const noteEnded = (ref: SessionRef, reason: EndReason, opened?: Session): void => {
    const session = opened ?? l1.sessionOf(ref)
    // Our own end comes back over the channel; streams hear of it once.
    if (!l1.ended(ref, reason)) return
    saves.forget(ref)
    tell({ kind: 'ended', ref, reason })
    for (const listener of endListeners) listener({ ref, reason, session })
  }
  const modes = new ModeKeeper({
    ...deps,
    l1,
    beatMs: channel.beatMs,
    onGone: (entry, check) => {
      const { ref } = entry.session
      if (check.kind === 'ended') noteEnded(ref, check.reason)
      else l1.drop(ref)
    },
  })
  const pending = new PendingEnds((ref, reason) => end(ref, reason), metrics)
  const endedAgain = new EndedAgain({ ...deps, remembered: () => l1.endedRefs() })

  const endRecord = async (ref: SessionRef, reason: EndReason, onlyRtGen?: number, opened?: Session): Promise<EndedRecord> => {
    const isSeen = (opened ?? l1.sessionOf(ref)) !== undefined
    // An end without a condition is final whatever the store says: this replica serves the session no more from here on.
    if (onlyRtGen === undefined) noteEnded(ref, reason, opened)
    const result = await records.end(ref, reason, onlyRtGen)
    if (result.kind === 'unavailable') {
      if (onlyRtGen === undefined) pending.add(ref, reason, isSeen)
      return { kind: result.kind, isFirst: false }
    }
    if (result.kind === 'superseded') return result
    pending.delete(ref)
    if (result.kind === 'ended') {
      noteEnded(ref, reason)
      metrics.count('sallyport_session_ended_total', { reason })
    }
    // In other slots, so apart. A crash here leaves refs of an ended session behind until its end by time: they name nothing.
    await Promise.all(result.indexes.map((index) => records.dropFromIndex(index, ref)))
    return result
  }
  const end: StoreParts['end'] = async (ref, reason, onlyRtGen) => (await endRecord(ref, reason, onlyRtGen)).kind
  const endFound: StoreParts['endFound'] = async (ref, reason, session) => {
    const { kind, isFirst } = await endRecord(ref, reason, undefined, session)
    // The store itself has forgotten a session at its absolute end: of those who notice, the one whose tombstone is the first tells.
    const forgotten = kind === 'absent' && isFirst && reason === 'absolute'
    if (forgotten) metrics.count('sallyport_session_ended_total', { reason })
    if (forgotten || kind === 'ended' || kind === 'unavailable') {
      const { provider, subject, tenant } = session?.card ?? {}
      audit.record({ event: 'session.ended', reason, stored: kind !== 'unavailable', sessionRef: ref, provider, subject, tenant })
    }
    return { kind: 'ended', reason }
  }

  const parts: StoreParts = { deps, l1, modes, saves, kids: new WeakMap(), end, endFound, noteEnded }
  const reader = new SessionReader(parts)

  channel.start({
    change: (change) => {
      if (change.kind === 'ended') return noteEnded(change.ref, change.reason)
      l1.written(change.ref, change.gen)
      tell(change)
    },
    armed: () => modes.armed(),
    lost: () => modes.lost(),
    beat: (at) => modes.beat(at),
  })
  connection.onReplaced(() => void saves.run())
  const firstAnswer = new Promise<void>((resolve) => {
    connection.onReachable(() => {
      resolve()
      modes.tell()
      void pending.retry()
      void endedAgain.run()
    })
  })
  // A store can refuse writes while its connection stands (MISCONF, NOREPLICAS, OOM, a right taken away): nothing comes back then that would tell us.
  const retries = setInterval(() => {
    if (connection.reachable()) void pending.retry()
  }, RETRY_ENDS_MS).unref()

  // One sweep at a time: with a slow store the next would look at the same entries.
  let sweeping: Promise<void> | undefined
  const sweeps = setInterval(() => {
    if (connection.reachable()) sweeping ??= sweepExpired(parts, deps.clock.now()).finally(() => (sweeping = undefined))
  }, SWEEP_MS).unref()

  // Not ended here: a session of which only an access token was sealed with it goes on without that token. The next request reads, and the seals decide.
  deps.onKeyRemoved?.((kid) => {
    for (const { session } of l1.all()) if (parts.kids.get(session)?.has(kid)) l1.drop(session.ref)
  })

  const indexOf = (whose: SessionsOf): IndexName =>
    whose.kind === 'subject'
      ? subjectIndex(deps.sealer, deps.app, whose.issuer, whose.subject)
      : providerSessionIndex(deps.sealer, deps.app, whose.issuer, whose.providerSessionId)

  const touch = (held: HeldSession, now: Instant): void => {
    if (held.stale || !isTouchDue(held.lastSeenAt, settings.idleTimeoutMs, now)) return
    // Moved before the answer, so that the requests of this minute do not all send a touch. What the store refuses is found at the next read.
    if (held instanceof Held) held.seen.at = now
    const { ref } = held.session
    void records.touch(ref, settings.idleTimeoutMs).then((done) => {
      if (done === 'gone') l1.drop(ref)
    })
  }

  return {
    peek: (cookie, now) => {
      if (cookie.length !== 64 || !modes.isLive) return undefined
      const entry = l1.get(digestOf(cookie), now)
      if (!entry || !modes.isTrue(entry)) return undefined
      metrics.count(LOOKUPS, FROM_L1)
      return entry.held
    },
    open: (cookie) => reader.open(cookie),
    reopen: (session) => reader.reopen(session),
    refOf: (cookie) => cookieParts(cookie)?.ref,
    create: (draft) => createSession(parts, draft),
    touch,
    save: (session, change) => saveSession(parts, reader, session, change),
    end: async (ref, reason) => {
      const result = await end(ref, reason)
      return result === 'superseded' ? 'absent' : result
    },
    endIfUnrenewed: (session, reason) => end(session.ref, reason, session.rtGen),

    look: (ref) => lookAt(parts, ref),
    entomb: (whose, at) => records.entomb(indexOf(whose), at),
    refsOf: (whose, most) => records.refsOf(indexOf(whose), most),
    forget: (whose, ref) => records.dropFromIndex(indexOf(whose), ref),

    acquireLease: async (ref, length) => {
      const fence = randomBytes(16).toString('base64url')
      const answer = await records.lease(ref, fence, length)
      return answer === 'leased' ? { ref, fence } : answer
    },
    renewLease: (lease, length) => records.renew(lease.ref, lease.fence, length),
    releaseLease: (lease) => records.release(lease.ref, lease.fence),
    markSpending: ({ ref, fence }, { rtGen }, timeoutMs) => records.mark({ ref, fence, rtGen, replica: deps.replica, timeoutMs }),
    clearMark: ({ ref, fence }, { rtGen }, replaced) => records.clearMark(ref, fence, rtGen, replaced),
    takeOverMark: ({ ref, fence }, { rtGen }, found, timeoutMs, forgives) =>
      records.takeMark({ ref, fence, rtGen, replica: deps.replica, timeoutMs }, found, forgives),

    onChange: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    onEnded: (listener) => {
      endListeners.add(listener)
      return () => void endListeners.delete(listener)
    },
    connectedSince: () => connection.connectedSince(),
    serverAge: () => connection.serverAge(),
    mode: () => modes.mode,
    ready: () => firstAnswer,
    reachable: () => connection.reachable(),
    close: async () => {
      clearInterval(retries)
      clearInterval(sweeps)
      await pending.retry()
      await channel.close()
      await connection.close()
      l1.clear()
    },
  }
}
