import { type Clock, instant, type Instant, type Millis, systemClock } from '../../../src/kernel/time.ts'

/** The emulator's own time: goes with the test's clock, and can be moved on alone, so that 90 days pass without a wait. */
export interface EmulatorClock {
  now(): Instant
  /** Moves this emulator on (or back) for good; nobody else notices. */
  shift(length: Millis | number): void
}

export const emulatorClock = (own: Pick<Clock, 'now'> = systemClock): EmulatorClock => {
  let offset = 0
  return {
    now: () => instant(own.now() + offset),
    shift: (length) => {
      offset += length
    },
  }
}
