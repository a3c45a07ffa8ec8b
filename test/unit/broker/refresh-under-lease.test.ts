import { describe, expect, it } from 'vitest'
import type { HeldSession, Session } from '../../../src/domain/session.ts'
import type { Ask } from '../../../src/domain/token.ts'
import { makeAsk } from '../../../src/broker/token-key.ts'
import { after, minutes, seconds } from '../../../src/kernel/time.ts'
import type { Fleet, Replica } from '../../harness/brokers.ts'
import { createFleet, wordOf } from '../../harness/brokers.ts'
import { settle } from '../../harness/clock.ts'
import { a, the } from '../../harness/the.ts'

const SECONDS_MOST = 60

/** Drives the clock until the work is done: whoever waits, waits in the fleet's time. */
const finish = async <T>(fleet: Fleet, work: Promise<T>): Promise<T> => {
  let done = false
  void work
    .finally(() => {
      done = true
    })
    .catch(() => undefined)
  await settle()
  for (let step = 0; !done && step < SECONDS_MOST * 4; step += 1) await fleet.clock.advance(250)
  expect(done, 'an ask waits for ever').toBe(true)
  return work
}
const ask = (fleet: Fleet, { broker }: Replica, session: Session, what: Ask = the.orders): Promise<string> =>
  broker.user(fleet.held(session), what).then(wordOf)
const refreshTokenOf = (fleet: Fleet, session: Session) => fleet.shared.read(session.ref)?.grant.refreshToken

describe('one refresh per session in the whole fleet', () => {
  const stampede = async (fleet: Fleet, session = fleet.session()): Promise<string[]> => {
    const replicas = [fleet.replica('one'), fleet.replica('two')]
    const asks = Array.from({ length: 200 }, (_, i) => ask(fleet, replicas[i % 2] as Replica, session))
    return finish(fleet, Promise.all(asks))
  }

  it('200 asks at expiry in two replicas make one call, and all get the token', async () => {
    const fleet = createFleet()
    const session = fleet.session()
    expect(new Set(await stampede(fleet, session))).toEqual(new Set(['issued']))
    expect(fleet.provider.sends).toHaveLength(1)
    expect(fleet.provider.isAlive(refreshTokenOf(fleet, session))).toBe(true)
  })

  it('the same without leases holds by the mark alone', async () => {
    const fleet = createFleet()
    fleet.shared.withoutExclusion('lease')
    expect(new Set(await stampede(fleet))).toEqual(new Set(['issued']))
    expect(fleet.provider.sends).toHaveLength(1)
  })

  it('test of the test: without lease and mark the same stampede spends a token twice and loses the family', async () => {
    const fleet = createFleet()
    fleet.shared.withoutExclusion('lease and mark')
    const session = fleet.session()
    await stampede(fleet, session)
    expect(fleet.provider.sends.length).toBeGreaterThan(1)
    expect(fleet.provider.isAlive(refreshTokenOf(fleet, session))).toBe(false)
  })

  it('asks for several audiences of one session go out one after the other, one call each, along one chain of refresh tokens', async () => {
    const fleet = createFleet()
    const [one, two] = [fleet.replica('one'), fleet.replica('two')]
    const session = fleet.session()
    const audiences = ['a', 'b', 'c', 'd'].map((name) => makeAsk('refresh', `api://${name}`, []))
    const outcomes = await finish(
      fleet,
      Promise.all(audiences.flatMap((audience) => [one, two, one].map((replica) => replica.broker.user(fleet.held(session), audience)))),
    )
    expect(fleet.provider.sends).toHaveLength(4)
    expect(new Set(fleet.provider.sends.map((send) => send.ask.audience))).toEqual(new Set(audiences.map(({ audience }) => audience)))
    expect(fleet.provider.mostAtOnce()).toBe(1)
    expect(fleet.provider.sentAfterRotation).toEqual([])
    expect(fleet.provider.isAlive(refreshTokenOf(fleet, session))).toBe(true)
    const got = outcomes.map((outcome) =>
      outcome.kind === 'issued' ? fleet.provider.readAccessToken(outcome.access)?.audience : outcome.code,
    )
    expect(got).toEqual(audiences.flatMap(({ audience }) => [audience, audience, audience]))
  })

  it('a replica that hears no events still uses what the other one stored', async () => {
    const fleet = createFleet()
    const [one, two] = [fleet.replica('one'), fleet.replica('two')]
    two.store.setDeaf(true)
    const session = fleet.session()
    const atProvider = fleet.provider.gates.stop('refresh:before')
    const first = ask(fleet, one, session)
    await atProvider.reached
    const second = ask(fleet, two, session)
    await settle()
    atProvider.open()
    expect(await finish(fleet, Promise.all([first, second]))).toEqual(['issued', 'issued'])
    expect(fleet.provider.sends).toHaveLength(1)
  })

  it('renews its lease while the provider is slow, so that nobody else begins', async () => {
    const fleet = createFleet()
    const [one, two] = [fleet.replica('one'), fleet.replica('two')]
    const session = fleet.session()
    const atProvider = fleet.provider.gates.stop('refresh:after')
    const first = ask(fleet, one, session)
    await atProvider.reached
    await fleet.clock.advance(seconds(60))
    expect(fleet.shared.leaseHeld(session.ref)).toBe(true)
    const second = ask(fleet, two, session)
    await fleet.clock.advance(seconds(1))
    atProvider.open()
    expect(await finish(fleet, Promise.all([first, second]))).toEqual(['issued', 'issued'])
    expect(fleet.provider.sends).toHaveLength(1)
    expect(fleet.shared.leaseHeld(session.ref)).toBe(false)
  })

  it('tells whoever waited too long for the lease to come back, with the token it has if that still lives', async () => {
    const fleet = createFleet()
    const [one, two] = [fleet.replica('one'), fleet.replica('two')]
    const session = fleet.session()
    const atProvider = fleet.provider.gates.stop('refresh:after')
    const first = ask(fleet, one, session)
    await atProvider.reached
    const second = ask(fleet, two, session)
    const lastSeconds = a.accessToken({ expiresAt: after(fleet.clock.now(), minutes(5)), issuedAt: after(fleet.clock.now(), minutes(-60)) })
    await fleet.clock.advance(minutes(4) + seconds(45))
    expect(await second).toBe('provider.unavailable')
    const third = ask(fleet, two, {
      ...session,
      tokens: new Map([[the.orders.key, { ...lastSeconds, expiresAt: after(fleet.clock.now(), seconds(25)) }]]),
    })
    await fleet.clock.advance(seconds(16))
    expect(await third).toBe('issued')
    atProvider.open()
    expect(await finish(fleet, first)).toBe('issued')
  })
})

