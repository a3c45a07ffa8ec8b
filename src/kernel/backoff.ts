import type { Millis } from './time.ts'
import { millis } from './time.ts'

/**
 * Exponential, with full jitter in the upper half, so that replicas that failed together do not come back together.
 * @param attempt 0 for the first wait
 * @param random in [0, 1)
 */
export const backoff = (attempt: number, first: Millis, most: Millis, random: number = Math.random()): Millis => {
  const ceiling = Math.min(most, first * 2 ** Math.min(attempt, 30))
  return millis(Math.round(ceiling / 2 + (ceiling / 2) * random))
}
