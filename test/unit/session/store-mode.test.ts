import { expect, it } from 'vitest'
import { instant, millis, minutes } from '../../../src/kernel/time.ts'
import { ModeKeeper } from '../../../src/session/store-mode.ts'
import type { ModeDeps } from '../../../src/session/store-mode.ts'
import type { L1Entry } from '../../../src/session/store-l1.ts'

/** A mode with one copy in memory, by a clock that can be set and by ticks that cannot. */
const world = () => {
  const time = { now: instant(minutes(60)), ticks: 1_000 }
  const entry = { checkedAt: time.ticks, epoch: 1 } as unknown as L1Entry
  const modes = new ModeKeeper({
    records: {} as ModeDeps['records'],
    connection: {
      reachable: () => true,
      connectedSince: () => time.now,
      serverAge: () => millis(Number.POSITIVE_INFINITY),
      onReplaced: () => {},
      onReachable: () => {},
      close: async () => {},
    },
    l1: { all: () => [entry], size: 1 } as unknown as ModeDeps['l1'],
    clock: { now: () => time.now, ticks: () => time.ticks, sleep: async () => {} },
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    metrics: { count: () => {}, gauge: () => {}, observe: () => {} },
    beatMs: 1_000,
    onGone: () => {},
  })
  modes.armed()
  return { time, entry, modes }
}

it('the grace of a copy counts from the last heartbeat, wherever the clock was set meanwhile', () => {
  const { time, entry, modes } = world()
  expect(modes.isTrue(entry)).toBe(true)
  for (const set of [minutes(1), minutes(600)]) {
    time.now = instant(set)
    time.ticks += 1_000
    modes.beat(time.ticks)
  }
  time.ticks += 900
  modes.lost()
  expect(entry.checkedAt).toBe(3_000)
})

// Stopped for ten minutes, a gateway that went on served the request that had waited, before the timer ran that found the heartbeat missing.
it('a process that was stopped believes none of its copies before the next heartbeat', () => {
  const { time, entry, modes } = world()
  time.ticks += 2_000
  expect([modes.mode, modes.isTrue(entry)]).toEqual(['live', true])
  time.ticks += minutes(10)
  expect([modes.mode, modes.isTrue(entry)]).toEqual(['checking', false])
  modes.beat(time.ticks)
  expect([modes.mode, modes.isTrue(entry)]).toEqual(['live', true])
})
