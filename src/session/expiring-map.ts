import type { Clock, Instant } from '../kernel/time.ts'

const SWEEP_FIRST = 256

/** A map whose entries are gone at their end, as keys with a TTL are. What nobody asks for again is swept out by later writes. */
export class ExpiringMap<K, V> {
  readonly #entries = new Map<K, { readonly value: V; readonly endsAt: Instant }>()
  readonly #clock: Clock
  #sweepAtSize = SWEEP_FIRST

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
    // Amortised: a sweep looks at everything, so the next one waits until there is twice as much as this one left.
    if (this.#entries.size < this.#sweepAtSize) return
    const now = this.#clock.now()
    for (const [old, entry] of this.#entries) if (entry.endsAt <= now) this.#entries.delete(old)
    this.#sweepAtSize = Math.max(SWEEP_FIRST, 2 * this.#entries.size)
  }
  delete(key: K): void {
    this.#entries.delete(key)
  }
  /** In the order of their first setting; what has reached its end is left out. */
  *entries(): Generator<readonly [K, V]> {
    const now = this.#clock.now()
    for (const [key, { value, endsAt }] of this.#entries) if (endsAt > now) yield [key, value]
  }
  get size(): number {
    return this.#entries.size
  }
  dump(): readonly unknown[] {
    return [...this.#entries]
  }
}
