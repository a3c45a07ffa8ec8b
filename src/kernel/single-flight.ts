/** One call shared by all who ask for the same key while it runs; its outcome, good or bad, is forgotten when it settles. */
export class SingleFlight<T> {
  readonly #running = new Map<string, Promise<T>>()

  run(key: string, start: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key)
    if (running) return running
    // The deletion hangs on the same promise that callers await, so nobody can join a flight that has already settled.
    const flight = start().finally(() => this.#running.delete(key))
    this.#running.set(key, flight)
    return flight
  }

  get size(): number {
    return this.#running.size
  }
}
