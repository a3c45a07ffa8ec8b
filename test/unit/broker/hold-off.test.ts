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
/** @param askedMs when the call went out; a moment before its answer unless told */
const reject = (key: string, ms: number, askedMs = ms - 1): void =>
  holdOff.rejected(key, REJECTED, { askedAt: at(askedMs), now: at(ms), length: LENGTH })
const isHeld = (key: string, ms: number): boolean => holdOff.outcome(key, at(ms)) !== undefined

it('a rejected credential is remembered until one is accepted, for all who were refused', () => {
  for (const key of ['a', 'b']) reject(key, 0)
  expect([isHeld('a', 9_000), isHeld('b', 9_000)]).toEqual([true, true])
  holdOff.accepted(at(9_000))
  expect([isHeld('a', 9_000), isHeld('b', 9_000)]).toEqual([false, false])
})

it('another credential to try lets everybody ask once more, also whom acceptances did not help', () => {
  reject('a', 0)
  holdOff.another(at(100))
  expect(isHeld('a', 100)).toBe(false)
  reject('a', 200)
  expect(isHeld('a', 300)).toBe(true)

  for (let ms = 1_000; ms < 1_400; ms += 100) {
    holdOff.accepted(at(ms))
    reject('a', ms + 50)
  }
  holdOff.accepted(at(1_400))
  expect(isHeld('a', 1_400)).toBe(true)
  holdOff.another(at(1_401))
  expect(isHeld('a', 1_401)).toBe(false)
})

it('what was accepted while the call was under way is not forgotten by its rejection', () => {
  holdOff.accepted(at(500))
  reject('a', 1_000, 0)
  expect(isHeld('a', 1_000)).toBe(false)
})

// The start of an outage: the last acceptances lie a moment before the first rejections, and say nothing of what comes after.
it('what was accepted before the call went out does not use up what the next acceptance is worth', () => {
  holdOff.accepted(at(0))
  for (let ms = 10; ms < 200; ms += 10) if (!isHeld('a', ms)) reject('a', ms)
  expect(isHeld('a', 4_000)).toBe(true)
  holdOff.accepted(at(4_000))
  expect(isHeld('a', 4_000)).toBe(false)
})

// A provider whose servers learn of a credential one after the other: acceptances and rejections by turns.
it('whom three acceptances did not help is kept waiting for a second, not for as long as a rejection counts', () => {
  for (let ms = 0; ms < 400; ms += 100) {
    reject('a', ms)
    holdOff.accepted(at(ms + 50))
  }
  expect(isHeld('a', 400)).toBe(true)
  expect(isHeld('a', 1_400)).toBe(false)
})

// A grant that this client may not use, at a provider that calls that the same, beside others that are served all the time.
it('what is rejected again and again is asked for less and less, however often others are accepted', () => {
  const calls: number[] = []
  for (let ms = 0; ms < 60_000; ms += 50) {
    holdOff.accepted(at(ms))
    if (isHeld('a', ms)) continue
    calls.push(ms)
    reject('a', ms)
  }
  expect(calls.length).toBeLessThanOrEqual(30)
  expect(calls.length).toBeGreaterThan(6)
})

it('after a long time without any, the first acceptance still lets everybody ask', () => {
  for (let ms = 0; ms < 60_000; ms += 1_000) if (!isHeld('a', ms)) reject('a', ms)
  expect(isHeld('a', 59_500)).toBe(true)
  holdOff.accepted(at(59_500))
  expect(isHeld('a', 59_500)).toBe(false)
})

it('a refusal of one audience and a provider that is away are not forgotten for it', () => {
  holdOff.refused('denied', refused('token.audience-denied'), at(0), LENGTH)
  holdOff.failed('away', unavailable('provider.unavailable'), at(0), LENGTH)
  reject('later denied', 0)
  holdOff.refused('later denied', refused('token.audience-denied'), at(0), LENGTH)
  holdOff.accepted(at(100))
  expect(['denied', 'away', 'later denied'].map((key) => isHeld(key, 100))).toEqual([true, true, true])
})