describe('a session that ends meanwhile', () => {
  it('stays ended when the logout falls between the read and the save: the new refresh token is revoked', async () => {
    const fleet = createFleet()
    const one = fleet.replica()
    const session = fleet.session()
    const beforeSave = one.store.gates.stop('save:before')
    const asked = ask(fleet, one, session)
    await beforeSave.reached
    fleet.shared.end(session.ref, 'user')
    beforeSave.open()
    expect(await finish(fleet, asked)).toBe('session.ended')
    expect(fleet.shared.read(session.ref)).toBeUndefined()
    expect(fleet.provider.revoked).toHaveLength(1)
    expect(fleet.provider.revoked[0]).not.toBe(session.grant.refreshToken?.reveal())
    expect(fleet.audit.map(({ event }) => event)).toContain('token.revoked')
  })

  it('sends nothing when the logout falls between looking and marking', async () => {
    const fleet = createFleet()
    const one = fleet.replica()
    const session = fleet.session()
    const beforeMark = one.store.gates.stop('markSpending:before')
    const asked = ask(fleet, one, session)
    await beforeMark.reached
    fleet.shared.end(session.ref, 'user')
    beforeMark.open()
    expect(await finish(fleet, asked)).toBe('session.ended')
    expect(fleet.provider.sends).toHaveLength(0)
  })

  it('answers those who wait for the lease at once', async () => {
    const fleet = createFleet()
    const [one, two] = [fleet.replica('one'), fleet.replica('two')]
    const session = fleet.session()
    const atProvider = fleet.provider.gates.stop('refresh:before')
    const first = ask(fleet, one, session)
    await atProvider.reached
    const second = ask(fleet, two, session)
    await settle()
    fleet.shared.end(session.ref, 'user')
    expect(await second).toBe('session.ended') // no time has passed
    atProvider.open()
    expect(await finish(fleet, first)).toBe('session.ended')
  })
})

