import type { Metrics } from '../domain/metric.ts'
import type { Session, SessionRef } from '../domain/session.ts'
import type { Saved, SessionStore } from '../domain/session-store.ts'
import { backoff } from '../kernel/backoff.ts'
import type { Log } from '../kernel/ports.ts'
import type { Clock, Millis } from '../kernel/time.ts'
import { millis } from '../kernel/time.ts'

type Change = Parameters<SessionStore['save']>[1]

interface Deps {
  readonly store: Pick<SessionStore, 'save'>
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly behind: (work: Promise<unknown>) => void
}

const FIRST_RETRY = millis(100)
/** Well below the 3 s that a finder of our mark waits after its own store came back: we save before it spends. */
const LONGEST_RETRY = millis(1000)
const ENTRIES_MAX = 10_000

/**
 * Rotated refresh tokens that the store did not take: kept in memory and saved again while the process lives, until the session's absolute end.
 * The old refresh token is spent at the provider, so while one is pending nobody in this replica sends for that session. No lease is needed for the
 * retry: what is saved is decided by the token that was spent (`rt_gen`), not by who holds the lease now.
 */
export class PendingSaves {
  readonly #deps: Deps
  readonly #pending = new Map<SessionRef, Promise<unknown>>()

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Saves; when the store is away retries behind and answers `unavailable` after `waitMs`. `onAbsent` runs once, however late the answer comes. */
  async save(session: Session, change: Change, waitMs: Millis, onAbsent: () => void): Promise<Saved> {
    const first = await this.#deps.store.save(session, change)
    if (first.kind === 'absent') onAbsent()
    if (first.kind !== 'unavailable') return first
    if (this.#pending.size >= ENTRIES_MAX) {
      this.#deps.log.error({ sessionRef: session.ref, count: ENTRIES_MAX }, 'too many refresh tokens wait for the store, one is dropped')
      return first
    }
    // Registered before anybody else can run: the old refresh token must not be sent while the new one is on its way to the store.
    const retried = this.#retry(session, change, onAbsent).finally(() => {
      this.#pending.delete(session.ref)
      this.#tell()
    })
    this.#pending.set(session.ref, retried)
    this.#tell()
    this.#deps.behind(retried)
    return this.#within(retried, waitMs, first)
  }

  /** Waits until no save of this session is pending; false when one still is after `waitMs`. */
  async settled(ref: SessionRef, waitMs: Millis): Promise<boolean> {
    const pending = this.#pending.get(ref)
    return (
      pending === undefined ||
      this.#within(
        pending.then(() => true),
        waitMs,
        false,
      )
    )
  }

  has(ref: SessionRef): boolean {
    return this.#pending.has(ref)
  }

  #tell(): void {
    this.#deps.metrics.gauge('sallyport_broker_pending_saves', this.#pending.size, {})
  }

  async #retry(session: Session, change: Change, onAbsent: () => void): Promise<Saved> {
    const { clock, store, log } = this.#deps
    log.warn({ sessionRef: session.ref }, 'a rotated refresh token could not be stored, retrying')
    for (let attempt = 0; clock.now() < session.card.endsAt; attempt += 1) {
      await clock.sleep(backoff(attempt, FIRST_RETRY, LONGEST_RETRY))
      const saved = await store.save(session, change)
      if (saved.kind === 'unavailable') continue
      if (saved.kind === 'absent') onAbsent()
      // `superseded` may be our own first save, whose answer was lost: the record holds our token, looking again finds it.
      log.info({ sessionRef: session.ref, attempt }, 'a rotated refresh token was stored late')
      return saved
    }
    return { kind: 'absent', reason: 'absolute' }
  }

  async #within<T>(work: Promise<T>, waitMs: Millis, otherwise: T): Promise<T> {
    const abort = new AbortController()
    const waited = this.#deps.clock.sleep(waitMs, abort.signal).then(
      () => otherwise,
      () => otherwise,
    )
    const result = await Promise.race([work, waited])
    abort.abort()
    return result
  }
}
