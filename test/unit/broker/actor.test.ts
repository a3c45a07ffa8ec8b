import { describe, expect, it } from 'vitest'
import { makeAsk } from '../../../src/broker/token-key.ts'
import type { BearerCaller } from '../../../src/domain/caller.ts'
import { Secret } from '../../../src/kernel/secret.ts'
import type { Instant } from '../../../src/kernel/time.ts'
import { after, minutes, seconds } from '../../../src/kernel/time.ts'
import { createFleet, wordOf } from '../../harness/brokers.ts'

const actor = makeAsk('client_credentials', 'api://shop', [])
const withActor = makeAsk('exchange', 'api://orders', [], { actor })

const callerOf = (subject: string, now: Instant): BearerCaller => ({
  kind: 'user',
  issuer: 'https://login.example.com',
  subject,
  clientId: 'native-app',
  tenant: undefined,
  audiences: ['gateway'],
  scopes: [],
  roles: [],
  claims: {},
  token: Secret.of('access-token', JSON.stringify({ subject })),
  issuedAt: now,
  expiresAt: after(now, minutes(10)),
})

describe('the token of an actor', () => {
  // It was asked for by callers that held a slot each: as many as there are slots waited for one that none of them gave back.
  it('is not waited for by those who hold all slots', async () => {
    const fleet = createFleet({ settings: { inFlightMax: 2 } })
    const { broker } = fleet.replica()
    const now = fleet.clock.now()
    const asked = ['alice', 'bob', 'carol'].map((subject) => broker.bearer(callerOf(subject, now), withActor))
    await fleet.clock.advance(seconds(6))
    expect((await Promise.all(asked)).map(wordOf)).toEqual(['issued', 'issued', 'issued'])
    expect(fleet.provider.applications).toEqual([actor])
  })

  // The caller became the probe after the pause, and its actor's token was then held back by the breaker that waited for the probe: for ever.
  it('is asked for after a pause, and not behind the probe that needs it', async () => {
    const fleet = createFleet({ lifeMs: minutes(1) })
    const { broker } = fleet.replica()
    await broker.bearer(callerOf('alice', fleet.clock.now()), withActor)
    fleet.provider.answerNext({ kind: 'unavailable', sent: 'answered', retryAfter: seconds(120), cause: 'throttled' })
    await broker.app(makeAsk('client_credentials', 'api://other', []))
    await fleet.clock.advance(seconds(121))
    expect(wordOf(await broker.bearer(callerOf('bob', fleet.clock.now()), withActor))).toBe('issued')
  })

  it('that is refused is told as what it is, and the next caller is not judged by it', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    fleet.provider.answerNext({ kind: 'refused', reason: 'audience-denied', providerCode: 'invalid_target' })
    expect(wordOf(await broker.bearer(callerOf('alice', fleet.clock.now()), withActor))).toBe('token.audience-denied')
    expect(fleet.provider.derivations).toEqual([])
    await fleet.clock.advance(seconds(91))
    expect(wordOf(await broker.bearer(callerOf('alice', fleet.clock.now()), withActor))).toBe('issued')
  })
})
