import { describe, expect, it } from 'vitest'
import { Breaker } from '../../../src/broker/breaker.ts'
import { HoldOff } from '../../../src/broker/hold-off.ts'
import { refused, unavailable } from '../../../src/broker/renewal.ts'
import { after, minutes, seconds } from '../../../src/kernel/time.ts'
import { the } from '../../harness/the.ts'

const { now } = the

describe('the loop breaker', () => {
  it('opens at once for as long as the provider asks', () => {
    const breaker = new Breaker()
    breaker.failed('a', now, seconds(20))
    expect(breaker.blockedFor(now)).toBe(20_000)
    expect(breaker.enter('b', after(now, seconds(19)))).toBe(1000)
    expect(breaker.enter('b', after(now, seconds(20)))).toBeUndefined()
  })

  it('is not open for longer than it was to be because the clock was set back meanwhile', () => {
    const breaker = new Breaker()
    breaker.failed('a', now, seconds(20))
    const setBack = after(now, minutes(-3))
    expect(breaker.blockedFor(setBack)).toBeUndefined()
    breaker.enter('a', setBack)
    breaker.failed('a', setBack, seconds(20))
    expect(breaker.blockedFor(after(setBack, seconds(5)))).toBe(15_000)
  })

  it('does not let one failing ask hold up all others', () => {
    const breaker = new Breaker()
    for (let i = 0; i < 10; i += 1) breaker.failed('a', now, undefined)
    expect(breaker.blockedFor(now)).toBeUndefined()
  })

  it('opens when three different asks fail without a success between', () => {
    const breaker = new Breaker()
    for (const key of ['a', 'b']) breaker.failed(key, now, undefined)
    breaker.succeeded(now)
    for (const key of ['c', 'd']) breaker.failed(key, now, undefined)
    expect(breaker.blockedFor(now)).toBeUndefined()
    breaker.failed('e', now, undefined)
    expect(breaker.blockedFor(now)).toBeGreaterThan(0)
  })

  it('sends one probe after the pause, and everybody once it has come back well', () => {
    const breaker = new Breaker()
    breaker.failed('a', now, seconds(5))
    const later = after(now, seconds(5))
    expect(breaker.enter('probe', later)).toBeUndefined()
    expect(breaker.enter('other', later)).toBeGreaterThan(0)
    breaker.succeeded(later)
    expect(breaker.enter('other', later)).toBeUndefined()
    expect(breaker.enter('third', later)).toBeUndefined()
  })

  it('opens again when the probe fails, whatever it failed of', () => {
    const breaker = new Breaker()
    breaker.failed('a', now, seconds(5))
    const later = after(now, seconds(5))
    breaker.enter('probe', later)
    breaker.failed('probe', later, undefined)
    expect(breaker.blockedFor(later)).toBeGreaterThan(0)
    expect(breaker.enter('next probe', after(later, seconds(60)))).toBeUndefined()
  })

  // Of calls that were under way when the provider said stop, some come back well: each of them took the pause away.
  it('keeps a pause that the provider asked for, whatever was sent before it and comes back now', () => {
    const breaker = new Breaker()
    breaker.failed('a', now, seconds(20))
    breaker.succeeded(after(now, seconds(1)))
    expect(breaker.blockedFor(after(now, seconds(1)))).toBe(19_000)
  })

  it('that is asked for while a probe is out is over when it is over', () => {
    const breaker = new Breaker()
    breaker.failed('a', now, seconds(5))
    const later = after(now, seconds(5))
    breaker.enter('probe', later)
    breaker.failed('sent before', later, seconds(20))
    breaker.succeeded(later)
    expect(breaker.blockedFor(later)).toBe(20_000)
    expect(breaker.enter('next', after(later, seconds(20)))).toBeUndefined()
  })

  it('that opened of itself closes with the first success', () => {
    const breaker = new Breaker()
    for (const key of ['a', 'b', 'c']) breaker.failed(key, now, undefined)
    breaker.succeeded(now)
    expect(breaker.blockedFor(now)).toBeUndefined()
  })

  it('never pauses longer than an hour', () => {
    const breaker = new Breaker()
    breaker.failed('a', now, minutes(60 * 24))
    expect(breaker.blockedFor(now)).toBe(minutes(60))
  })
})

describe('the hold-off', () => {
  it('is over when the clock was set back to before it began', () => {
    const holdOff = new HoldOff()
    holdOff.refused('a', refused('token.audience-denied'), now, seconds(90))
    expect(holdOff.outcome('a', after(now, seconds(80)))).toBeDefined()
    expect(holdOff.outcome('a', after(now, minutes(-3)))).toBeUndefined()
  })

  it('repeats a refusal until its time is over', () => {
    const holdOff = new HoldOff()
    holdOff.refused('k', refused('session.step-up-required'), now, seconds(90))
    expect(holdOff.outcome('k', after(now, seconds(89)))).toEqual(refused('session.step-up-required'))
    expect(holdOff.outcome('other', now)).toBeUndefined()
    expect(holdOff.outcome('k', after(now, seconds(90)))).toBeUndefined()
  })

  it('tells how long is left of a pause the provider asked for', () => {
    const holdOff = new HoldOff()
    holdOff.failed('k', unavailable('provider.unavailable'), now, seconds(7))
    expect(holdOff.outcome('k', after(now, seconds(3)))).toEqual(unavailable('provider.unavailable', seconds(4)))
  })

  // Entra's loop detection (AADSTS50196) answers the same words for as long as one asks.
  it('pauses longer than a provider asks for that says the same again and again', () => {
    const holdOff = new HoldOff()
    const pauses = Array.from({ length: 8 }, () => {
      holdOff.failed('k', unavailable('provider.unavailable'), now, seconds(5))
      const outcome = holdOff.outcome('k', now)
      return outcome?.kind === 'unavailable' ? outcome.retryAfter : 0
    })
    expect(pauses[0]).toBe(5000)
    expect(pauses.at(-1)).toBeGreaterThanOrEqual(15_000)
    expect(Math.min(...pauses)).toBe(5000)
  })

  it('pauses longer after each failure, and forgets with a success', () => {
    const holdOff = new HoldOff()
    const pauses = [1, 2, 3, 4, 5, 6, 7, 8].map(() => {
      holdOff.failed('k', unavailable('provider.unavailable'), now, undefined)
      const outcome = holdOff.outcome('k', now)
      return outcome?.kind === 'unavailable' ? outcome.retryAfter : 0
    })
    expect(pauses[0]).toBeLessThanOrEqual(1000)
    expect(pauses[3]).toBeGreaterThanOrEqual(4000)
    expect(Math.max(...pauses)).toBeLessThanOrEqual(30_000)
    holdOff.succeeded('k')
    expect(holdOff.outcome('k', now)).toBeUndefined()
  })

  it('is bounded: the oldest is forgotten first', () => {
    const holdOff = new HoldOff()
    for (let i = 0; i <= 10_000; i += 1) holdOff.refused(`k${i}`, refused('token.audience-denied'), now, seconds(60))
    expect(holdOff.outcome('k0', now)).toBeUndefined()
    expect(holdOff.outcome('k1', now)).toBeDefined()
    expect(holdOff.outcome('k10000', now)).toBeDefined()
  })
})