describe('the token that was spent decides what is saved', () => {
  it('drops its own late answer when another replica renewed meanwhile, uses theirs and revokes nothing', async () => {
    // Tolerant: otherwise the provider itself would have ended the family at the second use.
    const fleet = createFleet({ rotation: 'tolerant' })
    const [one, two] = [fleet.replica('one'), fleet.replica('two')]
    const session = fleet.session()
    const late = fleet.provider.gates.stop('refresh:after')
    one.store.gates.stop('renewLease:before') // its renewal hangs, so that the lease runs out while the provider thinks
    const first = ask(fleet, one, session)
    await late.reached
    await fleet.clock.advance(seconds(11))
    expect(fleet.shared.leaseHeld(session.ref)).toBe(false)
    expect(await finish(fleet, ask(fleet, two, session))).toBe('issued')
    const theirs = fleet.shared.read(session.ref)
    late.open()
    expect(await finish(fleet, first)).toBe('issued')
    expect(fleet.shared.read(session.ref)).toBe(theirs)
    expect(fleet.provider.revoked).toEqual([])
    expect(fleet.audit.filter(({ event }) => event === 'token.issued')).toHaveLength(1)
  })

  it('takes the lease again when it was lost before the mark, and sends once', async () => {
    const fleet = createFleet()
    const one = fleet.replica()
    const session = fleet.session()
    const beforeMark = one.store.gates.stop('markSpending:before')
    const asked = ask(fleet, one, session)
    await beforeMark.reached
    fleet.shared.dropLease(session.ref)
    beforeMark.open()
    expect(await finish(fleet, asked)).toBe('issued')
    expect(fleet.provider.sends).toHaveLength(1)
  })

  it('keeps the old refresh token when the provider returns none', async () => {
    const fleet = createFleet()
    const one = fleet.replica()
    const session = fleet.session()
    fleet.provider.answerNext((asked) => ({
      kind: 'issued',
      access: a.accessToken({ ask: asked, now: fleet.clock.now() }),
      refreshToken: undefined,
      refreshEndsAt: undefined,
      claims: undefined,
      idToken: undefined,
    }))
    expect(await finish(fleet, ask(fleet, one, session))).toBe('issued')
    expect(refreshTokenOf(fleet, session)).toBe(session.grant.refreshToken)
    expect(fleet.shared.markOf(session.ref)).toBeUndefined()
  })

  it('stores the new token before anybody gets it', async () => {
    const fleet = createFleet()
    const one = fleet.replica()
    const session = fleet.session()
    const beforeSave = one.store.gates.stop('save:before')
    let answered = false
    const asked = ask(fleet, one, session).finally(() => {
      answered = true
    })
    await beforeSave.reached
    await settle(10)
    expect(answered).toBe(false)
    beforeSave.open()
    expect(await finish(fleet, asked)).toBe('issued')
  })

  it('takes new claims and the time of confirmation with a refresh, and keeps the rest of the grant', async () => {
    const fleet = createFleet()
    const one = fleet.replica()
    const session = fleet.session()
    await fleet.clock.advance(minutes(10))
    fleet.provider.answerNext((asked) => ({
      kind: 'issued',
      access: a.accessToken({ ask: asked, now: fleet.clock.now() }),
      refreshToken: undefined,
      refreshEndsAt: after(fleet.clock.now(), minutes(30)),
      claims: { sub: 'alice', roles: ['admin'] },
      idToken: undefined,
    }))
    await finish(fleet, ask(fleet, one, session))
    const { grant } = fleet.shared.read(session.ref) as Session
    expect(grant.claims['roles']).toEqual(['admin'])
    expect(grant.confirmedAt).toBe(after(the.now, minutes(10)))
    expect(grant.refreshEndsAt).toBe(after(the.now, minutes(40)))
    expect(grant.providerSessionId).toBe(session.grant.providerSessionId)
  })
})

