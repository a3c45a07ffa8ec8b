import { describe, expect, it } from 'vitest'
import { makeAsk } from '../../../src/broker/token-key.ts'
import type { KeyFiles, ServiceAccountKey } from '../../../src/domain/key-file.ts'
import type { TokenAnswer } from '../../../src/domain/token.ts'
import { Secret } from '../../../src/kernel/secret.ts'
import { minutes } from '../../../src/kernel/time.ts'
import { createFleet, wordOf } from '../../harness/brokers.ts'
import { settle } from '../../harness/clock.ts'
import { a, the } from '../../harness/the.ts'

const base = makeAsk('refresh', undefined, [])
const actor = makeAsk('client_credentials', 'api://shop', [])
const orders = makeAsk('exchange', 'api://orders', ['orders.read'], { subject: base })
const invoices = makeAsk('exchange', 'api://invoices', [], { subject: base })
const withActor = makeAsk('exchange', 'api://orders', [], { subject: base, actor })
const calendar = makeAsk('service_account', undefined, ['calendar'], { keyFile: '/sa.json', subjectClaim: 'email' })
const key = { email: 'sa@project.example' } as ServiceAccountKey
const keys: KeyFiles = { apiKey: () => undefined, serviceAccount: (file) => (file === '/sa.json' ? key : undefined) }
const asks = [base]
const refusedFor = (reason: Extract<TokenAnswer, { kind: 'refused' }>['reason']): TokenAnswer => ({
  kind: 'refused',
  reason,
  providerCode: 'planted',
})

