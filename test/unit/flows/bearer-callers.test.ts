import { beforeEach, expect, it } from 'vitest'
import type { BearerCaller, BearerRead } from '../../../src/domain/caller.ts'
import { createBearerCallers, type BearerCallers } from '../../../src/flows/bearer-callers.ts'
import type { Secret } from '../../../src/kernel/secret.ts'
import { after, minutes } from '../../../src/kernel/time.ts'
import { manualClock, type ManualClock } from '../../harness/clock.ts'
import { the } from '../../harness/the.ts'

let clock: ManualClock
let callers: BearerCallers
let readings: number

const callerOf = (token: Secret<'access-token'>): BearerCaller => ({
  kind: 'user',
  issuer: the.issuer,
  subject: 'ada',
  clientId: 'app',
  tenant: undefined,
  audiences: [],
  scopes: [],
  roles: [],
  claims: {},
  token,
  issuedAt: clock.now(),
  expiresAt: after(clock.now(), minutes(60)),
})

beforeEach(() => {
  clock = manualClock()
  readings = 0
  callers = createBearerCallers({
    provider: {
      name: 'default',
      readBearerToken: async (token): Promise<BearerRead> => {
        readings += 1
        return { kind: 'valid', caller: callerOf(token) }
      },
    },
    audiences: [],
    requireType: true,
    limit: { waitOf: () => undefined, note: () => {} },
    audit: { record: () => {} },
    metrics: { count: () => {}, gauge: () => {}, observe: () => {} },
    clock,
  })
})

const visitor = { requestId: 'r', address: '192.0.2.1', userAgent: undefined }
const long = (i: number): string => `${i}.`.padEnd(16_000, 'x')
const isKnown = (token: string): boolean => callers.peek(token, clock.now()) !== undefined

it('what is known of callers is bounded by what it holds, not by their number alone: the oldest are looked at again', async () => {
  for (let i = 0; i < 2000; i += 1) await callers.read(long(i), visitor)
  expect([isKnown(long(0)), isKnown(long(1999))]).toEqual([false, true])
  expect(readings).toBe(2000)
})

it('a caller that comes back with the same token takes no second place', async () => {
  for (let round = 0; round < 3; round += 1) {
    for (let i = 0; i < 500; i += 1) await callers.read(long(i), visitor)
    await clock.advance(minutes(10))
  }
  for (let i = 0; i < 500; i += 1) await callers.read(long(i), visitor)
  expect(isKnown(long(0))).toBe(true)
  expect(readings).toBe(2000)
})
