import { describe, expect, it } from 'vitest'
import type { Fault, HistoryEvent, Issued, Operation } from '../../harness/faults/history.ts'
import { type Bounds, checkHistory, type Rule } from '../../harness/history-checker.ts'

const BOUNDS: Bounds = { liveMs: 1_000, cutOffMs: 5_000, recoveryMs: 2_000, providerTimeoutMs: 2_000 }
const ONE = 'https://one.example/'

const op = (given: Partial<Operation> & Pick<Operation, 'op' | 'from'>): Operation => ({
  kind: 'op',
  session: 's1',
  user: 'ada',
  gateway: 0,
  to: given.from + 10,
  status: 200,
  ...given,
})
const signIn = (from: number, given: Partial<Operation> = {}) => op({ op: 'sign-in', from, ...given })
const api = (from: number, token: string, given: Partial<Operation> = {}) =>
  op({ op: 'api', from, audience: ONE, seen: { subject: given.user ?? 'ada', audience: ONE, token, expired: false }, ...given })
const logout = (from: number, given: Partial<Operation> = {}) => op({ op: 'logout', from, ...given })
const over = (from: number, code = 'session.ended', given: Partial<Operation> = {}) => op({ op: 'user', from, status: 401, code, ...given })
const fault = (name: Fault['fault'], from: number, to: number, gateway?: number): Fault => ({
  kind: 'fault',
  fault: name,
  from,
  to,
  gateway,
})
const issued = (at: number, given: Partial<Issued> = {}): Issued => ({
  kind: 'issued',
  sent: undefined,
  gateway: 0,
  at,
  status: 200,
  delivered: true,
  refresh: 'r1',
  token: 't1',
  subject: 'ada',
  audience: ONE,
  ...given,
})
const sent = (id: number, at: number, spent: string, gateway = 0): HistoryEvent => ({ kind: 'sent', id, gateway, at, spent })
/** A sign-in at 0 whose tokens are r1 and t1. */
const SIGNED_IN: readonly HistoryEvent[] = [issued(5), signIn(0)]
/** … refreshed at 1000 by gateway 0. */
const REFRESHED: readonly HistoryEvent[] = [...SIGNED_IN, sent(1, 1_000, 'r1'), issued(1_100, { sent: 1, refresh: 'r2', token: 't2' })]

const rules = (history: readonly HistoryEvent[]): Rule[] => checkHistory(history, BOUNDS).violations.map(({ rule }) => rule)

