import { expect, it } from 'vitest'
import { seconds } from '../../../src/kernel/time.ts'
import { createFleet, wordOf } from '../../harness/brokers.ts'
import { settle } from '../../harness/clock.ts'
import { the } from '../../harness/the.ts'

/** Time passes until this is answered. */
const answered = async (fleet: ReturnType<typeof createFleet>, asked: Promise<Parameters<typeof wordOf>[0]>): Promise<string> => {
  let word: string | undefined
  void asked.then((outcome) => (word = wordOf(outcome)))
  for (let i = 0; i < 200 && word === undefined; i += 1) {
    await settle(1)
    if (word === undefined) await fleet.clock.advance(100)
  }
  return word ?? 'never'
}
const world = async () => {
  const fleet = createFleet({ rotation: 'strict', requestTimeoutMs: seconds(5) })
  const session = fleet.session()
  await fleet.clock.advance(seconds(10))
  return { fleet, session }
}

// A failover had lost a rotation. The replica that had received it stored it again two seconds later; another one had by then sent the spent token.
it('a refresh token is not sent to the provider while another replica may still store its successor again', async () => {
  const { fleet, session } = await world()
  const [one, two] = [fleet.replica('one'), fleet.replica('two')]
  two.store.replaceServer()
  const asked = two.broker.user(fleet.held(session), the.orders)
  await settle()
  await fleet.clock.advance(seconds(4))
  expect(fleet.provider.sends).toHaveLength(0)
  // As the replica that had received it does; here by a refresh of its own.
  fleet.shared.dropLease(session.ref)
  expect(await answered(fleet, one.broker.user(fleet.held(session), the.orders))).toBe('issued')
  expect(await answered(fleet, asked)).toBe('issued')
  expect(fleet.provider.sends).toHaveLength(1)
})
it('is sent when every call has ended that could have been made before, and nobody stored a newer one', async () => {
  const { fleet, session } = await world()
  const { broker, store } = fleet.replica('one')
  store.replaceServer()
  const began = fleet.clock.now()
  expect(await answered(fleet, broker.user(fleet.held(session), the.orders))).toBe('issued')
  expect(fleet.clock.now() - began).toBeGreaterThanOrEqual(seconds(6))
  expect(fleet.provider.sends).toHaveLength(1)
})
it('of a session that is younger than the server is sent at once', async () => {
  const fleet = createFleet({ rotation: 'strict', requestTimeoutMs: seconds(5) })
  const { broker, store } = fleet.replica('one')
  store.replaceServer()
  await fleet.clock.advance(seconds(2))
  const session = fleet.session()
  const began = fleet.clock.now()
  expect(await answered(fleet, broker.user(fleet.held(session), the.orders))).toBe('issued')
  expect(fleet.clock.now() - began).toBeLessThan(seconds(1))
})
it('of a profile without rotation is sent at once: it stays good', async () => {
  const fleet = createFleet({ rotation: 'none', requestTimeoutMs: seconds(5) })
  const session = fleet.session()
  await fleet.clock.advance(seconds(10))
  const { broker, store } = fleet.replica('one')
  store.replaceServer()
  const began = fleet.clock.now()
  expect(await answered(fleet, broker.user(fleet.held(session), the.orders))).toBe('issued')
  expect(fleet.clock.now() - began).toBeLessThan(seconds(1))
})
it('a store whose server is replaced again and again answers "come back" rather than keep anybody for ever', async () => {
  const { fleet, session } = await world()
  const { broker, store } = fleet.replica('one')
  store.replaceServer()
  const asked = broker.user(fleet.held(session), the.orders)
  let word: string | undefined
  void asked.then((outcome) => (word = wordOf(outcome)))
  for (let i = 0; i < 60 && word === undefined; i += 1) {
    await settle(1)
    await fleet.clock.advance(500)
    store.replaceServer()
  }
  expect(word).toBe('store.unavailable')
  expect(fleet.provider.sends).toHaveLength(0)
})
