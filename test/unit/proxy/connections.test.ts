import { describe, expect, it } from 'vitest'
import type { SessionRef } from '../../../src/domain/session.ts'
import { instant, type Instant } from '../../../src/kernel/time.ts'
import { connections } from '../../../src/proxy/connections.ts'
import { settle } from '../../harness/clock.ts'

const alice = 'alice' as SessionRef
const bob = 'bob' as SessionRef
const make = () => {
  let now = instant(0)
  const registry = connections({ now: () => now, sleep: async () => {} })
  const stream = () => {
    const one = { cuts: 0, cut: () => void (one.cuts += 1) }
    return one
  }
  return { registry, stream, at: (ms: number) => (now = instant(ms)) }
}

it('cuts all streams of a session when it ends, and nobody else’s', () => {
  const { registry, stream } = make()
  const [a1, a2, b] = [stream(), stream(), stream()]
  for (const one of [a1, a2]) expect(registry.add(alice, undefined, one)).toBe(true)
  registry.add(bob, undefined, b)
  expect(registry.endSession(alice)).toBe(2)
  expect([a1.cuts, a2.cuts, b.cuts]).toEqual([1, 1, 0])
  expect(registry.count()).toBe(1)
})
// The session ended while the upstream was still thinking: there was nothing to cut then, and must be nothing to stream now.
it('refuses a stream of a session that ended before it began', () => {
  const { registry, stream } = make()
  registry.endSession(alice)
  expect(registry.add(alice, undefined, stream())).toBe(false)
  expect(registry.add(bob, undefined, stream())).toBe(true)
})
it('cuts a stream once its session’s time is over', () => {
  const { registry, stream, at } = make()
  const one = stream()
  registry.add(alice, instant(1000), one)
  registry.sweep(instant(999))
  expect(one.cuts).toBe(0)
  registry.sweep(instant(1000))
  expect(one.cuts).toBe(1)
  expect(registry.count()).toBe(0)
  at(1000)
  expect(registry.add(alice, instant(1000), stream())).toBe(false)
})
it('forgets a stream that ended by itself', () => {
  const { registry, stream } = make()
  const one = stream()
  registry.add(alice, undefined, one)
  registry.remove(one)
  registry.remove(one)
  expect(registry.count()).toBe(0)
  expect(registry.endSession(alice)).toBe(0)
  expect(one.cuts).toBe(0)
})
it('survives streams that take themselves off while being cut', () => {
  const { registry } = make()
  const cuts: number[] = []
  for (let i = 0; i < 3; i += 1) {
    const one = { cut: () => (cuts.push(i), registry.remove(one)) }
    registry.add(alice, undefined, one)
  }
  expect(registry.endAll()).toBe(3)
  expect(cuts).toEqual([0, 1, 2])
})
it('takes nothing more once it drains, sessions or not', () => {
  const { registry, stream } = make()
  const one = stream()
  expect(registry.add(undefined, undefined, one)).toBe(true)
  registry.endAll()
  expect(one.cuts).toBe(1)
  expect(registry.add(undefined, undefined, stream())).toBe(false)
})
describe('a session that nobody uses any more', () => {
  const idle = () => {
    const made = make()
    const asked: { readonly ref: SessionRef; readonly answer: (until: Instant | undefined) => void; readonly fail: () => void }[] = []
    made.registry.whenIdle(
      (ref) => new Promise((resolve, reject) => asked.push({ ref, answer: resolve, fail: () => reject(new Error('no answer')) })),
    )
    return { ...made, asked }
  }
  it('is asked about at the predicted moment, once at a time, and its streams are cut when it is gone', async () => {
    const { registry, stream, asked } = idle()
    const [a1, a2, b] = [stream(), stream(), stream()]
    registry.add(alice, undefined, a1, instant(1000))
    registry.add(alice, undefined, a2, instant(1500))
    registry.add(bob, undefined, b, instant(9000))
    registry.sweep(instant(1499))
    expect(asked).toEqual([])
    registry.sweep(instant(1500))
    registry.sweep(instant(2500))
    expect(asked.map(({ ref }) => ref)).toEqual([alice])
    asked[0]?.answer(undefined)
    await settle()
    expect([a1.cuts, a2.cuts, b.cuts]).toEqual([1, 1, 0])
    expect(registry.add(alice, undefined, stream(), instant(9000))).toBe(false)
  })
  it('goes on when it was used elsewhere, and is asked about again when that is over', async () => {
    const { registry, stream, asked } = idle()
    const one = stream()
    registry.add(alice, undefined, one, instant(1000))
    registry.sweep(instant(1000))
    asked[0]?.answer(instant(3000))
    await settle()
    registry.sweep(instant(2999))
    expect(asked).toHaveLength(1)
    registry.sweep(instant(3000))
    expect(asked).toHaveLength(2)
    expect(one.cuts).toBe(0)
  })
  it('is not cut by a look that fails; the next comes a second later', async () => {
    const { registry, stream, asked, at } = idle()
    const one = stream()
    registry.add(alice, undefined, one, instant(1000))
    at(1000)
    registry.sweep(instant(1000))
    asked[0]?.fail()
    await settle()
    registry.sweep(instant(1999))
    expect(asked).toHaveLength(1)
    registry.sweep(instant(2000))
    expect([asked.length, one.cuts]).toEqual([2, 0])
  })
  it('is forgotten with its last stream', async () => {
    const { registry, stream, asked } = idle()
    const one = stream()
    registry.add(alice, undefined, one, instant(1000))
    registry.remove(one)
    registry.sweep(instant(5000))
    expect(asked).toEqual([])
  })
})
