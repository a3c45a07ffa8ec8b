import { expect, it } from 'vitest'
import { instant, millis, minutes } from '../../../src/kernel/time.ts'
import { ModeKeeper } from '../../../src/session/store-mode.ts'
import type { ModeDeps } from '../../../src/session/store-mode.ts'
import type { L1Entry } from '../../../src/session/store-l1.ts'

it('the grace of a copy that was read before the clock was set back counts from the last heartbeat all the same', async () => {
  let now = instant(minutes(60))
  const entry = { checkedAt: now, epoch: 1 } as L1Entry
  const l1 = { all: () => [entry], size: 1 } as unknown as ModeDeps['l1']
  const modes = new ModeKeeper({
    records: {} as ModeDeps['records'],
    connection: {
      reachable: () => true,
      connectedSince: () => now,
      serverAge: () => millis(Number.POSITIVE_INFINITY),
      onReplaced: () => {},
      onReachable: () => {},
      close: async () => {},
    },
    l1,
    clock: { now: () => now, sleep: async () => {} },
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    metrics: { count: () => {}, gauge: () => {}, observe: () => {} },
    onGone: () => {},
  })
  modes.armed()
  expect(modes.isTrue(entry)).toBe(true)
  now = instant(minutes(1))
  modes.beat(now)
  modes.lost()
  expect(entry.checkedAt).toBe(now)
})
