import { describe, expect, it } from 'vitest'
import type { ProviderProfile } from '../../../src/domain/provider.ts'
import type { TokenAnswer } from '../../../src/domain/token.ts'
import { Secret } from '../../../src/kernel/secret.ts'
import { seconds } from '../../../src/kernel/time.ts'
import type { Fleet } from '../../harness/brokers.ts'
import { createFleet, wordOf } from '../../harness/brokers.ts'
import { settle } from '../../harness/clock.ts'
import { a, the } from '../../harness/the.ts'

const refusedFor = (reason: Extract<TokenAnswer, { kind: 'refused' }>['reason']): TokenAnswer => ({
  kind: 'refused',
  reason,
  providerCode: 'planted',
})
const failed = (sent: 'not-sent' | 'answered' | 'unknown', cause = 'ECONNREFUSED', retryAfter = seconds(5)): TokenAnswer => ({
  kind: 'unavailable',
  sent,
  retryAfter,
  cause,
})
const lastToken = (fleet: Fleet, leftSeconds: number) => ({
  ...a.accessToken({ now: fleet.clock.now() }),
  issuedAt: (fleet.clock.now() - 600_000) as typeof the.now,
  expiresAt: (fleet.clock.now() + leftSeconds * 1000) as typeof the.now,
})

