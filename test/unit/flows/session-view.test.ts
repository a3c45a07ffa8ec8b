import { expect, it } from 'vitest'
import { problemOf } from '../../../src/flows/session-problem.ts'
import { sessionTimers, sessionView } from '../../../src/flows/session-view.ts'
import { after, minutes, seconds } from '../../../src/kernel/time.ts'
import { a, the } from '../../harness/the.ts'

const settings = { idleTimeout: minutes(60), recheck: minutes(60), claims: ['sub', 'name', 'constructor', 'absent'] }

it('shows the listed claims only, and nothing that a prototype brings along', () => {
  const { claims } = sessionView(settings, a.held(), the.now, the.now)
  expect(claims).toEqual({ sub: 'alice', name: 'Alice Liddell' })
  expect(Object.keys(claims)).not.toContain('constructor')
})

it('counts whole seconds to both ends; the idle end never lies behind the absolute one', () => {
  const held = a.held(a.session({ card: { endsAt: after(the.now, minutes(90)) } }))
  const at = after(the.now, minutes(45))
  expect(sessionTimers(settings, held, at, after(at, seconds(0.4) as typeof settings.idleTimeout))).toMatchObject({
    ends_in_seconds: 45 * 60 - 1,
    timeout_in_seconds: 45 * 60 - 1,
    timeout_at: new Date(after(the.now, minutes(90))).toISOString(),
    refreshed_at: new Date(the.now).toISOString(),
    refresh_by: new Date(after(the.now, minutes(60))).toISOString(),
  })
})

it('names the provider’s own end where that comes first, and never one behind the absolute end', () => {
  const timers = (refreshEndsAt: typeof the.now) =>
    sessionTimers(settings, a.held(a.session({ grant: { refreshEndsAt } })), the.now, the.now)
  const early = after(the.now, minutes(30))
  expect(timers(early)).toMatchObject({ timeout_at: new Date(early).toISOString(), refresh_by: new Date(early).toISOString() })
  expect(timers(after(the.now, minutes(90)))).toMatchObject({ timeout_in_seconds: 3600 })
})

it('never shows a negative time', () => {
  const late = after(the.now, minutes(6000))
  expect(sessionTimers(settings, a.held(), the.now, late)).toMatchObject({ ends_in_seconds: 0, timeout_in_seconds: 0 })
})

it.each`
  opened                                       | code
  ${{ kind: 'absent' }}                        | ${'session.absent'}
  ${{ kind: 'unavailable' }}                   | ${'store.unavailable'}
  ${{ kind: 'key-unknown' }}                   | ${'store.key-unknown'}
  ${{ kind: 'ended', reason: 'user' }}         | ${'session.ended'}
  ${{ kind: 'ended', reason: 'idle' }}         | ${'session.ended'}
  ${{ kind: 'ended', reason: 'admin' }}        | ${'session.ended'}
  ${{ kind: 'ended', reason: 'replaced' }}     | ${'session.replaced'}
  ${{ kind: 'ended', reason: 'key-removed' }}  | ${'session.key-removed'}
  ${{ kind: 'ended', reason: 'refresh-lost' }} | ${'session.refresh-lost'}
`('$opened is told as $code', ({ opened, code }) => {
  expect(problemOf(opened)).toBe(code)
})
