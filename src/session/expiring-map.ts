import type { Clock, Instant } from '../kernel/time.ts'

const SWEEP_EVERY = 256

/** A map whose entries are gone at their end, as keys with a TTL are. What nobody asks for again is swept out by later writes. */
export class ExpiringMap<K, V> {
  readonly #entries = new Map<K, { readonly value: V; readonly endsAt: Instant }>()
  readonly #clock: Clock
  #writes = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get(key: K): V | undefined {
    const entry = this.#entries.get(key)
    if (!entry) return undefined
    if (entry.endsAt > this.#clock.now()) return entry.value
    this.#entries.delete(key)
    return undefined
  }
  has(key: K): boolean {
    return this.get(key) !== undefined
  }
  set(key: K, value: V, endsAt: Instant): void {
    this.#entries.set(key, { value, endsAt })
    this.#writes += 1
    // Amortised: a sweep looks at everything, so it waits for as many writes as there are entries.
    if (this.#writes < Math.max(SWEEP_EVERY, this.#entries.size)) return
    this.#writes = 0
    const now = this.#clock.now()
    for (const [old, entry] of this.#entries) if (entry.endsAt <= now) this.#entries.delete(old)
  }
  delete(key: K): void {
    this.#entries.delete(key)
  }
  get size(): number {
    return this.#entries.size
  }
  dump(): readonly unknown[] {
    return [...this.#entries]
  }
}
