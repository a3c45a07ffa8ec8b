import { describe, expect, it } from 'vitest'
import type { TokenAnswer } from '../../../src/domain/token.ts'
import { minutes, seconds } from '../../../src/kernel/time.ts'
import { createFleet, wordOf } from '../../harness/brokers.ts'
import { settle } from '../../harness/clock.ts'
import { a, the } from '../../harness/the.ts'

const AWAY: TokenAnswer = { kind: 'unavailable', sent: 'not-sent', retryAfter: seconds(1), cause: 'ECONNREFUSED' }
const hours = (h: number): number => h * 3_600_000

describe('peek', () => {
  it('yields a good token without a call or a look at the store', async () => {
    const fleet = createFleet()
    const { broker, store } = fleet.replica()
    const token = a.accessToken()
    const session = fleet.session({ tokens: [token] })
    store.setReachable(false)
    expect(broker.peekUser(fleet.held(session), the.orders, fleet.clock.now())).toBe(token)
    expect(broker.peekUser(fleet.held(session), the.invoices, fleet.clock.now())).toBeUndefined()
    await settle()
    expect(fleet.provider.sends).toHaveLength(0)
  })

  it('in the last fifth of its life still yields it, and renews it behind once', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    const token = a.accessToken() // five minutes
    const session = fleet.session({ tokens: [token] })
    const held = fleet.held(session)
    await fleet.clock.advance(minutes(4) - 1)
    broker.peekUser(held, the.orders, fleet.clock.now())
    await settle()
    expect(fleet.provider.sends).toHaveLength(0)
    await fleet.clock.advance(seconds(2))
    for (let i = 0; i < 100; i += 1) expect(broker.peekUser(held, the.orders, fleet.clock.now())).toBe(token)
    await settle()
    expect(fleet.provider.sends).toHaveLength(1)
    const stored = fleet.shared.read(session.ref)
    expect(stored?.tokens.get(the.orders.key)).not.toBe(token)
    // A request that still holds the old copy does not start another one.
    broker.peekUser(held, the.orders, fleet.clock.now())
    await settle()
    expect(fleet.provider.sends).toHaveLength(1)
  })

  it('backs off when the refresh behind fails, and serves the good token on', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    const session = fleet.session({ tokens: [a.accessToken()] })
    const held = fleet.held(session)
    await fleet.clock.advance(minutes(4) + seconds(1))
    fleet.provider.answerNext(AWAY)
    for (let i = 0; i < 20; i += 1) {
      expect(broker.peekUser(held, the.orders, fleet.clock.now())).toBeDefined()
      await settle()
    }
    expect(fleet.provider.sends).toHaveLength(1)
    await fleet.clock.advance(seconds(2))
    broker.peekUser(held, the.orders, fleet.clock.now())
    await settle()
    expect(fleet.provider.sends).toHaveLength(2)
  })

  it('starts nothing while the store is away, and serves what is good', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    const session = fleet.session({ tokens: [a.accessToken()] })
    const stale = { ...fleet.held(session), stale: true }
    await fleet.clock.advance(minutes(4) + seconds(10))
    expect(broker.peekUser(stale, the.orders, fleet.clock.now())).toBeDefined()
    await fleet.clock.advance(seconds(30))
    expect(wordOf(await broker.user(stale, the.orders))).toBe('issued') // within the margin, but not expired
    await fleet.clock.advance(seconds(20))
    expect(wordOf(await broker.user(stale, the.orders))).toBe('store.unavailable')
    expect(fleet.provider.sends).toHaveLength(0)
  })
})

