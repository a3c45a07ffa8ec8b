import { millis } from '../kernel/time.ts'

/** Long enough for a slow fork of Redis, short enough for a browser; a command that took longer may still have been done. */
export const COMMAND_TIMEOUT_MS = millis(300)

/**
 * The answer, or an error as ioredis throws it when a command took too long. After its time an answer that is already here is still taken: this process
 * may have stood still (a garbage collection, a busy machine), and then timers run before what has arrived is read. That is no failure of the store, and
 * to take it for one would refuse requests and drop every copy in memory.
 */
export const inTime = <T>(answer: Promise<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    // Timers, then what has arrived, then immediates: so goes one turn of the loop.
    const late = setTimeout(() => setImmediate(() => reject(new Error('Command timed out'))), COMMAND_TIMEOUT_MS)
    answer.then(resolve, reject).finally(() => clearTimeout(late))
  })
