import { expect, it } from 'vitest'
import type { SessionRef } from '../../../src/domain/session.ts'
import { instant } from '../../../src/kernel/time.ts'
import { connections } from '../../../src/proxy/connections.ts'

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
