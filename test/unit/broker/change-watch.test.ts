import { expect, it } from 'vitest'
import { createChangeWatcher } from '../../../src/broker/change-watch.ts'
import type { SessionChange } from '../../../src/domain/session.ts'
import { seconds } from '../../../src/kernel/time.ts'
import { manualClock } from '../../harness/clock.ts'
import { a } from '../../harness/the.ts'

const { ref } = a.session()
const { ref: otherRef } = a.session()
const setUp = () => {
  const clock = manualClock()
  const listeners = new Set<(change: SessionChange) => void>()
  const onChange = (listener: (change: SessionChange) => void) => {
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }
  const written = (of = ref): void => {
    for (const listener of listeners) listener({ kind: 'written', ref: of, gen: 2 })
  }
  return { clock, listeners, written, changes: createChangeWatcher({ onChange }, clock) }
}

it('tells a change that came between the look and the wait, without waiting', async () => {
  const { clock, changes, written } = setUp()
  const watch = changes.watch(ref)
  written()
  expect(await watch.next(seconds(10))).toBe(true)
  expect(clock.sleeping()).toBe(0)
})

it('wakes at the change of its session, and of no other', async () => {
  const { clock, changes, written } = setUp()
  const watch = changes.watch(ref)
  const next = watch.next(seconds(10))
  written(otherRef)
  expect(clock.sleeping()).toBe(1)
  written()
  expect(await next).toBe(true)
  const nextOne = watch.next(seconds(10))
  await clock.advance(seconds(10))
  expect(await nextOne).toBe(false)
  expect(clock.sleeping()).toBe(0)
})

it('keeps two watches of one session apart, and lets go when closed', async () => {
  const { changes, written, listeners } = setUp()
  const [one, two] = [changes.watch(ref), changes.watch(ref)]
  one.close()
  written()
  expect(await two.next(seconds(10))).toBe(true)
  two.close()
  changes.close()
  expect(listeners.size).toBe(0)
})
