import { describe, expect, it } from 'vitest'
import type { Allow } from '../../../src/domain/route.ts'
import { roleSources } from '../../../src/policy/decide.ts'
import { allowLines, allowReads, allowRule, allowText } from '../../../src/policy/explain.ts'
import { loaded } from '../config/a-config.ts'
import { tokenRoute } from '../config/finding-case.ts'

const admin: Allow = { kind: 'role', anyOf: ['admin'] }
const staff: Allow = { kind: 'group', anyOf: ['/staff', 'all hands'] }
const scope: Allow = { kind: 'scope', anyOf: ['orders.read'] }
const dept: Allow = { kind: 'claim', name: 'dept', anyOf: ['it', 7] }
const signedIn: Allow = { kind: 'signed-in' }
const anyOf = (...rules: Allow[]): Allow => ({ kind: 'any-of', rules })
const allOf = (...rules: Allow[]): Allow => ({ kind: 'all-of', rules })

describe('a rule reads as one sentence that can be understood in one way', () => {
  it.each<[Allow | undefined, string]>([
    [undefined, 'anyone, signed in or not'],
    [signedIn, 'anyone signed in'],
    [admin, 'anyone signed in who has the role admin'],
    [{ kind: 'role', anyOf: ['admin', 'ops'] }, 'anyone signed in who has one of the roles admin, ops'],
    [staff, 'anyone signed in who is in one of the groups /staff, "all hands"'],
    [scope, 'anyone signed in who was granted the scope orders.read'],
    [{ kind: 'tenant', anyOf: ['t1'] }, 'anyone signed in who belongs to the tenant t1'],
    [dept, 'anyone signed in who has the claim dept equal to one of "it", 7'],
    [{ kind: 'claim', name: 'a b', anyOf: [true] }, 'anyone signed in who has the claim "a b" equal to true'],
    [{ kind: 'claim', name: 'n', anyOf: ['7'] }, 'anyone signed in who has the claim n equal to "7"'],
    [anyOf(admin, scope), 'anyone signed in who has the role admin or was granted the scope orders.read'],
    [allOf(admin), 'anyone signed in who has the role admin'],
    [
      anyOf(allOf(admin, scope), dept),
      'anyone signed in who (has the role admin and was granted the scope orders.read) or has the claim dept equal to one of "it", 7',
    ],
    [
      allOf(anyOf(admin, scope), dept),
      'anyone signed in who (has the role admin or was granted the scope orders.read) and has the claim dept equal to one of "it", 7',
    ],
    [anyOf(signedIn, admin), 'anyone signed in who is signed in or has the role admin'],
    [anyOf(), 'anyone signed in who is nobody at all'],
    [{ kind: 'role', anyOf: [] }, 'anyone signed in who has the role of an empty list, which is nobody’s'],
  ])('%j', (allow, text) => {
    expect(allowText(allow)).toBe(text)
  })
})

it('a nested rule is told with one condition per line, deeper where it is deeper', () => {
  expect(allowLines(allOf(admin, anyOf(staff, allOf(scope, dept))))).toEqual([
    'anyone signed in who fulfils all of:',
    '  - has the role admin',
    '  - any of:',
    '    - is in one of the groups /staff, "all hands"',
    '    - all of:',
    '      - was granted the scope orders.read',
    '      - has the claim dept equal to one of "it", 7',
  ])
  expect(allowLines(admin)).toEqual([allowText(admin)])
})

it('says of callers with an access token that they get in, and that their token is what is looked at', () => {
  expect(allowText(signedIn, ['session', 'bearer'])).toBe('anyone signed in, or with a user’s access token')
  expect(allowText(signedIn, ['bearer'])).toBe('anyone with a user’s access token')
  expect(allowText(admin, ['session', 'bearer'])).toBe('anyone signed in, or with a user’s access token, who has the role admin')
  expect(allowLines(allOf(admin, staff), ['bearer'])[0]).toBe('anyone with a user’s access token who fulfils all of:')
  expect(allowText(anyOf(admin, { kind: 'client', anyOf: ['nightly'] }), ['bearer'])).toBe(
    'any caller who has the role admin or calls through the application nightly',
  )
  const reads = (callers: readonly ('session' | 'bearer')[]) => allowReads(allOf(staff, scope), [], callers)
  expect(reads(['bearer'])).toEqual(['access token: groups', 'scopes of the access token'])
  expect(reads(['session', 'bearer'])).toEqual(['ID token or access token: groups', 'scopes granted at the sign-in or of the access token'])
})

it('the rule that is told, written into a file again, is the rule', () => {
  for (const allow of [
    signedIn,
    admin,
    staff,
    scope,
    dept,
    { kind: 'tenant', anyOf: ['t1'] } as const,
    allOf(admin, anyOf(staff, allOf(scope, dept))),
  ]) {
    const text = tokenRoute('{ principal: user, audience: a }', `    allow: ${JSON.stringify(allowRule(allow))}`)
    expect(loaded(text).settings.routes[0]?.allow).toEqual(allow)
  }
})

it('says where the answer is looked up, each place once', () => {
  const keycloak = roleSources('keycloak', 'shop')
  expect(allowReads(allOf(admin, anyOf(admin, staff, dept), scope, { kind: 'tenant', anyOf: ['t'] }), keycloak)).toEqual([
    'ID token: roles',
    'ID token: realm_access.roles',
    'ID token: resource_access.shop.roles',
    'ID token: groups',
    'ID token: dept',
    'scopes granted at the sign-in',
    'tenant of the sign-in',
  ])
  expect(allowReads(undefined, keycloak)).toEqual([])
  expect(allowReads(signedIn, keycloak)).toEqual([])
})
