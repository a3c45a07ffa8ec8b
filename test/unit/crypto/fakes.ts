import type { Facts, Log } from '../../../src/kernel/ports.ts'
import type { Clock, Instant, Millis } from '../../../src/kernel/time.ts'
import { after, instant } from '../../../src/kernel/time.ts'

export const NOON = instant(Date.UTC(2026, 10, 20, 12))

/** Time that moves by hand only. */
export class FakeClock implements Clock {
  #now: Instant
  #sleepers: { readonly until: Instant; readonly wake: () => void }[] = []
  constructor(now: Instant = NOON) {
    this.#now = now
  }
  now(): Instant {
    return this.#now
  }
  sleep(length: Millis, signal?: AbortSignal): Promise<void> {
    return new Promise((wake, fail) => {
      this.#sleepers.push({ until: after(this.#now, length), wake })
      signal?.addEventListener('abort', () => fail(signal.reason), { once: true })
    })
  }
  advance(length: Millis): void {
    this.#now = after(this.#now, length)
    const due = this.#sleepers.filter((sleeper) => sleeper.until <= this.#now)
    this.#sleepers = this.#sleepers.filter((sleeper) => sleeper.until > this.#now)
    for (const sleeper of due) sleeper.wake()
  }
}

export class FakeLog implements Log {
  readonly lines: { readonly level: string; readonly facts: Facts; readonly message: string }[] = []
  debug(facts: Facts, message: string): void {
    this.lines.push({ level: 'debug', facts, message })
  }
  info(facts: Facts, message: string): void {
    this.lines.push({ level: 'info', facts, message })
  }
  warn(facts: Facts, message: string): void {
    this.lines.push({ level: 'warn', facts, message })
  }
  error(facts: Facts, message: string): void {
    this.lines.push({ level: 'error', facts, message })
  }
  messages(level: string): string[] {
    return this.lines.filter((line) => line.level === level).map((line) => line.message)
  }
}
