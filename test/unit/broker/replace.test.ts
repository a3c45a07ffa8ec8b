import { describe, expect, it } from 'vitest'
import type { BearerCaller } from '../../../src/domain/caller.ts'
import { Secret } from '../../../src/kernel/secret.ts'
import { after, minutes } from '../../../src/kernel/time.ts'
import { createFleet, wordOf } from '../../harness/brokers.ts'
import { a, the } from '../../harness/the.ts'

describe('a token that an upstream would not have is replaced', () => {
  it('by a refresh, although it is good by its own time, and the next request finds the new one', async () => {
    const t = createFleet()
    const { broker, store } = t.replica()
    const old = a.accessToken({ now: t.clock.now() })
    const session = t.session({ tokens: [old] })
    const outcome = await broker.replace({ kind: 'session', held: t.held(session) }, the.orders, old)
    if (outcome.kind !== 'issued') throw new Error(wordOf(outcome))
    expect(outcome.access.token.equals(old.token)).toBe(false)
    const opened = await store.reopen(session)
    expect(opened.kind === 'found' && opened.held.session.tokens.get(the.orders.key)?.token.equals(outcome.access.token)).toBe(true)
    expect(t.provider.sends).toHaveLength(1)
  })

  it('once, for all who were refused with it, on every replica', async () => {
    const t = createFleet()
    const replicas = [t.replica('one'), t.replica('two')]
    const old = a.accessToken({ now: t.clock.now() })
    const session = t.session({ tokens: [old] })
    const asked = replicas.flatMap(({ broker }) =>
      Array.from({ length: 5 }, () => broker.replace({ kind: 'session', held: t.held(session) }, the.orders, old)),
    )
    const outcomes = await Promise.all(asked)
    expect(outcomes.map(wordOf)).toEqual(outcomes.map(() => 'issued'))
    expect(t.provider.sends).toHaveLength(1)
  })

  it('by the one that somebody else got meanwhile, without a call', async () => {
    const t = createFleet()
    const old = a.accessToken({ now: t.clock.now() })
    const newer = a.accessToken({ now: t.clock.now() })
    const session = t.session({ tokens: [newer] })
    const outcome = await t.replica().broker.replace({ kind: 'session', held: t.held(session) }, the.orders, old)
    expect(outcome.kind === 'issued' && outcome.access.token.equals(newer.token)).toBe(true)
    expect(t.provider.sends).toHaveLength(0)
  })

  it('for the application, apart from any session', async () => {
    const t = createFleet()
    const { broker } = t.replica()
    const first = await broker.app(the.reports)
    if (first.kind !== 'issued') throw new Error(wordOf(first))
    const second = await broker.replace({ kind: 'application' }, the.reports, first.access)
    expect(second.kind === 'issued' && second.access.token.equals(first.access.token)).toBe(false)
    expect(broker.peekApp(the.reports, t.clock.now())).toBe(second.kind === 'issued' && second.access)
    expect(t.provider.applications).toHaveLength(2)
  })

  it('for a caller by turning its own token in again, and never for one whose token has ended', async () => {
    const t = createFleet()
    const { broker } = t.replica()
    const caller: BearerCaller = {
      kind: 'user',
      issuer: the.issuer,
      subject: 'ada',
      clientId: 'mobile-app',
      tenant: undefined,
      audiences: ['gateway'],
      scopes: [],
      roles: [],
      claims: {},
      token: Secret.of('access-token', JSON.stringify({ subject: 'ada' })),
      issuedAt: t.clock.now(),
      expiresAt: after(t.clock.now(), minutes(5)),
    }
    const ask = { ...the.orders, grant: 'on_behalf_of' } as const
    const first = await broker.bearer(caller, ask)
    if (first.kind !== 'issued') throw new Error(wordOf(first))
    const second = await broker.replace({ kind: 'bearer', caller }, ask, first.access)
    expect(second.kind === 'issued' && second.access.token.equals(first.access.token)).toBe(false)
    expect(t.provider.derivations).toHaveLength(2)
    await t.clock.advance(minutes(6))
    expect(wordOf(await broker.replace({ kind: 'bearer', caller }, ask, first.access))).toBe('token.assertion-rejected')
    expect(t.provider.derivations).toHaveLength(2)
  })
})
