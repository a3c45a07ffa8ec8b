import { expect, it } from 'vitest'
import { createFileWatch } from '../../../src/kernel/file-watch.ts'
import type { FileLook } from '../../../src/kernel/file-watch.ts'
import { manualClock, settle } from '../../harness/clock.ts'
import { recordingLog } from '../../harness/provider-room.ts'

const watching = () => {
  const clock = manualClock()
  const { log, lines } = recordingLog()
  const looks: string[] = []
  const watch = createFileWatch({ clock, log, onLook: (setting, outcome) => void looks.push(`${setting} ${outcome}`) })
  return { clock, lines, looks, watch }
}
const same = async (): Promise<FileLook> => ({ outcome: 'unchanged' })
/** A look that is over when the test says so. */
const gated = () => {
  const begun: ((look?: FileLook) => void)[] = []
  const look = (): Promise<FileLook> => new Promise((resolve) => begun.push((seen = { outcome: 'unchanged' }) => resolve(seen)))
  return { begun, look }
}

it('everything is looked at every five seconds, by one timer', async () => {
  const { clock, looks, watch } = watching()
  watch.add('one', same)
  watch.add('two', async () => ({ outcome: 'replaced' }))
  expect(clock.sleeping()).toBe(1)
  await clock.advance(4_999)
  expect(looks).toEqual([])
  await clock.advance(1)
  expect(looks).toEqual(['one unchanged', 'two replaced'])
  await clock.advance(5_000)
  expect(looks).toHaveLength(4)
  await watch.stop()
  expect(clock.sleeping()).toBe(0)
})

it('two looks of one thing never overlap, and who asks waits for one that began after the question', async () => {
  const { clock, watch } = watching()
  const { begun, look } = gated()
  const watched = watch.add('one', look)
  await clock.advance(5_000)
  expect(begun).toHaveLength(1)
  let done = 0
  for (let n = 0; n < 3; n += 1) void watched.look().then(() => (done += 1))
  await settle()
  expect(begun).toHaveLength(1)
  begun[0]?.()
  await settle()
  // What was under way may have read before the files changed; one more for all three.
  expect([begun.length, done]).toEqual([2, 0])
  begun[1]?.()
  await settle()
  expect(done).toBe(3)
  await watch.stop()
})

it('a look that throws ends neither its own watch nor another, is said once, and nothing of its error', async () => {
  const { clock, lines, looks, watch } = watching()
  let isBroken = true
  watch.add('broken', async () => {
    if (isBroken) throw new Error('CANARY of a key file')
    return { outcome: 'replaced' }
  })
  // Also where it does not even begin.
  watch.add('worse', () => {
    throw new Error('CANARY')
  })
  watch.add('sound', same)
  await clock.advance(10_000)
  expect(looks.filter((line) => line === 'sound unchanged')).toHaveLength(2)
  expect(new Set(lines.map(({ facts }) => facts.mode))).toEqual(new Set(['broken', 'worse']))
  expect(lines).toHaveLength(2)
  isBroken = false
  await clock.advance(5_000)
  expect(looks).toContain('broken replaced')
  expect(JSON.stringify(lines)).not.toContain('CANARY')
  await watch.stop()
})

it('a look that hangs holds up nobody: not the others, not a reload, not the end; it is said once', async () => {
  const { clock, lines, looks, watch } = watching()
  const { begun, look } = gated()
  watch.add('hanging', look)
  watch.add('sound', same)
  await clock.advance(30_000)
  expect(looks).toHaveLength(6)
  expect(lines.map(({ facts }) => facts.mode)).toEqual(['hanging'])
  let over = ''
  void watch.lookAtAll().then(() => (over = 'reload'))
  await clock.advance(4_000)
  expect(over).toBe('')
  await clock.advance(1_000)
  expect(over).toBe('reload')
  expect(begun).toHaveLength(1)
  void watch.stop().then(() => (over = 'stop'))
  await clock.advance(5_000)
  expect(over).toBe('stop')
})

it('a reload looks at everything now and is over when all of them are', async () => {
  const { looks, watch } = watching()
  const { begun, look } = gated()
  watch.add('slow', look)
  watch.add('quick', same)
  let over = false
  const reload = watch.lookAtAll().then(() => (over = true))
  await settle()
  expect([looks, over]).toEqual([['quick unchanged'], false])
  begun[0]?.({ outcome: 'kept' })
  await reload
  expect(looks).toEqual(['quick unchanged', 'slow kept'])
  await watch.stop()
})

it('once stopped nothing is looked at any more, and what was under way has been waited for', async () => {
  const { clock, looks, watch } = watching()
  const { begun, look } = gated()
  const one = watch.add('one', look)
  const two = watch.add('two', same)
  two.stop()
  await clock.advance(5_000)
  expect(looks).toEqual([])
  let over = false
  const stopping = watch.stop().then(() => (over = true))
  await settle()
  expect(over).toBe(false)
  begun[0]?.()
  await stopping
  await one.look()
  watch.add('late', same)
  await clock.advance(60_000)
  expect([begun.length, looks]).toEqual([1, ['one unchanged']])
})