describe('a mark that is found', () => {
  const crashAfterSending = async (fleet: Fleet, when: 'refresh:before' | 'refresh:after'): Promise<Session> => {
    const dying = fleet.replica('dying')
    const session = fleet.session()
    const atProvider = fleet.provider.gates.stop(when)
    void ask(fleet, dying, session)
    await atProvider.reached
    dying.store.kill()
    if (when === 'refresh:after') atProvider.open() // spent, and nobody left to save
    await settle()
    return session
  }

  it('strict: waits for the sender as long as its save may come, then recovers a token that was never spent', async () => {
    const fleet = createFleet()
    const session = await crashAfterSending(fleet, 'refresh:before')
    const two = fleet.replica('two')
    const asked = ask(fleet, two, session)
    await fleet.clock.advance(seconds(4))
    expect(fleet.provider.sends).toHaveLength(1)
    expect(await finish(fleet, asked)).toBe('issued')
    expect(fleet.provider.sends).toHaveLength(2)
    expect(fleet.provider.isAlive(refreshTokenOf(fleet, session))).toBe(true)
  })

  it('strict: after exactly one recovery attempt the session is lost, and says so', async () => {
    const fleet = createFleet()
    const session = await crashAfterSending(fleet, 'refresh:after')
    const two = fleet.replica('two')
    expect(await finish(fleet, ask(fleet, two, session))).toBe('session.refresh-lost')
    expect(fleet.provider.sends).toHaveLength(2)
    expect(fleet.audit).toContainEqual(expect.objectContaining({ event: 'session.ended', reason: 'refresh-lost', stored: true }))
    expect(await finish(fleet, ask(fleet, two, session))).toBe('session.refresh-lost')
    expect(fleet.provider.sends).toHaveLength(2)
  })

  it('strict: when the recovery attempt gets lost as well, nobody makes a second one', async () => {
    const fleet = createFleet()
    const session = await crashAfterSending(fleet, 'refresh:before')
    const two = fleet.replica('two')
    fleet.provider.answerNext({ kind: 'unavailable', sent: 'unknown', retryAfter: seconds(1), cause: 'timeout' })
    expect(await finish(fleet, ask(fleet, two, session))).toBe('provider.unavailable')
    await fleet.clock.advance(seconds(60))
    expect(await finish(fleet, ask(fleet, two, session))).toBe('session.refresh-lost')
    expect(fleet.provider.sends).toHaveLength(2)
    expect(fleet.provider.revoked).toHaveLength(1)
  })

  // Three audiences of one session at expiry, in one stall: the first took the send, the second the recovery, and the third signed the user out.
  it('strict: a provider that stalls for several asks signs nobody out, and is not asked with the token again before it answers', async () => {
    const fleet = createFleet()
    const one = fleet.replica('one')
    const session = fleet.session()
    fleet.provider.away.is = true
    for (let tries = 0; tries < 4; tries += 1) {
      expect(await finish(fleet, ask(fleet, one, session))).toBe('provider.unavailable')
      await fleet.clock.advance(seconds(60))
    }
    expect(fleet.provider.sends).toHaveLength(1)
    fleet.provider.away.is = false
    expect(await finish(fleet, ask(fleet, one, session))).toBe('issued')
    expect(fleet.provider.sends).toHaveLength(2)
  })

  it('grace: the one attempt that is made within it saves the session', async () => {
    const fleet = createFleet({ rotation: 'grace' })
    const session = await crashAfterSending(fleet, 'refresh:after')
    expect(await finish(fleet, ask(fleet, fleet.replica('two'), session))).toBe('issued')
    expect(fleet.provider.sends).toHaveLength(2)
    expect(fleet.provider.isAlive(refreshTokenOf(fleet, session))).toBe(true)
  })

  it('grace: when that one gets lost as well, nobody makes a second one', async () => {
    const fleet = createFleet({ rotation: 'grace' })
    const session = await crashAfterSending(fleet, 'refresh:before')
    const two = fleet.replica('two')
    fleet.provider.answerNext({ kind: 'unavailable', sent: 'unknown', retryAfter: seconds(1), cause: 'timeout' })
    expect(await finish(fleet, ask(fleet, two, session))).toBe('provider.unavailable')
    await fleet.clock.advance(seconds(60))
    expect(await finish(fleet, ask(fleet, two, session))).toBe('session.refresh-lost')
    expect(fleet.provider.sends).toHaveLength(2)
  })

  it('grace: a provider that stalls is not asked with the token again before it answers', async () => {
    const fleet = createFleet({ rotation: 'grace' })
    const one = fleet.replica('one')
    const session = fleet.session()
    fleet.provider.away.is = true
    expect(await finish(fleet, ask(fleet, one, session))).toBe('provider.unavailable')
    await fleet.clock.advance(seconds(60))
    expect(await finish(fleet, ask(fleet, one, session))).toBe('provider.unavailable')
    expect(fleet.provider.sends).toHaveLength(1)
  })

  // The recovery was throttled, its mark cleared; the next send was taken for a first one, and the session ended as if the user had been thrown out.
  it('a recovery that the provider did not look at is still to be made, and what it comes to is told by its own reason', async () => {
    const fleet = createFleet({ rotation: 'strict' })
    const session = await crashAfterSending(fleet, 'refresh:after')
    const two = fleet.replica('two')
    fleet.provider.answerNext({ kind: 'unavailable', sent: 'answered', retryAfter: seconds(2), cause: 'throttled' })
    expect(await finish(fleet, ask(fleet, two, session))).toBe('provider.unavailable')
    await fleet.clock.advance(seconds(10))
    expect(await finish(fleet, ask(fleet, two, session))).toBe('session.refresh-lost')
  })

  it('tolerant: spends again, as often as it takes', async () => {
    const fleet = createFleet({ rotation: 'tolerant' })
    const session = await crashAfterSending(fleet, 'refresh:after')
    const two = fleet.replica('two')
    fleet.provider.loseNext()
    expect(await finish(fleet, ask(fleet, two, session))).toBe('provider.unavailable')
    await fleet.clock.advance(seconds(10))
    expect(await finish(fleet, ask(fleet, two, session))).toBe('issued')
    expect(fleet.provider.sends).toHaveLength(3)
  })

  it('uses the save of a sender that was only slow', async () => {
    const fleet = createFleet()
    const [one, two] = [fleet.replica('one'), fleet.replica('two')]
    const session = fleet.session()
    const beforeSave = one.store.gates.stop('save:before')
    const first = ask(fleet, one, session)
    await beforeSave.reached
    fleet.shared.dropLease(session.ref) // it paused so long that its lease ran out
    const second = ask(fleet, two, session)
    await fleet.clock.advance(seconds(3))
    beforeSave.open()
    expect(await Promise.all([first, second])).toEqual(['issued', 'issued']) // woken by the save, before the wait is over
    expect(fleet.provider.sends).toHaveLength(1)
  })

  it('a store that comes and goes every two seconds keeps nobody waiting for ever', async () => {
    const fleet = createFleet()
    const session = await crashAfterSending(fleet, 'refresh:before')
    const two = fleet.replica('two')
    const asked = ask(fleet, two, session)
    let done = false
    void asked.finally(() => {
      done = true
    })
    for (let blink = 0; !done && blink < 20; blink += 1) {
      await fleet.clock.advance(seconds(2))
      two.store.setReachable(false)
      two.store.setReachable(true)
    }
    expect(done, 'an ask waits for ever').toBe(true)
    expect(await asked).toBe('store.unavailable')
    expect(fleet.provider.sends).toHaveLength(1)
    // Nothing was used up by it: the recovery is still to be had.
    expect(await finish(fleet, ask(fleet, two, session))).toBe('issued')
  })

  it('waits three seconds after its own store came back, for the save that a sender still keeps in memory', async () => {
    const fleet = createFleet({ requestTimeoutMs: seconds(1) })
    const [one, two] = [fleet.replica('one'), fleet.replica('two')]
    const session = fleet.session()
    const beforeSave = one.store.gates.stop('save:before')
    const first = ask(fleet, one, session)
    await beforeSave.reached
    for (const { store } of [one, two]) store.setReachable(false)
    beforeSave.open()
    await fleet.clock.advance(seconds(30))
    expect(await first).toBe('store.unavailable')
    two.store.setReachable(true)
    fleet.shared.dropLease(session.ref)
    const second = ask(fleet, two, session)
    await fleet.clock.advance(seconds(1.5)) // the sender's timeout has long passed
    expect(fleet.provider.sends).toHaveLength(1)
    one.store.setReachable(true)
    expect(await finish(fleet, second)).toBe('issued')
    expect(fleet.provider.sends).toHaveLength(1)
  })
})