describe('recheck', () => {
  it.each`
    confirmedAgo   | provider          | word                      | calls | ends                 | because
    ${hours(0.99)} | ${'works'}        | ${'issued'}               | ${0}  | ${undefined}         | ${'confirmed within the hour'}
    ${hours(1.01)} | ${'works'}        | ${'issued'}               | ${1}  | ${undefined}         | ${'confirmed again before it is served'}
    ${hours(1.01)} | ${'is away'}      | ${'issued'}               | ${1}  | ${undefined}         | ${'the grace has begun'}
    ${hours(2.01)} | ${'is away'}      | ${'provider.unavailable'} | ${1}  | ${undefined}         | ${'the grace is over'}
    ${hours(1.01)} | ${'says no'}      | ${'session.ended'}        | ${1}  | ${'refresh-refused'} | ${'a disabled user loses the session'}
    ${hours(1.01)} | ${'is not asked'} | ${'session.ended'}        | ${0}  | ${'recheck-failed'}  | ${'without a refresh token nobody can be asked'}
  `(
    '$confirmedAgo ms after the last word, when the provider $provider: $because',
    async ({ confirmedAgo, provider, word, calls, ends }) => {
      const scripted: Record<string, TokenAnswer> = {
        'is away': AWAY,
        'says no': { kind: 'refused', reason: 'grant-rejected', providerCode: 'invalid_grant' },
      }
      for (const way of ['user', 'confirm'] as const) {
        const fleet = createFleet()
        const { broker } = fleet.replica()
        const withoutRefreshToken = provider === 'is not asked'
        const session = fleet.session({
          tokens: [a.accessToken({ now: fleet.clock.now() })],
          confirmedAgo: confirmedAgo as number,
          withoutRefreshToken,
        })
        const answer = scripted[provider as string]
        if (answer) fleet.provider.answerNext(answer)
        const held = fleet.held(session)
        expect(broker.isConfirmed(held, fleet.clock.now())).toBe(confirmedAgo === hours(0.99))
        expect(broker.peekUser(held, the.orders, fleet.clock.now()) !== undefined).toBe(confirmedAgo === hours(0.99))
        const outcome = way === 'user' ? await broker.user(held, the.orders) : await broker.confirm(held)
        expect(wordOf(outcome)).toBe(way === 'confirm' && word === 'issued' ? 'confirmed' : word)
        expect(fleet.provider.sends).toHaveLength(calls as number)
        expect(fleet.audit.filter(({ event }) => event === 'session.ended').map((event) => (event as { reason?: string }).reason)).toEqual(
          ends === undefined ? [] : [ends],
        )
      }
    },
  )

  it('confirms with an ask the session has a token for, and not with one that was just refused', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    const session = fleet.session({ confirmedAgo: hours(1.5), tokens: [a.accessToken({ ask: the.invoices })] })
    await broker.confirm(fleet.held(session))
    expect(fleet.provider.sends.map(({ ask }) => ask.audience)).toEqual([the.invoices.audience])

    const other = fleet.session({ confirmedAgo: hours(1.5) })
    fleet.provider.answerNext({ kind: 'refused', reason: 'audience-denied', providerCode: 'invalid_target' })
    expect(wordOf(await broker.confirm(fleet.held(other)))).toBe('confirmed')
    expect(fleet.provider.sends.slice(1).map(({ ask }) => ask.audience)).toEqual([the.orders.audience, the.invoices.audience])
  })

  // A user without rights to the one API of users lost the application's routes with it, an hour after each sign-in.
  it.each(['audience-denied', 'consent-required', 'step-up-required'] as const)(
    'confirms with a plain refresh where every audience is refused: %s',
    async (reason) => {
      for (const way of ['confirm', 'refreshNow'] as const) {
        const fleet = createFleet()
        const { broker } = fleet.replica()
        const session = fleet.session({ confirmedAgo: hours(1.5) })
        for (let i = 0; i < 2; i += 1) fleet.provider.answerNext({ kind: 'refused', reason, providerCode: 'planted' })
        expect(wordOf(await broker[way](fleet.held(session)))).toBe(way === 'confirm' ? 'confirmed' : 'refreshed')
        expect(fleet.provider.sends.at(-1)?.ask).toMatchObject({ audience: undefined, scopes: [] })
      }
    },
  )

  it('asks each once and no more, where the provider refuses even that', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    const session = fleet.session({ confirmedAgo: hours(1.5) })
    for (let i = 0; i < 3; i += 1) fleet.provider.answerNext({ kind: 'refused', reason: 'audience-denied', providerCode: 'planted' })
    expect(wordOf(await broker.confirm(fleet.held(session)))).toBe('token.audience-denied')
    expect(wordOf(await broker.confirm(fleet.held(session)))).toBe('token.audience-denied')
    expect(fleet.provider.sends).toHaveLength(3)
  })

  it('confirms with a plain refresh where no route has a user token', async () => {
    const fleet = createFleet({ asks: [] })
    const { broker } = fleet.replica()
    expect(wordOf(await broker.confirm(fleet.held(fleet.session({ confirmedAgo: hours(1.5) }))))).toBe('confirmed')
    expect(fleet.provider.sends[0]?.ask).toMatchObject({ audience: undefined, scopes: [] })
  })

  it('a hundred requests of an unconfirmed session make one call', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    const held = fleet.held(fleet.session({ tokens: [a.accessToken()], confirmedAgo: hours(1.5) }))
    await Promise.all(Array.from({ length: 100 }, (_, i) => (i % 2 ? broker.user(held, the.orders) : broker.confirm(held))))
    expect(fleet.provider.sends).toHaveLength(1)
  })
})

