import { describe, expect, it } from 'vitest'
import { makeAsk } from '../../../src/broker/token-key.ts'
import type { BearerCaller } from '../../../src/domain/caller.ts'
import type { KeyFiles } from '../../../src/domain/key-file.ts'
import type { TokenAnswer } from '../../../src/domain/token.ts'
import { Secret } from '../../../src/kernel/secret.ts'
import type { Instant } from '../../../src/kernel/time.ts'
import { after, minutes, seconds } from '../../../src/kernel/time.ts'
import { createFleet, wordOf } from '../../harness/brokers.ts'

const orders = makeAsk('on_behalf_of', 'api://orders', ['orders.read'])
const invoices = makeAsk('exchange', 'api://invoices', [])
const passed = makeAsk('pass_through', 'api://orders', [])
const refresh = makeAsk('refresh', 'api://orders', [])

const callerOf = (subject: string, now: Instant, over: Partial<BearerCaller> = {}): BearerCaller => ({
  kind: 'user',
  issuer: 'https://login.example.com',
  subject,
  clientId: 'native-app',
  tenant: undefined,
  audiences: ['gateway'],
  scopes: [],
  roles: [],
  claims: {},
  token: Secret.of('access-token', JSON.stringify({ subject, canary: `canary-${subject}` })),
  issuedAt: now,
  expiresAt: after(now, minutes(10)),
  ...over,
})
const refusedFor = (reason: Extract<TokenAnswer, { kind: 'refused' }>['reason']): TokenAnswer => ({
  kind: 'refused',
  reason,
  providerCode: 'planted',
})

describe('a token made from a caller’s', () => {
  it('is made once per token and ask, and never another caller’s', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    const now = fleet.clock.now()
    const [alice, bob] = [callerOf('alice', now), callerOf('bob', now)]
    const outcomes = await Promise.all(
      [alice, bob, alice, bob].flatMap((caller) => [broker.bearer(caller, orders), broker.bearer(caller, invoices)]),
    )
    const subjects = outcomes.map((outcome) =>
      outcome.kind === 'issued' ? fleet.provider.readAccessToken(outcome.access)?.subject : outcome.code,
    )
    expect(subjects).toEqual(['alice', 'alice', 'bob', 'bob', 'alice', 'alice', 'bob', 'bob'])
    expect(fleet.provider.derivations).toHaveLength(4)
    expect(fleet.provider.readAccessToken(broker.peekBearer(alice, orders, now))?.subject).toBe('alice')
    expect(fleet.provider.readAccessToken(broker.peekBearer(bob, orders, now))?.subject).toBe('bob')
    expect(broker.peekBearer(callerOf('carol', now), orders, now)).toBeUndefined()
  })
  it('a token in memory is found without going through the caller’s own again, request after request', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    const now = fleet.clock.now()
    const caller = callerOf('alice', now)
    let digests = 0
    const digest = caller.token.fingerprint.bind(caller.token)
    caller.token.fingerprint = () => {
      digests += 1
      return digest()
    }
    await broker.bearer(caller, orders)
    await broker.bearer(caller, invoices)
    for (let i = 0; i < 100; i += 1) for (const ask of [orders, invoices]) expect(broker.peekBearer(caller, ask, now)).toBeDefined()
    expect(digests).toBe(2)
  })
  it('a new token of the same user starts anew', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    const now = fleet.clock.now()
    await broker.bearer(callerOf('alice', now), orders)
    const renewed = callerOf('alice', now, { token: Secret.of('access-token', JSON.stringify({ subject: 'alice', serial: 2 })) })
    expect(broker.peekBearer(renewed, orders, now)).toBeUndefined()
    await broker.bearer(renewed, orders)
    expect(fleet.provider.derivations).toHaveLength(2)
  })
  it('never outlives what it was made from', async () => {
    const fleet = createFleet({ lifeMs: minutes(60) })
    const { broker } = fleet.replica()
    const caller = callerOf('alice', fleet.clock.now())
    const outcome = await broker.bearer(caller, orders)
    expect(outcome.kind === 'issued' && outcome.access.expiresAt).toBe(caller.expiresAt)
    await fleet.clock.advance(minutes(10))
    expect(broker.peekBearer(caller, orders, fleet.clock.now())).toBeUndefined()
    expect(wordOf(await broker.bearer(caller, orders))).toBe('token.assertion-rejected')
    expect(fleet.provider.derivations).toHaveLength(1)
  })
  it('is stored nowhere', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica('one')
    const caller = callerOf('alice', fleet.clock.now())
    await broker.bearer(caller, orders)
    expect(fleet.replica('two').broker.peekBearer(caller, orders, fleet.clock.now())).toBeUndefined()
    expect(JSON.stringify([fleet.lines, fleet.audit, fleet.counted])).not.toContain('canary')
  })
  it.each([
    ['grant-rejected', 'token.assertion-rejected'],
    ['audience-denied', 'token.audience-denied'],
    ['consent-required', 'token.consent-required'],
    ['step-up-required', 'session.step-up-required'],
    ['credential-rejected', 'token.credential-rejected'],
  ] as const)('%s is told as %s, and not asked again at once', async (reason, word) => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    const caller = callerOf('alice', fleet.clock.now())
    fleet.provider.answerNext(refusedFor(reason))
    expect(wordOf(await broker.bearer(caller, orders))).toBe(word)
    expect(wordOf(await broker.bearer(caller, orders))).toBe(word)
    expect(fleet.provider.derivations).toHaveLength(1)
    expect(wordOf(await broker.bearer(callerOf('bob', fleet.clock.now()), orders))).toBe('issued')
  })
  it.each([orders, invoices, passed])('an application’s own token yields none of a user', async (ask) => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    const now = fleet.clock.now()
    const caller = callerOf('service', now, { kind: 'application', audiences: ['gateway', 'api://orders'] })
    expect(broker.peekBearer(caller, ask, now)).toBeUndefined()
    expect(wordOf(await broker.bearer(caller, ask))).toBe('token.principal-mismatch')
    expect(fleet.provider.derivations).toEqual([])
    expect(fleet.counted).toContainEqual({ name: 'sallyport_broker_principal_mismatches_total', labels: { grant: ask.grant } })
  })
  it('no grant of sessions serves a caller', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    const caller = callerOf('alice', fleet.clock.now())
    expect(broker.peekBearer(caller, refresh, fleet.clock.now())).toBeUndefined()
    expect(wordOf(await broker.bearer(caller, refresh))).toBe('token.invalid')
  })
  it('and no grant of callers serves a session', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    const held = fleet.held(fleet.session())
    expect(broker.peekUser(held, passed, fleet.clock.now())).toBeUndefined()
    expect(wordOf(await broker.user(held, passed))).toBe('token.invalid')
    expect(fleet.provider.sends).toEqual([])
  })
})

