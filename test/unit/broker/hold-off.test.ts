import { beforeEach, expect, it } from 'vitest'
import { HoldOff } from '../../../src/broker/hold-off.ts'
import { refused, unavailable } from '../../../src/broker/renewal.ts'
import { after, instant, millis, seconds } from '../../../src/kernel/time.ts'

const REJECTED = refused('token.credential-rejected')
const LENGTH = seconds(10)
const T0 = instant(1_700_000_000_000)
const at = (ms: number) => after(T0, millis(ms))

let holdOff: HoldOff
beforeEach(() => {
  holdOff = new HoldOff()
})
const isHeld = (key: string, ms: number): boolean => holdOff.outcome(key, at(ms)) !== undefined

it('a rejected credential is remembered until one is accepted, for all who were refused', () => {
  for (const key of ['a', 'b']) holdOff.rejected(key, REJECTED, at(0), LENGTH)
  expect([isHeld('a', 9_000), isHeld('b', 9_000)]).toEqual([true, true])
  holdOff.accepted(at(9_000))
  expect([isHeld('a', 9_000), isHeld('b', 9_000)]).toEqual([false, false])
})

it('another credential to try lets everybody ask once more', () => {
  holdOff.rejected('a', REJECTED, at(0), LENGTH)
  holdOff.forgive(at(100))
  expect(isHeld('a', 100)).toBe(false)
  holdOff.rejected('a', REJECTED, at(200), LENGTH)
  expect(isHeld('a', 300)).toBe(true)
})

it('what was accepted while the call was under way is not forgotten by its rejection', () => {
  holdOff.accepted(at(0))
  holdOff.rejected('a', REJECTED, at(1_000), LENGTH)
  expect(isHeld('a', 1_000)).toBe(false)
})

// A grant that this client may not use, at a provider that calls that the same, beside others that are served all the time.
it('what is rejected again and again is asked for four times in ten seconds, however often others are accepted', () => {
  let calls = 0
  for (let ms = 0; ms < 60_000; ms += 50) {
    holdOff.accepted(at(ms))
    if (isHeld('a', ms)) continue
    calls += 1
    holdOff.rejected('a', REJECTED, at(ms), LENGTH)
  }
  expect(calls).toBeLessThanOrEqual(24)
  expect(calls).toBeGreaterThan(6)
})

it('after a long time without any, the first acceptance still lets everybody ask', () => {
  for (let ms = 0; ms < 60_000; ms += 1_000) if (!isHeld('a', ms)) holdOff.rejected('a', REJECTED, at(ms), LENGTH)
  expect(isHeld('a', 59_500)).toBe(true)
  holdOff.accepted(at(59_500))
  expect(isHeld('a', 59_500)).toBe(false)
})

it('a refusal of one audience and a provider that is away are not forgotten for it', () => {
  holdOff.refused('denied', refused('token.audience-denied'), at(0), LENGTH)
  holdOff.failed('away', unavailable('provider.unavailable'), at(0), LENGTH)
  holdOff.rejected('later denied', REJECTED, at(0), LENGTH)
  holdOff.refused('later denied', refused('token.audience-denied'), at(0), LENGTH)
  holdOff.accepted(at(100))
  expect(['denied', 'away', 'later denied'].map((key) => isHeld(key, 100))).toEqual([true, true, true])
})