describe('histories that are as they should be', () => {
  const table: readonly (readonly [string, readonly HistoryEvent[], Readonly<Record<string, number>>])[] = [
    [
      'two sessions of one user',
      [...SIGNED_IN, api(20, 't1'), issued(30, { refresh: 'x1', token: 'y1' }), api(40, 'y1', { session: 's2' })],
      {},
    ],
    ['a refresh', [...REFRESHED, api(20, 't1'), api(1_200, 't2')], { refreshes: 1 }],
    ['the application’s token on its route', [issued(5, { refresh: undefined, token: 'a' }), api(20, 'a', { op: 'app' })], {}],
    ['over after a logout', [...SIGNED_IN, logout(100), over(200)], { 'logouts acknowledged': 1 }],
    ['over after a logout nobody answered', [...SIGNED_IN, logout(100, { status: 0 }), over(200)], {}],
    [
      'over after a newer sign-in with it',
      [...SIGNED_IN, signIn(90, { session: 's2', replaces: 's1' }), over(200, 'session.replaced')],
      {},
    ],
    ['alive within the bound', [...SIGNED_IN, logout(100), op({ op: 'user', from: 500 })], { 'alive within the bound': 1 }],
    [
      'alive for longer where the store was cut off',
      [...SIGNED_IN, logout(100), fault('redis-drop', 50, 4_000, 1), op({ op: 'probe', from: 3_000, gateway: 1 })],
      { 'alive within the bound': 1 },
    ],
    [
      'a logout that a failover lost is counted',
      [...SIGNED_IN, logout(100), fault('redis-failover', 105, 2_000), op({ op: 'probe', from: 9_000 })],
      { 'ends lost by a failover': 1 },
    ],
    [
      'a pending logout whose replica fell is counted',
      [
        ...SIGNED_IN,
        logout(100, { status: 202 }),
        fault('gateway-kill', 200, 900, 0),
        { kind: 'healed', at: 1_000 },
        op({ op: 'probe', from: 2_000 }),
      ],
      { 'pending logouts lost with their replica': 1 },
    ],
    [
      'lost because the answer to its refresh was',
      [
        ...SIGNED_IN,
        api(20, 't1'),
        sent(1, 1_000, 'r1'),
        issued(1_100, { sent: 1, refresh: 'r2', delivered: false }),
        over(9_000, 'session.refresh-lost'),
      ],
      { 'sessions lost by an unknown outcome': 1 },
    ],
    [
      'lost because the receiver of its refresh fell with it while the store was away',
      [...REFRESHED, api(20, 't1'), fault('redis-kill', 900, 3_000), fault('gateway-kill', 2_500, 2_600, 0), over(9_000)],
      { 'sessions lost by an unknown outcome': 1 },
    ],
    [
      'one recovery after an answer that never came',
      [...SIGNED_IN, sent(1, 1_000, 'r1'), sent(2, 6_000, 'r1', 1), issued(6_100, { sent: 2, gateway: 1, refresh: 'r2', token: 't2' })],
      { 'recovery attempts': 1 },
    ],
    [
      'lost because the receiver of its refresh was stopped',
      [...REFRESHED, api(20, 't1'), fault('gateway-freeze', 1_050, 5_000, 0), sent(2, 4_500, 'r1', 1), over(9_000, 'session.refresh-lost')],
      { 'sessions lost by an unknown outcome': 1, 'recovery attempts': 1 },
    ],
    [
      'sent again after a failover in which its receiver fell as well',
      [...REFRESHED, fault('redis-failover', 1_050, 2_000), fault('gateway-kill', 1_200, 1_900, 0), sent(2, 6_000, 'r1', 1)],
      { 'sent again after a failover': 1 },
    ],
    ['a sign-in that took longer than the provider may', [signIn(1_000, { to: 3_100, status: 503 })], {}],
    ['a sign-in refused by a store that was away', [fault('redis-kill', 50, 900), signIn(1_000, { status: 503 })], {}],
    [
      'a made-up token by which each replica tries its credential',
      [sent(1, 10, 'none'), sent(2, 20, 'none', 1), sent(3, 30, 'none', 2)],
      {},
    ],
    ['keys that go', [{ kind: 'key', key: 'k', ttl: 5 }], { keys: 1 }],
  ]
  it.each(table)('%s', (_what, history, counts) => {
    const verdict = checkHistory(history, BOUNDS)
    expect(verdict.violations).toEqual([])
    expect(verdict.counts).toMatchObject(counts)
  })
})