describe('an exchange for a session', () => {
  it('turns in the session’s own token, renewed first, and keeps the result with the session', async () => {
    const fleet = createFleet({ asks })
    const { broker, store } = fleet.replica()
    const session = fleet.session()
    const outcome = await broker.user(fleet.held(session), orders)
    expect(wordOf(outcome)).toBe('issued')
    expect(fleet.provider.sends.map(({ ask }) => ask.key)).toEqual([base.key])
    expect(fleet.provider.derivations).toEqual([{ from: 'alice', ask: orders, actor: undefined }])
    const opened = await store.reopen(session)
    expect(opened.kind === 'found' && [...opened.held.session.tokens.keys()].toSorted()).toEqual([base.key, orders.key].toSorted())
  })
  it('is answered from the session afterwards, without a look anywhere', async () => {
    const fleet = createFleet({ asks })
    const { broker, store } = fleet.replica()
    const session = fleet.session()
    await broker.user(fleet.held(session), orders)
    const opened = await store.reopen(session)
    if (opened.kind !== 'found') throw new Error('gone')
    expect(broker.peekUser(opened.held, orders, fleet.clock.now())).toBeDefined()
    expect(broker.peekUser(opened.held, invoices, fleet.clock.now())).toBeUndefined()
  })
  it('of two replicas’ results the later one asks nobody', async () => {
    const fleet = createFleet({ asks })
    const session = fleet.session()
    await fleet.replica('one').broker.user(fleet.held(session), orders)
    await fleet.replica('two').broker.user(fleet.held(session), orders)
    expect(fleet.provider.derivations).toHaveLength(1)
  })
  it('of a page that asks six times at once goes out once per audience, and the session’s own token is renewed once', async () => {
    const fleet = createFleet({ asks })
    const { broker } = fleet.replica()
    const session = fleet.session()
    const held = fleet.held(session)
    const outcomes = await Promise.all([orders, invoices, orders, invoices, orders, invoices].map((ask) => broker.user(held, ask)))
    expect(outcomes.map(wordOf)).toEqual(Array.from({ length: 6 }, () => 'issued'))
    expect(fleet.provider.sends).toHaveLength(1)
    expect(new Set(fleet.provider.derivations.map(({ ask }) => ask.audience))).toEqual(new Set(['api://invoices', 'api://orders']))
    expect(fleet.provider.derivations).toHaveLength(2)
  })
  it('takes no lease: another replica’s refresh does not hold it up while its token is good', async () => {
    const fleet = createFleet({ asks })
    const session = fleet.session({ tokens: [a.accessToken({ ask: base, now: fleet.clock.now(), token: subjectToken('alice') })] })
    const lease = await fleet.replica('one').store.acquireLease(session.ref, minutes(1))
    expect(typeof lease).toBe('object')
    expect(wordOf(await fleet.replica('two').broker.user(fleet.held(session), orders))).toBe('issued')
  })
  it('renews the session’s token once when it is not taken, and only then gives up on the audience', async () => {
    const fleet = createFleet({ asks })
    const { broker } = fleet.replica()
    const session = fleet.session({ tokens: [a.accessToken({ ask: base, now: fleet.clock.now(), token: subjectToken('alice') })] })
    const rejected = refusedFor('grant-rejected')
    fleet.provider.answerNext(rejected)
    expect(wordOf(await broker.user(fleet.held(session), orders))).toBe('issued')
    expect(fleet.provider.sends).toHaveLength(1)
    expect(fleet.provider.derivations).toHaveLength(2)
  })
  it('a session that its provider has ended is ended, not refused for one audience', async () => {
    const fleet = createFleet({ asks })
    const { broker } = fleet.replica()
    const session = fleet.session({ tokens: [a.accessToken({ ask: base, now: fleet.clock.now(), token: subjectToken('alice') })] })
    fleet.provider.answerNext(refusedFor('grant-rejected')) // the exchange
    fleet.provider.answerNext(refusedFor('grant-rejected')) // the refresh
    expect(wordOf(await broker.user(fleet.held(session), orders))).toBe('session.ended')
    expect(fleet.shared.read(session.ref)).toBeUndefined()
  })
  it.each(['audience-denied', 'consent-required', 'step-up-required', 'credential-rejected'] as const)(
    '%s concerns this audience alone, and is not asked again at once',
    async (reason) => {
      const fleet = createFleet({ asks })
      const { broker } = fleet.replica()
      const session = fleet.session()
      await broker.user(fleet.held(session), base)
      fleet.provider.answerNext(refusedFor(reason))
      const word = wordOf(await broker.user(fleet.held(session), orders))
      expect(word).not.toBe('issued')
      expect(wordOf(await broker.user(fleet.held(session), orders))).toBe(word)
      expect(fleet.provider.derivations).toHaveLength(1)
      expect(wordOf(await broker.user(fleet.held(session), invoices))).toBe('issued')
      expect(fleet.shared.read(session.ref)).toBeDefined()
    },
  )
  it('an answer that comes after the sign-out is not used', async () => {
    const fleet = createFleet({ asks })
    const { broker, store } = fleet.replica()
    const session = fleet.session({ tokens: [a.accessToken({ ask: base, now: fleet.clock.now(), token: subjectToken('alice') })] })
    const gate = fleet.provider.gates.stop('derive:after')
    const asked = broker.user(fleet.held(session), orders)
    await gate.reached
    await store.end(session.ref, 'user')
    gate.open()
    expect(wordOf(await asked)).toBe('session.ended')
    expect(fleet.shared.read(session.ref)).toBeUndefined()
  })
  it('carries the application’s own token as actor, asked for once', async () => {
    const fleet = createFleet({ asks })
    const { broker } = fleet.replica()
    const outcome = await broker.user(fleet.held(fleet.session()), withActor)
    expect(outcome).toMatchObject({ kind: 'issued', access: { standsFor: 'user-through-application' } })
    expect(fleet.provider.derivations[0]?.actor).toBe('the application')
    expect(fleet.provider.applications).toEqual([actor])
  })
  it('a token of the application in the place of the user’s is never handed out', async () => {
    const fleet = createFleet({ asks })
    const { broker } = fleet.replica()
    const session = fleet.session()
    await broker.user(fleet.held(session), base)
    const access = { ...a.accessToken({ now: fleet.clock.now() }), key: orders.key, standsFor: 'application' } as const
    fleet.provider.answerNext({
      kind: 'issued',
      access,
      refreshToken: undefined,
      refreshEndsAt: undefined,
      claims: undefined,
      idToken: undefined,
    })
    expect(wordOf(await broker.user(fleet.held(session), orders))).toBe('token.principal-mismatch')
    expect(fleet.audit).toContainEqual(
      expect.objectContaining({ event: 'token.failed', code: 'token.principal-mismatch', check: 'access-token-principal' }),
    )
    expect(fleet.counted).toContainEqual({ name: 'sallyport_broker_principal_mismatches_total', labels: { grant: 'exchange' } })
  })
  it('a refresh that brings the application’s token keeps the rotated refresh token all the same', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    const session = fleet.session()
    fleet.provider.answerNext((ask) => ({
      kind: 'issued',
      access: { ...a.accessToken({ now: fleet.clock.now() }), key: ask.key, standsFor: 'application' },
      refreshToken: Secret.of('refresh-token', 'canary-successor'),
      refreshEndsAt: undefined,
      claims: undefined,
      idToken: undefined,
    }))
    expect(wordOf(await broker.user(fleet.held(session), the.orders))).toBe('token.principal-mismatch')
    expect(fleet.shared.read(session.ref)?.grant.refreshToken?.reveal()).toBe('canary-successor')
  })
  it('in the last fifth of its life it is served, and made anew behind', async () => {
    const fleet = createFleet({ asks, lifeMs: minutes(5) })
    const { broker, store } = fleet.replica()
    const session = fleet.session()
    await broker.user(fleet.held(session), orders)
    await fleet.clock.advance(minutes(4.2))
    const opened = await store.reopen(session)
    if (opened.kind !== 'found') throw new Error('gone')
    expect(broker.peekUser(opened.held, orders, fleet.clock.now())).toBeDefined()
    await settle()
    expect(fleet.provider.derivations).toHaveLength(2)
  })
})