describe.each(['strict', 'tolerant', 'none'] as const)('with rotation %s', (rotation: ProviderProfile['rotation']) => {
  it.each`
    answer                               | word                           | ends                 | mark     | because
    ${refusedFor('grant-rejected')}      | ${'session.ended'}             | ${'refresh-refused'} | ${false} | ${"the session's own refresh token is dead"}
    ${refusedFor('step-up-required')}    | ${'session.step-up-required'}  | ${undefined}         | ${false} | ${'concerns this audience only'}
    ${refusedFor('consent-required')}    | ${'token.consent-required'}    | ${undefined}         | ${false} | ${'concerns this audience only'}
    ${refusedFor('audience-denied')}     | ${'token.audience-denied'}     | ${undefined}         | ${false} | ${'concerns this audience only'}
    ${refusedFor('credential-rejected')} | ${'token.credential-rejected'} | ${undefined}         | ${false} | ${'is no word on the user'}
    ${failed('not-sent')}                | ${'provider.unavailable'}      | ${undefined}         | ${false} | ${'nothing was spent'}
    ${failed('answered', 'throttled')}   | ${'provider.unavailable'}      | ${undefined}         | ${false} | ${'nothing was spent'}
    ${failed('unknown', 'timeout')}      | ${'provider.unavailable'}      | ${undefined}         | ${true}  | ${'it may have been spent, which the mark tells'}
  `('$answer.kind $answer.reason$answer.sent becomes $word: $because', async ({ answer, word, ends, mark }) => {
    const fleet = createFleet({ rotation })
    const { broker } = fleet.replica()
    const session = fleet.session()
    fleet.provider.answerNext(answer as TokenAnswer)
    const outcome = await broker.user(fleet.held(session), the.orders)
    expect(wordOf(outcome)).toBe(word)
    expect(fleet.shared.read(session.ref) === undefined).toBe(ends !== undefined)
    expect(fleet.shared.markOf(session.ref) !== undefined).toBe(mark && rotation !== 'none')
    const ended = fleet.audit.filter(({ event }) => event === 'session.ended')
    expect(ended).toEqual(ends === undefined ? [] : [expect.objectContaining({ reason: ends, sessionRef: session.ref, subject: 'alice' })])
    expect(fleet.audit).toContainEqual(expect.objectContaining({ event: 'token.failed', principal: 'user', code: word }))
    // A page that asks on and on does not reach the provider.
    if (ends === undefined) expect(wordOf(await broker.user(fleet.held(session), the.orders))).toBe(word)
    expect(fleet.provider.sends).toHaveLength(1)
  })

  it('a refusal of one audience leaves the others alone', async () => {
    const fleet = createFleet({ rotation })
    const { broker } = fleet.replica()
    const session = fleet.session()
    fleet.provider.answerNext(refusedFor('step-up-required'))
    expect(wordOf(await broker.user(fleet.held(session), the.orders))).toBe('session.step-up-required')
    expect(wordOf(await broker.user(fleet.held(session), the.invoices))).toBe('issued')
    await fleet.clock.advance(seconds(91))
    expect(wordOf(await broker.user(fleet.held(session), the.orders))).toBe('issued')
  })

  it('a session whose refreshed ID token is of somebody else ends, and its tokens are revoked', async () => {
    const fleet = createFleet({ rotation })
    const { broker } = fleet.replica()
    const session = fleet.session()
    fleet.provider.violateNext('session')
    expect(wordOf(await broker.user(fleet.held(session), the.orders))).toBe('session.ended')
    await settle()
    expect(fleet.shared.read(session.ref)).toBeUndefined()
    expect(fleet.provider.revoked).toHaveLength(1)
    expect(fleet.audit).toContainEqual(expect.objectContaining({ event: 'session.ended', reason: 'identity-changed' }))
    expect(fleet.audit).toContainEqual(expect.objectContaining({ event: 'token.failed', check: 'planted' }))
  })

  it('an unusable access token is refused, and the refresh token that came with it is kept', async () => {
    const fleet = createFleet({ rotation })
    const { broker } = fleet.replica()
    const session = fleet.session()
    fleet.provider.violateNext('audience')
    expect(wordOf(await broker.user(fleet.held(session), the.orders))).toBe('token.invalid')
    expect(fleet.shared.markOf(session.ref)).toBeUndefined()
    expect(fleet.provider.isAlive(fleet.shared.read(session.ref)?.grant.refreshToken)).toBe(true)
    expect(fleet.shared.read(session.ref)?.tokens.size).toBe(0)
    expect(wordOf(await broker.user(fleet.held(session), the.invoices))).toBe('issued')
    expect(fleet.provider.sentAfterRotation).toEqual([])
  })

  it('an unusable access token of a session that ended meanwhile: its refresh token is revoked, the session stays ended', async () => {
    const fleet = createFleet({ rotation })
    const { broker, store } = fleet.replica()
    const session = fleet.session()
    fleet.provider.answerNext({
      kind: 'violation',
      concerns: 'audience',
      check: 'planted',
      refreshToken: Secret.of('refresh-token', 'the new one'),
    })
    const beforeSave = store.gates.stop('save:before')
    const asked = broker.user(fleet.held(session), the.orders)
    await beforeSave.reached
    fleet.shared.end(session.ref, 'user')
    beforeSave.open()
    expect(wordOf(await asked)).toBe('session.ended')
    await settle()
    expect(fleet.provider.revoked).toEqual(['the new one'])
  })

  it('a token that was issued for another ask is not handed out', async () => {
    const fleet = createFleet({ rotation })
    const { broker } = fleet.replica()
    const session = fleet.session()
    fleet.provider.answerNext(() => ({
      kind: 'issued',
      access: a.accessToken({ ask: the.invoices, now: fleet.clock.now() }),
      refreshToken: undefined,
      refreshEndsAt: undefined,
      claims: undefined,
      idToken: undefined,
    }))
    expect(wordOf(await broker.user(fleet.held(session), the.orders))).toBe('token.invalid')
    expect(fleet.shared.read(session.ref)?.tokens.size).toBe(0)
  })

  it.each`
    answer                               | leftSeconds | word                          | because
    ${failed('unknown', 'timeout')}      | ${20}       | ${'issued'}                   | ${'the good token is served'}
    ${refusedFor('credential-rejected')} | ${20}       | ${'issued'}                   | ${'the user has done nothing wrong'}
    ${refusedFor('step-up-required')}    | ${20}       | ${'session.step-up-required'} | ${'a refusal is the answer'}
    ${failed('not-sent')}                | ${-1}       | ${'provider.unavailable'}     | ${'an expired token is never served'}
  `('$answer.kind $answer.reason$answer.sent with a token of $leftSeconds s: $because', async ({ answer, leftSeconds, word }) => {
    const fleet = createFleet({ rotation })
    const { broker } = fleet.replica()
    const session = fleet.session({ tokens: [lastToken(fleet, leftSeconds as number)] })
    fleet.provider.answerNext(answer as TokenAnswer)
    expect(wordOf(await broker.user(fleet.held(session), the.orders))).toBe(word)
    expect(fleet.provider.sends).toHaveLength(1)
  })

  it('honours Retry-After for the whole provider, then sends one probe', async () => {
    const fleet = createFleet({ rotation })
    const { broker } = fleet.replica()
    const sessions = Array.from({ length: 5 }, () => fleet.session())
    const all = () => Promise.all(sessions.map((session) => broker.user(fleet.held(session), the.orders)))
    fleet.provider.answerNext(failed('answered', 'throttled', seconds(20)))
    expect(wordOf(await broker.user(fleet.held(fleet.session()), the.orders))).toBe('provider.unavailable')
    await fleet.clock.advance(seconds(19))
    for (const outcome of await all()) expect(outcome).toEqual({ kind: 'unavailable', code: 'provider.unavailable', retryAfter: 1000 })
    expect(fleet.provider.sends).toHaveLength(1)
    await fleet.clock.advance(seconds(1))
    const atProvider = fleet.provider.gates.stop('refresh:before')
    const answered = all()
    await atProvider.reached
    await settle()
    expect(fleet.provider.sends).toHaveLength(2)
    atProvider.open()
    expect((await answered).filter(({ kind }) => kind === 'issued')).toHaveLength(1)
    expect((await all()).map(wordOf)).toEqual(sessions.map(() => 'issued'))
  })

  it('one session that fails again and again holds up no other', async () => {
    const fleet = createFleet({ rotation })
    const { broker } = fleet.replica()
    const unlucky = fleet.session()
    for (let i = 0; i < 5; i += 1) {
      fleet.provider.answerNext(failed('answered', 'server_too_moody', seconds(5)))
      await broker.user(fleet.held(unlucky), the.orders)
      await fleet.clock.advance(seconds(31))
    }
    expect(fleet.provider.sends).toHaveLength(5)
    expect(wordOf(await broker.user(fleet.held(fleet.session()), the.orders))).toBe('issued')
  })

  it('a session without refresh token is asked to sign in for what it has no token for, and goes on with what it has', async () => {
    const fleet = createFleet({ rotation })
    const { broker } = fleet.replica()
    const session = fleet.session({ withoutRefreshToken: true, tokens: [a.accessToken()] })
    expect(wordOf(await broker.user(fleet.held(session), the.invoices))).toBe('session.ended')
    expect(wordOf(await broker.user(fleet.held(session), the.orders))).toBe('issued')
    expect(fleet.shared.read(session.ref)).toBeDefined()
    expect(fleet.provider.sends).toHaveLength(0)
  })

  it('the store away before anything is sent: unavailable, and nothing is sent', async () => {
    const fleet = createFleet({ rotation })
    const { broker, store } = fleet.replica()
    const session = fleet.session()
    store.setReachable(false)
    expect(wordOf(await broker.user(fleet.held(session), the.orders))).toBe('store.unavailable')
    expect(fleet.provider.sends).toHaveLength(0)
    store.setReachable(true)
    expect(wordOf(await broker.user(fleet.held(session), the.orders))).toBe('issued')
  })

  it('an identity in doubt is not served while the store is away', async () => {
    const fleet = createFleet({ rotation })
    const { broker, store } = fleet.replica()
    const session = fleet.session()
    fleet.provider.violateNext('session')
    const beforeEnd = store.gates.stop('end:before')
    const asked = broker.user(fleet.held(session), the.orders)
    await beforeEnd.reached
    store.setReachable(false)
    beforeEnd.open()
    expect(wordOf(await asked)).toBe('session.ended')
    expect(fleet.audit).toContainEqual(expect.objectContaining({ event: 'session.ended', reason: 'identity-changed', stored: false }))
  })
})