describe('a token that is passed through', () => {
  it('is the caller’s own where it is meant for the upstream', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    const now = fleet.clock.now()
    const caller = callerOf('alice', now, { audiences: ['gateway', 'api://orders'] })
    expect(broker.peekBearer(caller, passed, now)?.token).toBe(caller.token)
    const outcome = await broker.bearer(caller, passed)
    expect(outcome.kind === 'issued' && outcome.access.token).toBe(caller.token)
    await fleet.clock.advance(minutes(10))
    expect(broker.peekBearer(caller, passed, fleet.clock.now())).toBeUndefined()
  })
  it('stays here where it is not', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    const caller = callerOf('alice', fleet.clock.now(), { audiences: ['gateway', 'api://orders-2'] })
    expect(broker.peekBearer(caller, passed, fleet.clock.now())).toBeUndefined()
    expect(wordOf(await broker.bearer(caller, passed))).toBe('token.audience-denied')
  })
})

describe('an API key', () => {
  const stored = makeAsk('static', undefined, [], { keyFile: '/key' })
  it('is there at once, changes with its file, and is no token of a user', async () => {
    let current: Secret<'access-token'> | undefined = Secret.of('access-token', 'canary-key-1')
    const keys: KeyFiles = { apiKey: (file) => (file === '/key' ? current : undefined), serviceAccount: () => undefined }
    const fleet = createFleet({ keys })
    const { broker } = fleet.replica()
    const now = fleet.clock.now()
    expect(broker.peekApp(stored, now)?.token.reveal()).toBe('canary-key-1')
    expect(broker.peekApp(stored, now)).toBe(broker.peekApp(stored, now))
    current = Secret.of('access-token', 'canary-key-2')
    expect(broker.peekApp(stored, now)?.token.reveal()).toBe('canary-key-2')
    expect(wordOf(await broker.user(fleet.held(fleet.session()), stored))).toBe('token.invalid')
    current = undefined
    expect(broker.peekApp(stored, now)).toBeUndefined()
    expect(wordOf(await broker.app(stored))).toBe('token.key-absent')
    expect(JSON.stringify([fleet.lines, fleet.audit, fleet.counted])).not.toContain('canary')
  })
})

describe('an answer in words that we do not know', () => {
  const answered = (cause: string): TokenAnswer => ({ kind: 'unavailable', sent: 'answered', retryAfter: seconds(5), cause })

  // Three callers of one route that the provider has no grant for closed the door for every session.
  it.each(['unsupported_grant_type', 'AADSTS50196'])('holds up nobody else: %s', async (cause) => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    for (const subject of ['alice', 'bob', 'carol', 'dave']) {
      fleet.provider.answerNext(answered(cause))
      expect(wordOf(await broker.bearer(callerOf(subject, fleet.clock.now()), invoices))).toBe('provider.unavailable')
    }
    expect(wordOf(await broker.user(fleet.held(fleet.session()), refresh))).toBe('issued')
  })
  it('as the answer to a probe shows that somebody is there', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    fleet.provider.answerNext({ ...answered('throttled'), retryAfter: seconds(60) } as TokenAnswer)
    await broker.bearer(callerOf('alice', fleet.clock.now()), invoices)
    await fleet.clock.advance(seconds(60))
    fleet.provider.answerNext(answered('unsupported_grant_type'))
    await broker.bearer(callerOf('bob', fleet.clock.now()), invoices)
    expect(wordOf(await broker.user(fleet.held(fleet.session()), refresh))).toBe('issued')
  })
  it('but a page where an answer should be counts: three of them, and nobody calls for a while', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    for (const subject of ['alice', 'bob', 'carol']) {
      fleet.provider.answerNext(answered('http-404'))
      await broker.bearer(callerOf(subject, fleet.clock.now()), invoices)
    }
    expect(wordOf(await broker.user(fleet.held(fleet.session()), refresh))).toBe('provider.unavailable')
    expect(fleet.provider.sends).toEqual([])
  })
})
