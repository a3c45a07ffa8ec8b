import type { Metrics } from '../domain/metric.ts'
import type { Log } from '../kernel/ports.ts'
import { ticks } from '../kernel/time.ts'
import type { Clock } from '../kernel/time.ts'
import type { L1, L1Entry } from './store-l1.ts'
import type { SessionRecords, StoreConnection } from './records.ts'

export type Mode = 'live' | 'checking' | 'grace'
const LEVEL = { live: 2, checking: 1, grace: 0 } as const
const BATCH = 100
/** The second one is asked for when the first is a second old, and may take nine tenths of one. */
const BEATS_MISSED = 2.5

export interface ModeDeps {
  readonly records: SessionRecords
  readonly connection: StoreConnection
  readonly l1: L1
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  /** How often the channel proves that nothing was missed; undefined: it cannot miss anything. */
  readonly beatMs?: number | undefined
  /** What is to happen when a revalidation finds a session gone. */
  readonly onGone: (entry: L1Entry, check: Extract<Awaited<ReturnType<SessionRecords['check']>>, { kind: 'ended' | 'absent' }>) => void
}

/**
 * How far this replica may believe its L1 (spec §4). Each arming of the event channel begins a new epoch: entries of an older one may have missed
 * a change, so they are compared with the store before the mode is live again; what a read started before the arming brings counts as old as well.
 */
export class ModeKeeper {
  readonly #deps: ModeDeps
  #epoch = 0
  #armed = false
  #liveEpoch = -1
  /** In ticks. */
  #lastBeatAt = Number.NEGATIVE_INFINITY
  #revalidating = false
  #told: Mode | undefined

  constructor(deps: ModeDeps) {
    this.#deps = deps
  }

  get mode(): Mode {
    if (this.isLive) return 'live'
    return this.#deps.connection.reachable() ? 'checking' : 'grace'
  }
  get isLive(): boolean {
    return this.#isLive && this.#isFresh
  }
  get #isLive(): boolean {
    return this.#armed && this.#liveEpoch === this.#epoch
  }
  /**
   * A process that was stopped for minutes and goes on runs the request that waited before the timer that finds the heartbeat missing: what ended meanwhile
   * would be served once more.
   */
  get #isFresh(): boolean {
    const { beatMs, clock } = this.#deps
    return beatMs === undefined || ticks(clock) - this.#lastBeatAt < BEATS_MISSED * beatMs
  }
  /** For a read that starts now: -1 while nobody listens, so that what it brings is not believed in mode live. */
  get epoch(): number {
    return this.#armed ? this.#epoch : -1
  }
  isTrue(entry: L1Entry): boolean {
    return this.isLive && entry.epoch === this.#epoch
  }

  armed(): void {
    this.#armed = true
    this.#epoch += 1
    void this.#revalidate()
  }
  lost(): void {
    // Everything that was true in mode live was confirmed up to the last heartbeat; mode grace counts from there.
    if (this.#isLive) for (const entry of this.#deps.l1.all()) if (entry.epoch === this.#epoch) entry.checkedAt = this.#lastBeatAt
    this.#armed = false
    this.tell()
  }
  /** @param at in ticks, when it was asked for */
  beat(at: number): void {
    if (this.#isLive) this.#lastBeatAt = at
    else void this.#revalidate()
    this.tell()
  }
  tell(): void {
    const { metrics, log, l1 } = this.#deps
    metrics.gauge('sallyport_session_l1_entries', l1.size, {})
    const mode = this.mode
    if (mode === this.#told) return
    this.#told = mode
    metrics.gauge('sallyport_session_l1_mode', LEVEL[mode], {})
    log.info({ mode }, 'session copies in memory are used in this mode')
  }

  async #revalidate(): Promise<void> {
    if (this.#revalidating) return
    this.#revalidating = true
    const epoch = this.#epoch
    try {
      const doubtful = this.#deps.l1.all().filter((entry) => entry.epoch !== epoch)
      for (let i = 0; i < doubtful.length; i += BATCH) {
        const checks = await Promise.all(doubtful.slice(i, i + BATCH).map((entry) => this.#check(entry, epoch)))
        if (checks.includes('unavailable')) return // the next heartbeat tries again
      }
    } finally {
      this.#revalidating = false
    }
    if (!this.#armed) return
    if (epoch !== this.#epoch) return this.#revalidate()
    // What slipped in meanwhile with an older epoch is not believed by `isTrue`; it is read again at its next use.
    this.#liveEpoch = epoch
    this.#lastBeatAt = ticks(this.#deps.clock)
    this.tell()
  }

  async #check(entry: L1Entry, epoch: number): Promise<'checked' | 'unavailable'> {
    const { records, l1, clock, onGone } = this.#deps
    const { ref } = entry.session
    const askedAt = ticks(clock)
    const check = await l1.during(ref, () => records.check(ref))
    if (check.kind === 'unavailable') return 'unavailable'
    if (check.kind !== 'found') onGone(entry, check)
    else if (check.gen !== entry.session.gen || check.idleForMs === undefined) l1.drop(ref)
    else {
      entry.epoch = epoch
      entry.checkedAt = askedAt
    }
    return 'checked'
  }
}