describe('a save that the store does not take', () => {
  it('is retried from memory, and until then nobody here sends the spent refresh token again', async () => {
    const fleet = createFleet()
    const one = fleet.replica()
    const session = fleet.session()
    const beforeSave = one.store.gates.stop('save:before')
    const first = ask(fleet, one, session)
    await beforeSave.reached
    one.store.setReachable(false)
    beforeSave.open()
    await fleet.clock.advance(seconds(2))
    expect(await first).toBe('store.unavailable')
    expect(await finish(fleet, ask(fleet, one, session))).toBe('store.unavailable')
    expect(fleet.provider.sends).toHaveLength(1)
    one.store.setReachable(true)
    await fleet.clock.advance(seconds(2))
    expect(await finish(fleet, ask(fleet, one, session))).toBe('issued')
    expect(fleet.provider.sends).toHaveLength(1)
    expect(fleet.provider.isAlive(refreshTokenOf(fleet, session))).toBe(true)
  })

  it('holds back the spent token also while only saves fail, however long ago it was sent', async () => {
    const fleet = createFleet({ requestTimeoutMs: seconds(1) })
    const one = fleet.replica()
    const session = fleet.session()
    const { save } = one.store
    Object.assign(one.store, { save: async () => ({ kind: 'unavailable' }) })
    expect(await finish(fleet, ask(fleet, one, session))).toBe('store.unavailable')
    await fleet.clock.advance(seconds(20)) // the mark is old, and the connection was never lost
    expect(await finish(fleet, ask(fleet, one, session))).toBe('store.unavailable')
    Object.assign(one.store, { save })
    expect(await finish(fleet, ask(fleet, one, session))).toBe('issued')
    expect(fleet.provider.sends).toHaveLength(1)
  })

  it('serves those who wait when the store comes back within the second', async () => {
    const fleet = createFleet()
    const one = fleet.replica()
    const session = fleet.session()
    const beforeSave = one.store.gates.stop('save:before')
    const first = ask(fleet, one, session)
    await beforeSave.reached
    one.store.setReachable(false)
    beforeSave.open()
    await settle()
    one.store.setReachable(true)
    expect(await finish(fleet, first)).toBe('issued')
  })

  it('revokes the new refresh token when the session is found ended at last', async () => {
    const fleet = createFleet()
    const one = fleet.replica()
    const session = fleet.session()
    const beforeSave = one.store.gates.stop('save:before')
    const first = ask(fleet, one, session)
    await beforeSave.reached
    one.store.setReachable(false)
    beforeSave.open()
    await fleet.clock.advance(seconds(2))
    await first
    fleet.shared.end(session.ref, 'admin')
    one.store.setReachable(true)
    await fleet.clock.advance(seconds(2))
    expect(fleet.provider.revoked).toHaveLength(1)
    expect(await finish(fleet, ask(fleet, one, session))).toBe('session.ended')
  })

  it('takes a save whose answer was lost as its own', async () => {
    const fleet = createFleet()
    const one = fleet.replica()
    const session = fleet.session()
    const save = one.store.save
    let lost = 0
    Object.assign(one.store, {
      save: async (...args: Parameters<typeof save>) => {
        const saved = await save(...args)
        return lost++ === 0 ? { kind: 'unavailable' } : saved
      },
    })
    expect(await finish(fleet, ask(fleet, one, session))).toBe('issued')
    expect(fleet.provider.revoked).toEqual([])
    expect(fleet.provider.sends).toHaveLength(1)
  })

  it('is waited for at shutdown, for as long as allowed', async () => {
    const fleet = createFleet()
    const one = fleet.replica()
    const session = fleet.session()
    const beforeSave = one.store.gates.stop('save:before')
    const first = ask(fleet, one, session)
    await beforeSave.reached
    one.store.setReachable(false)
    beforeSave.open()
    await fleet.clock.advance(seconds(2))
    await first
    expect(await finish(fleet, one.broker.drain(seconds(3)))).toBe(false)
    const drained = one.broker.drain(seconds(30))
    one.store.setReachable(true)
    expect(await finish(fleet, drained)).toBe(true)
    expect(fleet.provider.isAlive(refreshTokenOf(fleet, session))).toBe(true)
  })
})