describe('histories that must be rejected', () => {
  const table: readonly (readonly [Rule, string, readonly HistoryEvent[]])[] = [
    ['another-user', 'the gateway named somebody else', [...SIGNED_IN, op({ op: 'user', from: 20, claimed: 'grace' })]],
    [
      'another-user',
      'an upstream saw somebody else',
      [...SIGNED_IN, api(20, 't1', { seen: { subject: 'grace', audience: ONE, token: 't1', expired: false } })],
    ],
    ['another-audience', 'a token strayed', [...SIGNED_IN, api(20, 't1', { audience: 'https://two.example/' })]],
    ['another-session', 'two sessions with tokens of one sign-in', [...SIGNED_IN, api(20, 't1'), api(30, 't1', { session: 's2' })]],
    [
      'another-session',
      'one session with tokens of two sign-ins',
      [...SIGNED_IN, api(20, 't1'), issued(25, { refresh: 'x1', token: 'y1' }), api(30, 'y1')],
    ],
    ['token-unknown', 'a token nobody issued', [...SIGNED_IN, api(20, 'forged')]],
    ['principal', 'the application’s token on a user route', [issued(5, { refresh: undefined, token: 'a' }), api(20, 'a')]],
    ['principal', 'a user’s token on an application route', [...SIGNED_IN, api(20, 't1', { op: 'app' })]],
    ['alive-after-logout', 'beyond the bound', [...SIGNED_IN, logout(100), op({ op: 'probe', from: 1_200 })]],
    [
      'alive-after-logout',
      'at a replica that was not the one cut off',
      [...SIGNED_IN, logout(100), fault('redis-drop', 50, 4_000, 1), op({ op: 'probe', from: 3_000 })],
    ],
    [
      'alive-after-logout',
      'cut off, and beyond the grace',
      [...SIGNED_IN, logout(100), fault('redis-kill', 50, 9_000), op({ op: 'probe', from: 5_200 })],
    ],
    [
      'alive-after-logout',
      'beside a failover long before',
      [...SIGNED_IN, fault('redis-failover', 20, 60), logout(100), op({ op: 'probe', from: 9_000 })],
    ],
    [
      'pending-forgotten',
      'its replica lived',
      [...SIGNED_IN, logout(100, { status: 202 }), { kind: 'healed', at: 1_000 }, op({ op: 'probe', from: 2_000 })],
    ],
    ['ended-without-cause', 'out of the blue', [...REFRESHED, api(20, 't1'), over(9_000)]],
    [
      'ended-without-cause',
      'the store was away and nothing else',
      [...REFRESHED, api(20, 't1'), fault('redis-kill', 900, 3_000), over(9_000)],
    ],
    [
      'refused-without-cause',
      'a sign-in that nothing stood in the way of',
      [fault('redis-kill', 50, 900), signIn(20_000, { status: 503 })],
    ],
    ['ended-without-cause', 'another replica fell', [...REFRESHED, api(20, 't1'), fault('gateway-kill', 1_101, 1_900, 1), over(9_000)]],
    [
      'ended-without-cause',
      'its replica fell long after it had stored all',
      [...REFRESHED, api(20, 't1'), fault('gateway-kill', 8_000, 8_500, 0), over(9_000)],
    ],
    [
      'ended-without-cause',
      'its replica was stopped long before',
      [...REFRESHED, api(20, 't1'), fault('gateway-freeze', 100, 900, 0), over(9_000)],
    ],
    [
      'ended-without-cause',
      'the lost refresh was another session’s',
      [...SIGNED_IN, api(20, 't1'), issued(30, { refresh: 'x1', token: 'y1' }), sent(1, 1_000, 'x1'), over(9_000)],
    ],
    ['ended-without-cause', 'before anybody asked for it', [...REFRESHED, api(20, 't1'), over(8_000), logout(9_000)]],
    ['sent-again', 'its rotation had arrived', [...REFRESHED, sent(2, 6_000, 'r1', 1)]],
    [
      'sent-again',
      'by two replicas at once',
      [...SIGNED_IN, sent(1, 1_000, 'r1'), sent(2, 1_005, 'r1', 1), issued(1_100, { sent: 1, refresh: 'r2', token: 't2' })],
    ],
    ['sent-again', 'the store had been back for long', [...REFRESHED, fault('redis-kill', 1_050, 2_000), sent(2, 9_000, 'r1', 1)]],
    [
      'sent-again',
      'a failover lost its rotation, its receiver lived',
      [...REFRESHED, fault('redis-failover', 1_150, 2_000), sent(2, 9_000, 'r1', 1)],
    ],
    ['sent-thrice', 'a second recovery', [...SIGNED_IN, sent(1, 1_000, 'r1'), sent(2, 6_000, 'r1', 1), sent(3, 12_000, 'r1', 2)]],
    ['key-without-ttl', 'a key for ever', [{ kind: 'key', key: 'k', ttl: -1 }]],
  ]
  it.each(table)('%s: %s', (rule, _what, history) => {
    expect(rules(history)).toContain(rule)
  })
})
