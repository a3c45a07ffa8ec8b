import { expect, it } from 'vitest'
import type { AuditEvent } from '../../../src/domain/audit-event.ts'
import type { Metrics } from '../../../src/domain/metric.ts'
import type { EndReason, Session, SessionRef } from '../../../src/domain/session.ts'
import { createRevocations, type RevocationsDeps } from '../../../src/flows/revocations.ts'
import { Secret } from '../../../src/kernel/secret.ts'
import { minutes, seconds } from '../../../src/kernel/time.ts'
import { createMemoryOnceStore } from '../../../src/session/once-store.ts'
import { manualClock, settle } from '../../harness/clock.ts'
import { a } from '../../harness/the.ts'

type Outcome = 'revoked' | 'unsupported' | 'unavailable'

const make = (over: Partial<RevocationsDeps> = {}, clock = manualClock()) => {
  const told: string[] = []
  const events: AuditEvent[] = []
  const gauges: number[] = []
  const answers: { now: Outcome | (() => Promise<Outcome>) } = { now: 'revoked' }
  const metrics: Metrics = { count: () => {}, gauge: (_name, value) => void gauges.push(value), observe: () => {} }
  const once = createMemoryOnceStore({ clock })
  const provider = {
    revoke: async (token: Secret<'refresh-token'>): Promise<Outcome> => {
      told.push(token.reveal())
      return typeof answers.now === 'function' ? answers.now() : answers.now
    },
  }
  const audit = { record: (event: AuditEvent) => void events.push(event) }
  const revocations = createRevocations({ provider, once, audit, metrics, clock, ...over })
  return { revocations, told, events, gauges, answers, clock, once }
}
const session = (name: string): Session => {
  const { card, grant } = a.draft({ grant: { refreshToken: Secret.of('refresh-token', `rt-${name}`) } })
  return {
    ref: name as SessionRef,
    card: { ...card, ref: name as SessionRef },
    grant,
    tokens: new Map(),
    gen: 1,
    rtGen: 1,
    cookie: undefined as never,
  }
}

it.each<[EndReason, number, string]>([
  ['user', 8, 'signed out everywhere: told until it is heard'],
  ['provider', 8, 'signed out there: told until it is heard'],
  ['admin', 8, 'put out by an operator: told until it is heard'],
  ['local', 1, 'goes on at the provider: a late revocation could end the tokens of the next sign-in'],
  ['idle', 1, 'goes on at the provider'],
  ['absolute', 1, 'goes on at the provider'],
  ['key-removed', 1, 'goes on at the provider'],
  ['replaced', 0, 'the newer session’s tokens may be of the same grant'],
  ['front-channel', 0, 'a frame of anybody’s must not reach the provider'],
  ['refresh-refused', 0, 'there is nothing left to revoke'],
  ['refresh-lost', 0, 'the broker does it'],
  ['identity-changed', 0, 'the broker does it'],
  ['login-raced', 0, 'the callback does it'],
])('after the end %s a provider that is away is asked %i times: %s', async (reason, times) => {
  const { revocations, told, answers, clock, events } = make()
  answers.now = 'unavailable'
  revocations.add(session('a'), reason)
  await clock.advance(minutes(30))
  expect(told).toHaveLength(times)
  expect(events).toEqual(times === 0 ? [] : [expect.objectContaining({ event: 'token.revoked', outcome: 'unavailable', sessionRef: 'a' })])
  expect(revocations.size).toBe(0)
})

it('stops asking when the provider has heard, and tells it once', async () => {
  const { revocations, told, answers, clock, events } = make()
  answers.now = 'unavailable'
  revocations.add(session('a'), 'user', { requestId: 'request-1', subject: 'alice' })
  await clock.advance(seconds(4))
  const before = told.length
  expect(before).toBeGreaterThan(1)
  answers.now = 'revoked'
  await clock.advance(minutes(10))
  expect(told).toHaveLength(before + 1)
  expect(events).toEqual([{ event: 'token.revoked', outcome: 'revoked', requestId: 'request-1', subject: 'alice', sessionRef: 'a' }])
})

it('an end that is told twice, here and by another replica, is one revocation', async () => {
  const first = make()
  const second = make({ once: first.once }, first.clock)
  for (const { revocations } of [first, second, first]) revocations.add(session('a'), 'admin')
  await settle()
  expect([...first.told, ...second.told]).toEqual(['rt-a'])
  expect([...first.events, ...second.events]).toHaveLength(1)
})

it('a store that is away keeps no revocation back', async () => {
  const { revocations, told } = make({ once: { claim: async () => 'unavailable' } })
  revocations.add(session('a'), 'user')
  await settle()
  expect(told).toEqual(['rt-a'])
})

it('asks about a few at a time, and forgets the oldest when too many wait', async () => {
  const { revocations, told, answers, events, gauges } = make({ settings: { waitingMax: 5, atOnceMax: 2 } })
  const gate = Promise.withResolvers<Outcome>()
  answers.now = () => gate.promise
  for (let i = 0; i < 10; i += 1) revocations.add(session(String(i)), 'user')
  await settle()
  expect(told).toEqual(['rt-0', 'rt-1'])
  expect(revocations.size).toBe(7)
  expect(events.map(({ sessionRef }) => sessionRef)).toEqual(['2', '3', '4'])
  gate.resolve('revoked')
  await settle(20)
  expect(told).toEqual(['rt-0', 'rt-1', 'rt-5', 'rt-6', 'rt-7', 'rt-8', 'rt-9'])
  expect(gauges.at(-1)).toBe(0)
})

it('a drain asks for each once more, now, and says how many it could not wait for', async () => {
  const { revocations, told, answers, clock, events } = make()
  answers.now = 'unavailable'
  revocations.add(session('a'), 'user')
  await settle()
  answers.now = 'revoked'
  expect(await revocations.drain(seconds(5))).toBe(0)
  expect(told).toEqual(['rt-a', 'rt-a'])
  expect(events).toMatchObject([{ outcome: 'revoked' }])

  const stuck = make({}, clock)
  stuck.answers.now = () => new Promise(() => {})
  stuck.revocations.add(session('b'), 'user')
  const drained = stuck.revocations.drain(seconds(5))
  await clock.advance(seconds(5))
  expect(await drained).toBe(1)
})

it('a session without a refresh token, and a provider that throws, harm nobody', async () => {
  const { revocations, told, events, answers } = make()
  const none = session('a')
  revocations.add({ ...none, grant: { ...none.grant, refreshToken: undefined } }, 'user')
  await settle()
  expect(told).toEqual([])
  answers.now = () => Promise.reject(new Error('canary'))
  revocations.add(session('b'), 'user')
  await settle()
  expect(events).toMatchObject([{ outcome: 'unavailable', sessionRef: 'b' }])
  expect(revocations.size).toBe(0)
})
