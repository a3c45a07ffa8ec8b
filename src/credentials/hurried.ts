import type { Clock, Millis } from '../kernel/time.ts'

/**
 * Runs `work` at once when asked to, and then not before `every` has passed: what was asked meanwhile, however often, is one more run. Runs never overlap. What throws
 * is dropped.
 */
export const hurried = (work: () => Promise<unknown>, every: Millis, clock: Clock, signal: AbortSignal): (() => void) => {
  let asked = 0
  let done = 0
  let isRunning = false
  const run = async (): Promise<void> => {
    while (done < asked) {
      done = asked
      await work().catch(() => undefined)
      await clock.sleep(every, signal) // the only way out is its abort
    }
    isRunning = false
  }
  return () => {
    asked += 1
    if (isRunning) return
    isRunning = true
    run().catch(() => undefined)
  }
}
