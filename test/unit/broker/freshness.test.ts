import { expect, it } from 'vitest'
import { answeredBy, isConfirmed, isConfirmedWithin, isGood, isInLastFifth, isUnexpired } from '../../../src/broker/freshness.ts'
import { after, instant, type Millis, millis, minutes, seconds } from '../../../src/kernel/time.ts'
import { a, the } from '../../harness/the.ts'

it.each`
  lifeSeconds | leftSeconds | good     | lastFifth | unexpired | because
  ${3600}     | ${3000}     | ${true}  | ${false}  | ${true}   | ${'young'}
  ${3600}     | ${719}      | ${true}  | ${true}   | ${true}   | ${'in the last fifth it is served and renewed behind'}
  ${3600}     | ${31}       | ${true}  | ${true}   | ${true}   | ${'the margin is 30 s at most'}
  ${3600}     | ${30}       | ${false} | ${true}   | ${true}   | ${'within the margin only an outage makes it good enough'}
  ${60}       | ${7}        | ${true}  | ${true}   | ${true}   | ${'a short life has a short margin: a tenth'}
  ${60}       | ${6}        | ${false} | ${true}   | ${true}   | ${'within a tenth'}
  ${60}       | ${1}        | ${false} | ${true}   | ${false}  | ${'expires on the way'}
  ${60}       | ${-1}       | ${false} | ${true}   | ${false}  | ${'expired'}
  ${0}        | ${0}        | ${false} | ${false}  | ${false}  | ${'expires_in of zero is never served from the store'}
`('a token of $lifeSeconds s with $leftSeconds s left: $because', ({ lifeSeconds, leftSeconds, good, lastFifth, unexpired }) => {
  const token = a.accessToken({ expiresAt: after(the.now, seconds(lifeSeconds)) })
  const now = after(token.expiresAt, seconds(-leftSeconds))
  expect({ good: isGood(token, now), lastFifth: isInLastFifth(token, now), unexpired: isUnexpired(token, now) }).toEqual({
    good,
    lastFifth,
    unexpired,
  })
})

const token = a.accessToken()
const session = a.session({ tokens: [token], rtGen: 4 })
const late = after(the.now, seconds(250))
const unconfirmed = after(the.now, minutes(4))

it.each`
  need                                | now            | recheckMs      | answered | because
  ${{ kind: 'token' }}                | ${the.now}     | ${minutes(60)} | ${true}  | ${'good and confirmed'}
  ${{ kind: 'token' }}                | ${unconfirmed} | ${minutes(3)}  | ${false} | ${'good, but the provider has not confirmed the user for too long'}
  ${{ kind: 'ahead' }}                | ${the.now}     | ${minutes(60)} | ${true}  | ${'young enough'}
  ${{ kind: 'ahead' }}                | ${late}        | ${minutes(60)} | ${false} | ${'in its last fifth'}
  ${{ kind: 'confirmed' }}            | ${unconfirmed} | ${minutes(3)}  | ${false} | ${'recheck is over'}
  ${{ kind: 'confirmed' }}            | ${unconfirmed} | ${minutes(5)}  | ${true}  | ${'recheck is not over'}
  ${{ kind: 'forced', seenRtGen: 4 }} | ${the.now}     | ${minutes(60)} | ${false} | ${'what the caller has seen does not count'}
  ${{ kind: 'forced', seenRtGen: 3 }} | ${the.now}     | ${minutes(60)} | ${true}  | ${'renewed since the caller looked'}
`('$need is answered: $answered, $because', ({ need, now, recheckMs, answered }) => {
  expect(answeredBy(session, the.orders, need, recheckMs, now) !== undefined).toBe(answered)
})

it('never answers an ask with the token of another', () => {
  expect(answeredBy(session, the.invoices, { kind: 'token' }, minutes(60), the.now)).toBeUndefined()
})

it('takes a confirmation from a clock that runs ahead as fresh', () => {
  expect(isConfirmedWithin(a.session({ grant: { confirmedAt: after(the.now, seconds(5)) } }), millis(0), the.now)).toBe(true)
})

it.each`
  life       | left    | good     | because
  ${300_000} | ${31e3} | ${true}  | ${'more than 30 s are left'}
  ${300_000} | ${30e3} | ${false} | ${'a tenth of its life is not enough to begin with'}
  ${10_000}  | ${2001} | ${true}  | ${'two seconds are left even after rounding'}
  ${10_000}  | ${1500} | ${false} | ${'exp is in whole seconds: an upstream may see it expired already'}
  ${2_000}   | ${1001} | ${true}  | ${'half of a very short life is used'}
  ${2_000}   | ${1000} | ${false} | ${'the second half of a very short life is not'}
`('of $life ms with $left ms left is good: $good, $because', ({ life, left, good }) => {
  const issuedAt = instant(1_000_000)
  const expiresAt = after(issuedAt, millis(life))
  expect(isGood(a.accessToken({ issuedAt, expiresAt }), instant(expiresAt - left))).toBe(good)
})

// Keycloak's SSO idle is 30 minutes, and every refresh starts it anew: an hour between two of them signs out somebody at work.
it.each`
  refreshLife     | recheck        | after          | confirmed | because
  ${minutes(30)}  | ${minutes(60)} | ${minutes(15)} | ${true}   | ${'half of what the refresh token has'}
  ${minutes(30)}  | ${minutes(60)} | ${minutes(16)} | ${false}  | ${'the other half is for the refresh'}
  ${minutes(600)} | ${minutes(60)} | ${minutes(60)} | ${true}   | ${'the setting is the most'}
  ${minutes(600)} | ${minutes(60)} | ${minutes(61)} | ${false}  | ${'the setting is the most'}
  ${undefined}    | ${minutes(60)} | ${minutes(60)} | ${true}   | ${'the provider says nothing of an end'}
  ${seconds(10)}  | ${minutes(60)} | ${seconds(60)} | ${true}   | ${'near its end for good it is not asked ever more often'}
  ${seconds(10)}  | ${seconds(30)} | ${seconds(31)} | ${false}  | ${'the setting is the most'}
`(
  '$after after a refresh, with $refreshLife of life and recheck $recheck: $confirmed, $because',
  ({ refreshLife, recheck, after: later, confirmed }) => {
    const refreshEndsAt = refreshLife === undefined ? undefined : after(the.now, refreshLife as Millis)
    const session = a.session({ grant: { confirmedAt: the.now, refreshEndsAt } })
    expect(isConfirmed(session, recheck as Millis, after(the.now, later as Millis))).toBe(confirmed)
  },
)
