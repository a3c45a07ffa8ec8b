import { expect, it } from 'vitest'
import { followingClock, instant, millis, minutes } from '../../../src/kernel/time.ts'

const own = { now: () => instant(1_000_000), sleep: async () => {} }

it('goes by its own time until it is told of another', () => {
  expect(followingClock(own).now()).toBe(1_000_000)
})

it('follows a clock that is minutes ahead, and back behind', () => {
  const clock = followingClock(own)
  clock.correct(minutes(3))
  expect(clock.now()).toBe(1_000_000 + 180_000)
  clock.correct(minutes(-5)) // measured against what it says now
  expect(clock.now()).toBe(1_000_000 - 120_000)
})

// Half the way of an answer is half a millisecond as well: every sign-in of a corrected replica was answered 503, and left records without a TTL.
it('stays in whole milliseconds, whatever it is told', () => {
  const clock = followingClock(own)
  clock.correct(millis(60_000.5))
  clock.correct(millis(-1_234.123))
  expect(Number.isInteger(clock.now())).toBe(true)
})

it('does not follow what may be the way of the answer', () => {
  const clock = followingClock(own)
  for (let n = 0; n < 100; n += 1) clock.correct(millis(499))
  expect(clock.now()).toBe(1_000_000)
})