describe('refresh now', () => {
  it('refreshes once per cool-down, and answers the same within it', async () => {
    const fleet = createFleet()
    const [one, two] = [fleet.replica('one'), fleet.replica('two')]
    const session = fleet.session({ confirmedAgo: 11_000 })
    const held = fleet.held(session)
    const outcomes = await Promise.all([one, two, one].map(({ broker }) => broker.refreshNow(held)))
    expect(outcomes.map(wordOf)).toEqual(['refreshed', 'refreshed', 'refreshed'])
    expect(fleet.provider.sends).toHaveLength(1)
    const current = fleet.shared.read(session.ref)
    for (const outcome of outcomes) expect(outcome).toEqual({ kind: 'refreshed', session: current })
    if (!current) throw new Error('the session is gone')
    expect(wordOf(await one.broker.refreshNow(fleet.held(current)))).toBe('refreshed')
    expect(fleet.provider.sends).toHaveLength(1)
    await fleet.clock.advance(seconds(11))
    expect(wordOf(await one.broker.refreshNow(fleet.held(current)))).toBe('refreshed')
    expect(fleet.provider.sends).toHaveLength(2)
  })

  it('says so when the provider is away, however good the token still is', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    const session = fleet.session({ tokens: [a.accessToken()], confirmedAgo: 60_000 })
    fleet.provider.answerNext(AWAY)
    expect(wordOf(await broker.refreshNow(fleet.held(session)))).toBe('provider.unavailable')
    expect(wordOf(await broker.refreshNow({ ...fleet.held(session), stale: true }))).toBe('store.unavailable')
  })
})

