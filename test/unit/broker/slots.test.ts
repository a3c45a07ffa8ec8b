import { describe, expect, it } from 'vitest'
import { Slots } from '../../../src/broker/slots.ts'
import { seconds } from '../../../src/kernel/time.ts'
import { createFleet, wordOf } from '../../harness/brokers.ts'
import { manualClock, settle } from '../../harness/clock.ts'
import { the } from '../../harness/the.ts'

describe('slots', () => {
  it('are handed on in the order of asking, and none is lost', async () => {
    const slots = new Slots(1, seconds(5), manualClock())
    const first = await slots.take()
    const order: string[] = []
    const second = slots.take().then((release) => (order.push('second'), release))
    const third = slots.take().then((release) => (order.push('third'), release))
    first?.()
    first?.() // twice is as good as once
    ;(await second)?.()
    ;(await third)?.()
    expect(order).toEqual(['second', 'third'])
    expect(await slots.take()).toBeDefined()
  })
  it('of one who waits too long goes to the next', async () => {
    const clock = manualClock()
    const slots = new Slots(1, seconds(5), clock)
    const first = await slots.take()
    const late = slots.take()
    await clock.advance(seconds(5))
    expect(await late).toBeUndefined()
    first?.()
    expect(await slots.take()).toBeDefined()
  })
})

it.each(['strict', 'none'] as const)(
  'with rotation %s no more sessions than there are slots are at the provider at once, and all are served',
  async (rotation) => {
    const fleet = createFleet({ rotation, settings: { inFlightMax: 3 } })
    const { broker } = fleet.replica()
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => broker.user(fleet.held(fleet.session()), the.orders)))
    expect(outcomes.map(wordOf)).toEqual(Array.from({ length: 20 }, () => 'issued'))
    expect(fleet.provider.mostAtOnce()).toBe(3)
  },
)

it('an ask that finds no slot in time is told to come back, and has left no mark', async () => {
  const fleet = createFleet({ settings: { inFlightMax: 1 } })
  const { broker } = fleet.replica()
  const [slow, other] = [fleet.session(), fleet.session()]
  const gate = fleet.provider.gates.stop('refresh:before')
  const first = broker.user(fleet.held(slow), the.orders)
  await gate.reached
  const second = broker.user(fleet.held(other), the.orders)
  await settle()
  await fleet.clock.advance(seconds(5))
  expect(wordOf(await second)).toBe('provider.unavailable')
  expect(fleet.shared.markOf(other.ref)).toBeUndefined()
  gate.open()
  expect(wordOf(await first)).toBe('issued')
})