it('answers everybody when a port breaks its promise and throws', async () => {
  const fleet = createFleet()
  const one = fleet.replica()
  const session = fleet.session()
  const broken = (): Promise<never> => Promise.reject(new Error('canary-rt-in-an-exception'))
  Object.assign(one.store, { markSpending: broken })
  expect(await finish(fleet, ask(fleet, one, session))).toBe('provider.unavailable')
  expect(fleet.lines.join('\n')).toContain('error refresh failed unexpectedly')
  expect(fleet.lines.join('\n')).not.toContain('canary')
})

it('leaves no token in log, audit or metrics', async () => {
  const fleet = createFleet()
  const one = fleet.replica()
  const session: Session = fleet.session()
  const held: HeldSession = fleet.held(session)
  expect(await finish(fleet, one.broker.user(held, the.orders).then(wordOf))).toBe('issued')
  fleet.provider.violateNext('session')
  await finish(fleet, one.broker.user(fleet.held(fleet.shared.read(session.ref) as Session), the.invoices))
  await finish(fleet, one.broker.drain(seconds(1)))
  expect(fleet.provider.revoked).toHaveLength(1)
  const told = JSON.stringify([fleet.lines, fleet.audit, fleet.counted])
  expect(told).toContain(session.ref) // the search sees what was told
  expect(told).not.toContain('canary')
})
