import type { Clock, Millis } from '../kernel/time.ts'

/** Gives the slot back; more than once is as good as once. */
export type Release = () => void

/**
 * How many requests may be at the token endpoint at once, from this replica: when a thousand sessions come back after an outage, the provider is not
 * flooded into the next one. First come, first served; who waits too long is told to come back.
 */
export class Slots {
  readonly #clock: Pick<Clock, 'sleep'>
  readonly #waitMs: Millis
  readonly #waiting = new Set<(release: Release) => void>()
  #free: number

  constructor(most: number, waitMs: Millis, clock: Pick<Clock, 'sleep'>) {
    this.#free = most
    this.#waitMs = waitMs
    this.#clock = clock
  }

  /** undefined: none came free in time. */
  async take(): Promise<Release | undefined> {
    if (this.#free > 0) {
      this.#free -= 1
      return this.#release()
    }
    const { promise, resolve } = Promise.withResolvers<Release | undefined>()
    this.#waiting.add(resolve)
    const abort = new AbortController()
    const waited = this.#clock.sleep(this.#waitMs, abort.signal).then(
      () => {
        // Taken out before anybody can hand it a slot: one that is given to nobody would be lost.
        if (this.#waiting.delete(resolve)) resolve(undefined)
      },
      () => undefined,
    )
    const release = await promise
    abort.abort()
    await waited
    return release
  }

  #release(): Release {
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      const [next] = this.#waiting
      if (!next) {
        this.#free += 1
        return
      }
      this.#waiting.delete(next)
      next(this.#release())
    }
  }
}
