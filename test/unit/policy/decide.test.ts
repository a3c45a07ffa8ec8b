import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Allow } from '../../../src/domain/route.ts'
import type { Session } from '../../../src/domain/session.ts'
import type { Claims, Json } from '../../../src/domain/token.ts'
import { compileAllow, roleSources } from '../../../src/policy/decide.ts'

const session = (claims: Claims, scopes: readonly string[] = [], tenant?: string): Session =>
  ({ grant: { claims, scopes }, card: { tenant } }) as unknown as Session
const KEYCLOAK = roleSources('keycloak', 'shop')
const decide = (allow: Allow, who: Session, sources = roleSources('generic', 'shop')) => compileAllow(allow, sources)(who)
const outcome = (allow: Allow, who: Session, sources?: typeof KEYCLOAK) => {
  const decision = decide(allow, who, sources)
  return decision.effect === 'forward' ? 'forward' : decision.code
}
const admin: Allow = { kind: 'role', anyOf: ['admin'] }
const group: Allow = { kind: 'group', anyOf: ['g1', 'g2'] }
const claim = (...anyOf: Json[]): Allow => ({ kind: 'claim', name: 'dept', anyOf })

describe('a rule lets in exactly whom it names', () => {
  it.each<[string, Allow, Session, 'forward' | 'policy.denied' | 'policy.groups-overage']>([
    ['signed-in lets everyone in', { kind: 'signed-in' }, session({}), 'forward'],
    ['a role in a list', admin, session({ roles: ['user', 'admin'] }), 'forward'],
    ['a role as a string', admin, session({ roles: 'admin' }), 'forward'],
    ['another role', admin, session({ roles: ['user'] }), 'policy.denied'],
    ['no roles', admin, session({}), 'policy.denied'],
    ['a role that only contains the name', admin, session({ roles: ['admins', 'xadmin'] }), 'policy.denied'],
    ['a string of several roles is one unknown role', admin, session({ roles: 'user admin' }), 'policy.denied'],
    ['roles in another case', admin, session({ roles: ['Admin'] }), 'policy.denied'],
    ['a list with something else in it lists nothing', admin, session({ roles: ['admin', 7] }), 'policy.denied'],
    ['roles as an object', admin, session({ roles: { admin: true } }), 'policy.denied'],
    ['roles as a number', admin, session({ roles: 1 }), 'policy.denied'],
    ['roles nested in a list', admin, session({ roles: [['admin']] }), 'policy.denied'],
    ['realm roles are not read outside Keycloak', admin, session({ realm_access: { roles: ['admin'] } }), 'policy.denied'],
    ['a group in the list', group, session({ groups: ['g0', 'g2'] }), 'forward'],
    ['no group of the list', group, session({ groups: ['g0'] }), 'policy.denied'],
    ['no groups', group, session({}), 'policy.denied'],
    ['groups as a string', group, session({ groups: 'g1' }), 'policy.denied'],
    ['groups that did not fit', group, session({ _claim_names: { groups: 'src1' } }), 'policy.groups-overage'],
    ['groups that did not fit, implicit form', group, session({ hasgroups: true }), 'policy.groups-overage'],
    ['some groups and an overage', group, session({ groups: ['g1'], _claim_names: { groups: 'src1' } }), 'policy.groups-overage'],
    ['an overage of something else', group, session({ groups: ['g1'], _claim_names: { roles: 'src1' } }), 'forward'],
    ['groups that did not fit, as text', group, session({ hasgroups: 'true' }), 'policy.groups-overage'],
    ['a word that there is no overage', group, session({ hasgroups: false, groups: ['g1'] }), 'forward'],
    [
      'groups read as a claim are groups all the same',
      { kind: 'claim', name: 'groups', anyOf: ['g1'] },
      session({ _claim_names: { groups: 'src1' } }),
      'policy.groups-overage',
    ],
    ['an overage of groups does not concern another claim', claim('it'), session({ dept: 'it', hasgroups: true }), 'forward'],
    ['an overage does not concern roles', admin, session({ roles: ['admin'], _claim_names: { groups: 'src1' } }), 'forward'],
    ['a scope', { kind: 'scope', anyOf: ['orders.read'] }, session({}, ['openid', 'orders.read']), 'forward'],
    ['a scope claimed, not granted', { kind: 'scope', anyOf: ['orders.read'] }, session({ scope: 'orders.read' }), 'policy.denied'],
    ['a tenant', { kind: 'tenant', anyOf: ['t1'] }, session({}, [], 't1'), 'forward'],
    ['a tenant claimed, not verified', { kind: 'tenant', anyOf: ['t1'] }, session({ tid: 't1' }), 'policy.denied'],
    ['a claim', claim('it'), session({ dept: 'it' }), 'forward'],
    ['a claim in a list', claim('it'), session({ dept: ['hr', 'it'] }), 'forward'],
    ['a number is not its text', claim(1), session({ dept: '1' }), 'policy.denied'],
    ['true is not "true"', claim(true), session({ dept: 'true' }), 'policy.denied'],
    ['null only equals null', claim(null), session({ dept: null }), 'forward'],
    ['an absent claim is not null', claim(null), session({}), 'policy.denied'],
    ['an object equals nothing', claim({ a: 1 }), session({ dept: { a: 1 } }), 'policy.denied'],
    ['a list equals nothing', claim(['it']), session({ dept: [['it']] }), 'policy.denied'],
    ['a claim of the prototype', { kind: 'claim', name: 'constructor', anyOf: [Object.name] }, session({}), 'policy.denied'],
    ['an empty list lets nobody in', { kind: 'role', anyOf: [] }, session({ roles: ['admin'] }), 'policy.denied'],
    ['an empty any-of lets nobody in', { kind: 'any-of', rules: [] }, session({}), 'policy.denied'],
    ['an empty all-of lets nobody in', { kind: 'all-of', rules: [] }, session({}), 'policy.denied'],
    ['any of two', { kind: 'any-of', rules: [admin, group] }, session({ groups: ['g1'] }), 'forward'],
    ['none of two', { kind: 'any-of', rules: [admin, group] }, session({ groups: ['g9'] }), 'policy.denied'],
    [
      'any-of where the groups are unknown',
      { kind: 'any-of', rules: [admin, group] },
      session({ hasgroups: true }),
      'policy.groups-overage',
    ],
    ['any-of that needs no groups', { kind: 'any-of', rules: [group, admin] }, session({ hasgroups: true, roles: ['admin'] }), 'forward'],
    ['both of two', { kind: 'all-of', rules: [admin, group] }, session({ roles: ['admin'], groups: ['g1'] }), 'forward'],
    ['one of both', { kind: 'all-of', rules: [admin, group] }, session({ roles: ['admin'] }), 'policy.denied'],
    [
      'all-of where the groups are unknown',
      { kind: 'all-of', rules: [group, admin] },
      session({ hasgroups: true, roles: ['admin'] }),
      'policy.groups-overage',
    ],
    ['all-of that is denied anyway', { kind: 'all-of', rules: [group, admin] }, session({ hasgroups: true }), 'policy.denied'],
  ])('%s', (_promise, allow, who, expected) => {
    expect(outcome(allow, who)).toBe(expected)
  })

  it.each<[string, Claims, 'forward' | 'policy.denied']>([
    ['realm roles', { realm_access: { roles: ['admin'] } }, 'forward'],
    ['roles of this client', { resource_access: { shop: { roles: ['admin'] } } }, 'forward'],
    ['roles of another client', { resource_access: { account: { roles: ['admin'] } } }, 'policy.denied'],
    ['a realm_access of the wrong type', { realm_access: ['admin'] }, 'policy.denied'],
    ['a resource_access that ends early', { resource_access: { shop: 'admin' } }, 'policy.denied'],
  ])('Keycloak: %s', (_promise, claims, expected) => {
    expect(outcome(admin, session(claims), KEYCLOAK)).toBe(expected)
  })

  it('says which kind of rule refused, and nothing of the user', () => {
    expect(decide(admin, session({ roles: ['secret-role'] }))).toEqual({ effect: 'refuse', code: 'policy.denied', rule: 'role' })
    expect(decide(claim('it'), session({ dept: 'x' }))).toEqual({ effect: 'refuse', code: 'policy.denied', rule: 'claim dept' })
  })
})

describe('whatever the claims are', () => {
  const claims = fc.dictionary(
    fc.constantFrom('roles', 'groups', 'dept', '_claim_names', 'realm_access', 'resource_access', 'hasgroups'),
    fc.jsonValue(),
  )
  it('never throws, and a role is only found where its exact name stands', () => {
    fc.assert(
      fc.property(claims, (held) => {
        const who = session(held as Claims)
        for (const allow of [admin, group, claim('it', 1, null)]) decide(allow, who, KEYCLOAK)
        if (!JSON.stringify(held).includes('"admin"')) expect(outcome(admin, who, KEYCLOAK)).toBe('policy.denied')
      }),
      { numRuns: 2000 },
    )
  })
})