it.each(['strict', 'none'] as const)(
  'a request that finds its token over joins the renewal that went ahead, with rotation %s',
  async (rotation) => {
    const fleet = createFleet({ asks, rotation, lifeMs: minutes(5) })
    const { broker, store } = fleet.replica()
    const session = fleet.session()
    for (const ask of [base, orders]) {
      await broker.user(fleet.held(session), ask)
      const opened = await store.reopen(session)
      if (opened.kind !== 'found') throw new Error('gone')
      await fleet.clock.advance(minutes(4.2))
      const calls = fleet.provider.sends.length + fleet.provider.derivations.length
      const gate = fleet.provider.gates.stop(ask === base ? 'refresh:before' : 'derive:before')
      expect(broker.peekUser(opened.held, ask, fleet.clock.now())).toBeDefined()
      await gate.reached
      await fleet.clock.advance(minutes(0.8))
      const asked = broker.user(opened.held, ask)
      await settle()
      gate.open()
      expect(wordOf(await asked)).toBe('issued')
      // For an exchange the session's own token was in its last minute as well, and is renewed before: one call each.
      expect(fleet.provider.sends.length + fleet.provider.derivations.length - calls).toBeLessThanOrEqual(ask === base ? 1 : 2)
    }
  },
)

// Another audience's refresh counted as news: the very token that was refused was turned in once more, and its user read "no access" for 90 s.
it.each(['strict', 'none'] as const)(
  'with rotation %s a token that was not taken is not turned in again, whatever else was renewed meanwhile',
  async (rotation) => {
    const fleet = createFleet({ asks, rotation })
    const { broker, store } = fleet.replica()
    const session = fleet.session()
    const held = fleet.held(session)
    await broker.user(held, base)
    const opened = await store.reopen(session)
    if (opened.kind !== 'found') throw new Error('gone')
    const gate = fleet.provider.gates.stop('derive:before')
    const asked = broker.user(opened.held, orders)
    await gate.reached
    await broker.user(opened.held, the.orders)
    fleet.provider.answerNext(refusedFor('grant-rejected'))
    gate.open()
    expect(wordOf(await asked)).toBe('issued')
    expect(fleet.provider.sends.map(({ ask }) => ask.key)).toEqual([base.key, the.orders.key, base.key])
  },
)

