import type { Clock, Millis } from '../kernel/time.ts'

/** Work that nobody waits for (revocations), yet that a shutdown gives a moment. Tasks report their own failures; a rejection here is swallowed. */
export interface Background {
  run(task: () => Promise<unknown>): void
  /** Resolves when all is done or `most` has passed. */
  drain(most: Millis): Promise<void>
  readonly size: number
}

export const createBackground = (clock: Clock): Background => {
  const running = new Set<Promise<void>>()
  return {
    run: (task) => {
      const done: Promise<void> = Promise.resolve()
        .then(task)
        .then(
          () => undefined,
          () => undefined,
        )
        .then(() => {
          running.delete(done)
        })
      running.add(done)
    },
    drain: async (most) => {
      await Promise.race([Promise.all(running), clock.sleep(most)])
    },
    get size() {
      return running.size
    },
  }
}
