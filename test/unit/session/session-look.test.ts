import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { SessionEnd } from '../../../src/domain/session.ts'
import { millis, minutes } from '../../../src/kernel/time.ts'
import { created, memoryWorld, type World } from '../../contract/session-store-kit.ts'

let world: World
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  world = await memoryWorld()
})
afterEach(async () => {
  await world.close()
  vi.useRealTimers()
})
const sweep = (): Promise<unknown> => vi.advanceTimersByTimeAsync(10_000)

it('a session that nobody comes back to is ended by who holds it open, not by the next visitor', async () => {
  const { store, recorder } = await world.replica()
  const session = await created(store, {}, world.clock.now())
  const heard: SessionEnd[] = []
  store.onEnded((end) => heard.push(end))
  world.clock.advance(minutes(59))
  await sweep()
  expect(heard).toEqual([])
  world.clock.advance(minutes(2))
  await sweep()
  expect(heard).toMatchObject([{ ref: session.ref, reason: 'idle' }])
  expect(heard[0]?.session?.grant.refreshToken).toBe(session.grant.refreshToken)
  expect(recorder.events).toMatchObject([{ event: 'session.ended', reason: 'idle', subject: 'alice' }])
  await sweep()
  expect(recorder.events).toHaveLength(1)
})

it('one that is used by way of another replica goes on', async () => {
  const [a, b] = [await world.replica(), await world.replica()]
  const session = await created(a.store, {}, world.clock.now())
  const cookie = session.cookie.reveal()
  world.clock.advance(minutes(40))
  const opened = await b.store.open(cookie)
  if (opened.kind !== 'found') throw new Error(opened.kind)
  b.store.touch(opened.held, world.clock.now())
  world.clock.advance(minutes(40))
  await sweep()
  expect(a.recorder.events).toEqual([])
  expect((await a.store.open(cookie)).kind).toBe('found')
  world.clock.advance(millis(minutes(21)))
  await sweep()
  expect([...a.recorder.events, ...b.recorder.events]).toMatchObject([{ event: 'session.ended', reason: 'idle' }])
})
