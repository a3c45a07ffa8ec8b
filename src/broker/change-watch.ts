import type { SessionChange, SessionRef } from '../domain/session.ts'
import type { Clock, Millis } from '../kernel/time.ts'

export interface Watch {
  /** True as soon as the session changed since the last call (or since the watch began), false after `length`. */
  next(length: Millis): Promise<boolean>
  close(): void
}

export interface ChangeWatcher {
  /** Begin the watch before the look that it guards: a change between the look and `next` is not missed. */
  watch(ref: SessionRef): Watch
  close(): void
}

/** One listener at the store, told apart by session ref. */
export const createChangeWatcher = (
  store: { onChange(listener: (change: SessionChange) => void): () => void },
  clock: Clock,
): ChangeWatcher => {
  const listeners = new Map<SessionRef, Set<() => void>>()
  const stop = store.onChange((change) => {
    for (const tell of listeners.get(change.ref) ?? []) tell()
  })

  const watch = (ref: SessionRef): Watch => {
    let changed = false
    let wake: (() => void) | undefined
    const tell = (): void => {
      changed = true
      wake?.()
    }
    const ofRef = listeners.get(ref) ?? new Set()
    listeners.set(ref, ofRef.add(tell))

    const next = async (length: Millis): Promise<boolean> => {
      if (!changed) {
        const abort = new AbortController()
        const woken = new Promise<void>((resolve) => {
          wake = resolve
        })
        const slept = clock.sleep(length, abort.signal).catch(() => undefined) // rejects only because we abort it
        await Promise.race([woken, slept])
        wake = undefined
        abort.abort()
      }
      const was = changed
      changed = false
      return was
    }

    const close = (): void => {
      ofRef.delete(tell)
      if (ofRef.size === 0 && listeners.get(ref) === ofRef) listeners.delete(ref)
    }
    return { next, close }
  }

  return { watch, close: stop }
}