describe('without rotation', () => {
  it('asks for several audiences go out side by side, and every token is stored', async () => {
    const fleet = createFleet({ rotation: 'none' })
    const { broker } = fleet.replica()
    const session = fleet.session()
    const gates = [fleet.provider.gates.stop('refresh:before'), fleet.provider.gates.stop('refresh:before')]
    const outcomes = Promise.all([broker.user(fleet.held(session), the.orders), broker.user(fleet.held(session), the.invoices)])
    await Promise.all(gates.map(({ reached }) => reached))
    for (const gate of gates) gate.open()
    expect((await outcomes).map(wordOf)).toEqual(['issued', 'issued'])
    expect(fleet.provider.sends).toHaveLength(2) // whoever saves second stores its access token alone, and need not ask again
    expect([...(fleet.shared.read(session.ref)?.tokens.keys() ?? [])]).toEqual(expect.arrayContaining([the.orders.key, the.invoices.key]))
    expect(fleet.shared.markOf(session.ref)).toBeUndefined()
    expect(fleet.shared.leaseHeld(session.ref)).toBe(false)
  })

  it('many asks for one token share one call', async () => {
    const fleet = createFleet({ rotation: 'none' })
    const { broker } = fleet.replica()
    const session = fleet.session()
    await Promise.all(Array.from({ length: 50 }, () => broker.user(fleet.held(session), the.orders)))
    expect(fleet.provider.sends).toHaveLength(1)
  })

  it('a logout between the read and the save stays final', async () => {
    const fleet = createFleet({ rotation: 'none' })
    const { broker, store } = fleet.replica()
    const session = fleet.session()
    const beforeSave = store.gates.stop('save:before')
    const asked = broker.user(fleet.held(session), the.orders)
    await beforeSave.reached
    fleet.shared.end(session.ref, 'user')
    beforeSave.open()
    expect(wordOf(await asked)).toBe('session.ended')
    await settle()
    expect(fleet.shared.read(session.ref)).toBeUndefined()
    expect(fleet.provider.revoked).toEqual([session.grant.refreshToken?.reveal()])
  })

  it('a refused refresh does not end a session that another replica renewed meanwhile', async () => {
    const fleet = createFleet({ rotation: 'none' })
    const [one, two] = [fleet.replica('one'), fleet.replica('two')]
    const session = fleet.session()
    const late = fleet.provider.gates.stop('refresh:after')
    fleet.provider.answerNext(refusedFor('grant-rejected'))
    const first = one.broker.user(fleet.held(session), the.orders)
    await late.reached
    expect(wordOf(await two.broker.user(fleet.held(session), the.orders))).toBe('issued')
    late.open()
    expect(wordOf(await first)).toBe('issued')
    expect(fleet.shared.read(session.ref)).toBeDefined()
  })
})
