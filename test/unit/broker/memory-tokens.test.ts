import { expect, it } from 'vitest'
import { Breaker } from '../../../src/broker/breaker.ts'
import type { Tools } from '../../../src/broker/deps.ts'
import { BROKER_DEFAULTS } from '../../../src/broker/deps.ts'
import { HoldOff } from '../../../src/broker/hold-off.ts'
import { createMemoryTokens, type MemoryToken } from '../../../src/broker/memory-tokens.ts'
import { Slots } from '../../../src/broker/slots.ts'
import { ready } from '../../../src/broker/strategy.ts'
import { after, minutes } from '../../../src/kernel/time.ts'
import { manualClock } from '../../harness/clock.ts'
import { recordingLog } from '../../harness/provider-room.ts'
import { a, the } from '../../harness/the.ts'

// Tokens that had run out stayed until others pushed them out, and with them went some that were good for long.
it('a token that has run out takes no place from one that has not', async () => {
  const clock = manualClock()
  const line = { breaker: new Breaker(), slots: new Slots(10, BROKER_DEFAULTS.slotWaitMs, clock) }
  const tools = {
    audit: { record: () => {} },
    clock,
    holdOff: new HoldOff(),
    line: () => line,
    log: recordingLog().log,
    metrics: { count: () => {}, gauge: () => {}, observe: () => {} },
    provider: { name: 'default' },
    settings: BROKER_DEFAULTS,
  } as unknown as Tools
  const memory = createMemoryTokens(tools, 2)
  const wanted = (key: string, life: number): MemoryToken => ({
    key,
    ask: the.reports,
    principal: 'app',
    who: {},
    refusals: {
      'grant-rejected': 'token.invalid',
      'credential-rejected': 'token.invalid',
      'audience-denied': 'token.invalid',
      'step-up-required': 'token.invalid',
      'consent-required': 'token.invalid',
    },
    prepare: async () =>
      ready(async () => ({
        kind: 'issued',
        access: a.accessToken({ ask: the.reports, issuedAt: clock.now(), expiresAt: after(clock.now(), minutes(life)) }),
        refreshToken: undefined,
        refreshEndsAt: undefined,
        claims: undefined,
        idToken: undefined,
      })),
  })
  const [long, short, other] = [wanted('long', 60), wanted('short', 1), wanted('other', 1)]
  await memory.obtain(long)
  await memory.obtain(short)
  await clock.advance(minutes(2))
  await memory.obtain(other)
  expect(memory.peek(long, clock.now())).toBeDefined()
  expect(memory.peek(other, clock.now())).toBeDefined()
})
