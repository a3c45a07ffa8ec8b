import type { Lease } from '../domain/session.ts'
import type { SessionStore } from '../domain/session-store.ts'
import type { Clock, Millis } from '../kernel/time.ts'
import { millis } from '../kernel/time.ts'

/**
 * Renews the lease while its holder waits for a slow provider, until `release`. A lease that is lost all the same needs no alarm here: marking and
 * saving find out in the store, in one step with what they do.
 */
export const keepLease = (
  store: Pick<SessionStore, 'renewLease' | 'releaseLease'>,
  clock: Clock,
  lease: Lease,
  length: Millis,
): { readonly release: () => Promise<void> } => {
  const done = new AbortController()
  const renew = async (): Promise<void> => {
    const wait = millis(length / 3)
    for (;;) {
      await clock.sleep(wait, done.signal)
      if (done.signal.aborted || (await store.renewLease(lease, length)) === 'lost') return
    }
  }
  renew().catch(() => undefined) // the sleep rejects when we abort it
  const release = async (): Promise<void> => {
    done.abort()
    await store.releaseLease(lease)
  }
  return { release }
}
