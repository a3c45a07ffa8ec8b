import { describe, expect, it } from 'vitest'
import type { Allow } from '../../../src/domain/route.ts'
import { compileForApplications } from '../../../src/policy/decide-application.ts'
import { compileAllow, type Asking } from '../../../src/policy/decide.ts'

const SOURCES = [['roles']]
const asking = (clientId: string | undefined, roles: readonly string[] = []): Asking => ({
  grant: { claims: { sub: clientId ?? 'ada', roles }, scopes: ['jobs.run'] },
  card: { tenant: 't1' },
  clientId,
})
const clients: Allow = { kind: 'client', anyOf: ['nightly', 'billing'] }
const admin: Allow = { kind: 'role', anyOf: ['admin'] }
const jobs: Allow = { kind: 'scope', anyOf: ['jobs.run'] }
const signedIn: Allow = { kind: 'signed-in' }
const anyOf = (...rules: Allow[]): Allow => ({ kind: 'any-of', rules })
const allOf = (...rules: Allow[]): Allow => ({ kind: 'all-of', rules })

describe('an application is let in only where the rule names it', () => {
  it.each<[string, Allow, Asking, boolean]>([
    ['named', clients, asking('nightly'), true],
    ['another one', clients, asking('daily'), false],
    ['one without a name', clients, asking(undefined), false],
    ['in other letters', clients, asking('Nightly'), false],
    ['signed_in is for people', signedIn, asking('nightly'), false],
    ['a role it happens to have', admin, asking('nightly', ['admin']), false],
    ['a scope it happens to have', jobs, asking('nightly'), false],
    ['a tenant it belongs to', { kind: 'tenant', anyOf: ['t1'] }, asking('nightly'), false],
    ['people, or this application', anyOf(signedIn, clients), asking('nightly'), true],
    ['people, or another application', anyOf(signedIn, clients), asking('daily'), false],
    ['a role or its name, by the role alone', anyOf(admin, clients), asking('daily', ['admin']), false],
    ['its name and a scope', allOf(clients, jobs), asking('nightly'), true],
    ['its name and a role it has not', allOf(clients, admin), asking('nightly'), false],
    ['its name and signed_in, which no application fulfils', allOf(clients, signedIn), asking('nightly'), false],
    ['roles all the way down', allOf(jobs, anyOf(admin, jobs)), asking('nightly', ['admin']), false],
    ['its name deep inside', allOf(jobs, anyOf(admin, clients)), asking('nightly'), true],
    ['an empty any_of', anyOf(), asking('nightly'), false],
    ['an empty all_of', allOf(), asking('nightly'), false],
  ])('%s', (_what, allow, who, isIn) => {
    const decision = compileForApplications(allow, SOURCES)(who)
    expect(decision).toEqual(isIn ? { effect: 'forward' } : { effect: 'refuse', code: 'policy.denied', rule: 'client' })
  })
})

it('a user is let in by `clients` through a listed application, and a session never is', () => {
  expect(compileAllow(clients, SOURCES)(asking('nightly')).effect).toBe('forward')
  expect(compileAllow(clients, SOURCES)(asking('daily')).effect).toBe('refuse')
  expect(compileAllow(clients, SOURCES)(asking(undefined)).effect).toBe('refuse')
})