describe('a service account', () => {
  const verified = { ...the.alice.claims, email: 'alice@shop.example', email_verified: true }
  const sessionWith = (claims: Record<string, unknown>, fleet: ReturnType<typeof createFleet>) =>
    fleet.shared.add(
      a.session({ now: fleet.clock.now(), grant: { claims: claims as typeof verified, refreshToken: fleet.provider.grant('alice') } }),
    )

  it('acts as whoever the verified claim of the session names', async () => {
    const fleet = createFleet({ asks, keys })
    const { broker } = fleet.replica()
    expect(wordOf(await broker.user(fleet.held(sessionWith(verified, fleet)), calendar))).toBe('issued')
    expect(fleet.provider.derivations).toEqual([{ from: 'alice@shop.example', ask: calendar, actor: undefined }])
  })
  it.each([
    ['no address', { ...verified, email: undefined }],
    ['an address that is not verified', { ...verified, email_verified: false }],
    ['an address of which nobody says whether it is', { ...verified, email_verified: undefined }],
    ['an address that says "true" about itself', { ...verified, email_verified: 'true' }],
    ['an address that is a list', { ...verified, email: ['alice@shop.example'] }],
    ['an empty one', { ...verified, email: '' }],
  ])('acts as nobody for a session with %s', async (_because, claims) => {
    const fleet = createFleet({ asks, keys })
    const { broker } = fleet.replica()
    expect(wordOf(await broker.user(fleet.held(sessionWith(claims, fleet)), calendar))).toBe('token.audience-denied')
    expect(fleet.provider.derivations).toEqual([])
  })
  it('a session that was not confirmed lately is confirmed first', async () => {
    const fleet = createFleet({ asks, keys })
    const { broker } = fleet.replica()
    const session = sessionWith(verified, fleet)
    await fleet.clock.advance(minutes(61))
    fleet.provider.answerNext(refusedFor('grant-rejected'))
    expect(wordOf(await broker.user(fleet.held(session), calendar))).toBe('session.ended')
    expect(fleet.provider.derivations).toEqual([])
  })
  it('that Google does not take for somebody is a no to this route, and the session lives', async () => {
    const fleet = createFleet({ asks, keys })
    const { broker } = fleet.replica()
    const held = fleet.held(sessionWith(verified, fleet))
    fleet.provider.answerNext(refusedFor('grant-rejected'))
    expect(wordOf(await broker.user(held, calendar))).toBe('token.audience-denied')
    expect(fleet.provider.derivations).toHaveLength(1)
    expect(wordOf(await broker.user(held, orders))).toBe('issued')
  })
  // One breaker and one set of slots for both held up every refresh at the provider while Google throttled, or did not answer.
  it('is asked for elsewhere: what Google is, the provider is not', async () => {
    const fleet = createFleet({ asks, keys, settings: { inFlightMax: 1 } })
    const { broker } = fleet.replica()
    fleet.provider.answerNext({ kind: 'unavailable', sent: 'answered', retryAfter: minutes(10), cause: 'throttled' })
    expect(wordOf(await broker.user(fleet.held(sessionWith(verified, fleet)), calendar))).toBe('provider.unavailable')
    expect(wordOf(await broker.user(fleet.held(sessionWith(verified, fleet)), calendar))).toBe('provider.unavailable')
    expect(fleet.provider.derivations).toHaveLength(1)
    expect(wordOf(await broker.user(fleet.held(fleet.session()), base))).toBe('issued')

    await fleet.clock.advance(minutes(10))
    const gate = fleet.provider.gates.stop('derive:before')
    const slow = broker.user(fleet.held(sessionWith(verified, fleet)), calendar)
    await gate.reached
    expect(wordOf(await broker.user(fleet.held(fleet.session()), base))).toBe('issued')
    gate.open()
    expect(wordOf(await slow)).toBe('issued')
  })
  it('without its key nothing is sent', async () => {
    const fleet = createFleet({ asks })
    const { broker } = fleet.replica()
    expect(wordOf(await broker.user(fleet.held(sessionWith(verified, fleet)), calendar))).toBe('token.credential-rejected')
    expect(fleet.provider.derivations).toEqual([])
  })
})

/** The fake's tokens say of whom they are. */
const subjectToken = (subject: string) => Secret.of('access-token', JSON.stringify({ subject, audience: undefined }))
