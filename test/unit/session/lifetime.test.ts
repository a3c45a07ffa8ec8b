import { expect, it } from 'vitest'
import { instant, millis } from '../../../src/kernel/time.ts'
import { expiredBy, isTouchDue, touchIntervalMs } from '../../../src/session/lifetime.ts'

it.each`
  seen   | ends    | idle   | now     | by            | because
  ${0}   | ${1000} | ${100} | ${99}   | ${undefined}  | ${'both ends lie ahead'}
  ${0}   | ${1000} | ${100} | ${100}  | ${'idle'}     | ${'the idle end is not part of the session'}
  ${950} | ${1000} | ${100} | ${999}  | ${undefined}  | ${'the last millisecond'}
  ${950} | ${1000} | ${100} | ${1000} | ${'absolute'} | ${'using it does not move the absolute end'}
  ${0}   | ${1000} | ${100} | ${5000} | ${'absolute'} | ${'the end that nobody could have moved'}
`('a session last seen at $seen is over at $now by $by: $because', ({ seen, ends, idle, now, by }) => {
  expect(expiredBy({ lastSeenAt: instant(seen), endsAt: instant(ends), idleTimeoutMs: millis(idle) }, instant(now))).toBe(by)
})
it.each`
  idle         | interval
  ${3_600_000} | ${60_000}
  ${240_000}   | ${60_000}
  ${60_000}    | ${15_000}
`('an idle timeout of $idle ms is touched at most every $interval ms', ({ idle, interval }) => {
  expect(touchIntervalMs(millis(idle))).toBe(interval)
  expect(isTouchDue(instant(0), millis(idle), instant(interval - 1))).toBe(false)
  expect(isTouchDue(instant(0), millis(idle), instant(interval))).toBe(true)
})