describe('application tokens', () => {
  it('are one call per ask, cached apart from any session, renewed behind in the last fifth', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    expect(broker.peekApp(the.reports, fleet.clock.now())).toBeUndefined()
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => broker.app(the.reports)))
    expect(new Set(outcomes.map(wordOf))).toEqual(new Set(['issued']))
    expect(fleet.provider.applications).toHaveLength(1)
    const first = broker.peekApp(the.reports, fleet.clock.now())
    await fleet.clock.advance(minutes(4) + seconds(1))
    for (let i = 0; i < 10; i += 1) expect(broker.peekApp(the.reports, fleet.clock.now())).toBe(first)
    await settle()
    expect(fleet.provider.applications).toHaveLength(2)
    expect(broker.peekApp(the.reports, fleet.clock.now())).not.toBe(first)
    expect(fleet.provider.sends).toHaveLength(0)
  })

  it('are never mixed up with user tokens, whichever way round they are asked for', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    const session = fleet.session({ tokens: [a.accessToken({ ask: the.reports })] })
    const held = fleet.held(session)
    await broker.app(the.reports)
    expect(broker.peekUser(held, the.reports, fleet.clock.now())).toBeUndefined()
    expect(wordOf(await broker.user(held, the.reports))).toBe('token.invalid')
    expect(broker.peekApp(the.orders, fleet.clock.now())).toBeUndefined()
    expect(wordOf(await broker.app(the.orders))).toBe('token.invalid')
    expect(fleet.provider.sends).toHaveLength(0)
    expect(fleet.provider.applications).toHaveLength(1)
  })

  it.each`
    answer                                                                                | word                           | held
    ${{ kind: 'refused', reason: 'audience-denied', providerCode: 'invalid_target' }}     | ${'token.audience-denied'}     | ${80}
    ${{ kind: 'refused', reason: 'credential-rejected', providerCode: 'invalid_client' }} | ${'token.credential-rejected'} | ${9}
    ${{ kind: 'refused', reason: 'consent-required', providerCode: 'AADSTS65001' }}       | ${'token.audience-denied'}     | ${80}
    ${{ kind: 'violation', concerns: 'audience', check: 'aud', refreshToken: undefined }} | ${'token.invalid'}             | ${80}
    ${{ kind: 'unavailable', sent: 'answered', retryAfter: 30_000, cause: 'throttled' }}  | ${'provider.unavailable'}      | ${29}
  `('$answer.kind $answer.reason becomes $word, and is held off for $held s', async ({ answer, word, held }) => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    fleet.provider.answerNext(answer as TokenAnswer)
    expect(wordOf(await broker.app(the.reports))).toBe(word)
    await fleet.clock.advance(seconds(held as number))
    expect(wordOf(await broker.app(the.reports))).toBe(word)
    expect(fleet.provider.applications).toHaveLength(1)
    expect(fleet.audit).toContainEqual(expect.objectContaining({ event: 'token.failed', principal: 'app', code: word }))
    await fleet.clock.advance(seconds(60))
    expect(wordOf(await broker.app(the.reports))).toBe('issued')
  })

  it('serve the good token through a transient failure, and not beyond its life', async () => {
    const fleet = createFleet()
    const { broker } = fleet.replica()
    await broker.app(the.reports)
    await fleet.clock.advance(minutes(5) - seconds(20))
    fleet.provider.answerNext(AWAY)
    expect(wordOf(await broker.app(the.reports))).toBe('issued')
    expect(fleet.provider.applications).toHaveLength(2)
    await fleet.clock.advance(seconds(20))
    fleet.provider.answerNext(AWAY)
    expect(wordOf(await broker.app(the.reports))).toBe('provider.unavailable')
  })
})

it('never gives one session the token of another', async () => {
  const fleet = createFleet()
  const replicas = [fleet.replica('one'), fleet.replica('two')]
  const subjects = Array.from({ length: 20 }, (_, i) => `user ${i}`)
  const sessions = subjects.map((subject) => fleet.session({ subject }))
  const asked = sessions.flatMap((session, i) =>
    [the.orders, the.invoices].flatMap((ask) =>
      replicas.map(async ({ broker }) => {
        const outcome = await broker.user(fleet.held(session), ask)
        return { outcome: outcome.kind === 'issued' ? fleet.provider.readAccessToken(outcome.access) : outcome, subject: subjects[i], ask }
      }),
    ),
  )
  for (let i = 0; i < 40; i += 1) await fleet.clock.advance(250)
  for (const { outcome, subject, ask } of await Promise.all(asked)) expect(outcome).toMatchObject({ subject, audience: ask.audience })
  expect(fleet.provider.sends).toHaveLength(40)
})

it('tells refreshes and tokens to the audit stream, and calls and lease waits to the metrics', async () => {
  const fleet = createFleet()
  const { broker } = fleet.replica()
  const session = fleet.session()
  await broker.user(fleet.held(session), the.orders)
  const who = { sessionRef: session.ref, subject: 'alice', provider: 'default', audience: the.orders.audience }
  expect(fleet.audit).toEqual([
    expect.objectContaining({ event: 'session.refreshed', ...who }),
    expect.objectContaining({ event: 'token.issued', principal: 'user', grant: 'refresh', ...who }),
  ])
  const labels = { provider: 'default', grant: 'refresh', outcome: 'issued' }
  expect(fleet.counted).toContainEqual({ name: 'sallyport_broker_token_requests_total', labels })
  expect(fleet.counted).toContainEqual({ name: 'sallyport_broker_token_request_seconds', labels })
  expect(fleet.counted).toContainEqual({ name: 'sallyport_broker_lease_wait_seconds', labels: { outcome: 'acquired' } })
})
