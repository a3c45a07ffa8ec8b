import { type Clock, instant, type Instant, type Millis } from '../../src/kernel/time.ts'

interface Sleeper {
  readonly due: number
  readonly wake: () => void
}

export interface ManualClock extends Clock {
  /** Moves time on and wakes, in the order of their moments, whoever sleeps until then, also those who fall asleep on the way. */
  advance(length: Millis | number): Promise<void>
  /** How many sleep: a barrier for "it is waiting now". */
  sleeping(): number
}

/** Lets everything that is ready run: promise jobs, and one turn of the loop. */
export const settle = async (turns = 3): Promise<void> => {
  for (let turn = 0; turn < turns; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve))
}

/** Time that stands still until a test moves it. 2026-11-02T08:00:00Z unless told. */
export const manualClock = (start: Instant = instant(Date.UTC(2026, 10, 2, 8))): ManualClock => {
  let now = start
  let sleepers: Sleeper[] = []
  return {
    now: () => now,
    sleep: (length, signal) =>
      new Promise<void>((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason as Error)
        if (length <= 0) return resolve()
        const abort = (): void => {
          sleepers = sleepers.filter((other) => other !== sleeper)
          reject(signal?.reason as Error)
        }
        const wake = (): void => {
          signal?.removeEventListener('abort', abort)
          resolve()
        }
        const sleeper = { due: now + length, wake }
        sleepers.push(sleeper)
        signal?.addEventListener('abort', abort, { once: true })
      }),
    advance: async (length) => {
      const until = now + length
      await settle()
      for (;;) {
        const next = sleepers.filter(({ due }) => due <= until).sort((a, b) => a.due - b.due)[0]
        if (!next) break
        sleepers = sleepers.filter((other) => other !== next)
        now = instant(Math.max(now, next.due))
        next.wake()
        // Whoever woke may sleep again before `until`.
        await settle()
      }
      now = instant(until)
      await settle()
    },
    sleeping: () => sleepers.length,
  }
}
