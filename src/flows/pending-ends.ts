import type { SessionStore } from '../domain/session-store.ts'
import type { EndReason, SessionRef } from '../domain/session.ts'
import { backoff } from '../kernel/backoff.ts'
import type { Log } from '../kernel/ports.ts'
import type { Clock } from '../kernel/time.ts'
import { seconds } from '../kernel/time.ts'

/** More ends than this are not remembered: an outage must not become a memory leak. The cookie is gone from those browsers all the same. */
export const PENDING_ENDS_MAX = 10_000

export interface PendingEndsDeps {
  readonly store: Pick<SessionStore, 'end'>
  readonly clock: Clock
  readonly log: Log
}

/** Ends that the store could not take, retried in order while the process lives. */
export interface PendingEnds {
  add(ref: SessionRef, reason: EndReason): void
  readonly size: number
  stop(): void
}

export const createPendingEnds = (deps: PendingEndsDeps): PendingEnds => {
  const waiting = new Map<SessionRef, EndReason>()
  const stopped = new AbortController()
  let running = false

  const retry = async (): Promise<void> => {
    for (let attempt = 0; waiting.size > 0; attempt += 1) {
      await deps.clock.sleep(backoff(attempt, seconds(1), seconds(30)), stopped.signal)
      for (const [ref, reason] of [...waiting]) {
        if ((await deps.store.end(ref, reason)) === 'unavailable') break // in order: the others would fail as well
        waiting.delete(ref)
        attempt = 0
      }
    }
    deps.log.info({}, 'ends of sessions that were waiting for the store are stored')
  }

  return {
    add: (ref, reason) => {
      if (waiting.size >= PENDING_ENDS_MAX) {
        deps.log.error({ sessionRef: ref, reason, count: waiting.size }, 'end of a session dropped: too many are waiting for the store')
        return
      }
      waiting.set(ref, reason)
      deps.log.warn({ sessionRef: ref, reason, count: waiting.size }, 'end of a session waits for the store')
      if (running || stopped.signal.aborted) return
      running = true
      retry()
        .catch(() => undefined) // only stop() rejects the sleep
        .finally(() => {
          running = false
        })
    },
    get size() {
      return waiting.size
    },
    stop: () => stopped.abort(),
  }
}
