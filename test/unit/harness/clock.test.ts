import { expect, it } from 'vitest'
import { millis } from '../../../src/kernel/time.ts'
import { manualClock } from '../../harness/clock.ts'

it('wakes sleepers in the order of their moments, also those who fall asleep on the way', async () => {
  const clock = manualClock()
  const begun = clock.now()
  const woke: string[] = []
  const nap = async (name: string, ...lengths: number[]): Promise<void> => {
    for (const length of lengths) {
      await clock.sleep(millis(length))
      woke.push(`${name}@${clock.now() - begun}`)
    }
  }
  const all = Promise.all([nap('late', 50), nap('twice', 10, 30), nap('never', 200).catch(() => {})])
  await clock.advance(100)
  expect(woke).toEqual(['twice@10', 'twice@40', 'late@50'])
  expect(clock.sleeping()).toBe(1)
  await clock.advance(100)
  await all
  expect(clock.now() - begun).toBe(200)
})

it('rejects a sleep with the reason of its signal', async () => {
  const clock = manualClock()
  const cancel = new AbortController()
  const sleep = clock.sleep(millis(10), cancel.signal)
  cancel.abort(new Error('shut down'))
  await expect(sleep).rejects.toThrow('shut down')
  expect(clock.sleeping()).toBe(0)
})
