import type { ConfigCode } from '../../../src/config/codes.ts'
import { c, tokenRoute, type Case } from './finding-case.ts'

const ALLOW = '    allow: '
const ALLOW_LINE = 10
const KINDS = 'signed_in, or a mapping of roles, groups, scopes, claims, tenant, clients, any_of, all_of'

/** @param marked the rule; the caret stands at `«`, which is taken out. Without one, under the key `allow`. */
const rule = (code: ConfigCode, because: string, marked: string, under: string, fix: string): Case => {
  const at = marked.indexOf('«')
  const place = at < 0 ? `${ALLOW_LINE}:5` : `${ALLOW_LINE}:${ALLOW.length + at + 1}`
  const text = tokenRoute('{ principal: app, audience: a }', `${ALLOW}${marked.replace('«', '')}`)
  return c(code, `a rule: ${because}`, text, place, under, fix)
}

const nested = (levels: number): string => (levels === 0 ? 'signed_in' : `{ any_of: [${nested(levels - 1)}] }`)
/** `{ any_of: [` nine times, then what is too deep. */
const tooDeep = `${'{ any_of: ['.repeat(9)}«${nested(1)}${'] }'.repeat(9)}`

/** Rules of the wrong shape: none of them may start a gateway that reads them as something. */
export const RULE_CASES: readonly Case[] = [
  rule('config.value-invalid', 'a word that is none', '«everyone', 'everyone', `Expected: ${KINDS}`),
  rule('config.value-invalid', 'a typing error', '«signed-in', 'signed-in', 'Did you mean `signed_in`?'),
  rule('config.value-type', 'true', '«true', 'true', `Expected: ${KINDS}`),
  rule('config.value-type', 'nothing', '«null', 'null', `Expected: ${KINDS}`),
  rule('config.value-type', 'a list, which could mean any or all', '[signed_in]', 'allow', `Expected: ${KINDS}`),
  rule('config.value-type', 'one role, not a list', '{ roles: «admin }', '***', 'Expected: a list'),
  rule('config.value-type', 'a number among roles', '{ roles: [admin, «1] }', '1', 'Expected: a role, in quotes'),
  rule('config.value-type', 'nothing among groups', '{ groups: [g1, «null] }', 'null', 'Expected: a group'),
  rule('config.value-invalid', 'no roles', '{ «roles: [] }', 'roles', 'Name at least one'),
  rule('config.value-invalid', 'no rules', '{ «any_of: [] }', 'any_of', 'Name at least one'),
  rule('config.value-invalid', 'no rules deep inside', '{ any_of: [{ «all_of: [] }] }', 'all_of', 'Name at least one'),
  rule('config.value-invalid', 'no tenant', '{ all_of: [signed_in, { «tenant: [] }] }', 'tenant', 'Name at least one'),
  rule('config.value-type', 'a number for a tenant', '{ tenant: «7 }', '7', 'Expected: a tenant, or a list'),
  rule('config.value-invalid', 'two scopes in one', '{ scopes: [«"a b"] }', '"a b"', 'one scope per entry'),
  rule(
    'config.value-type',
    'a claim that should equal a mapping',
    '{ claims: { «dept: { is: it } } }',
    'dept',
    'Expected: a single value, or a list',
  ),
  rule(
    'config.value-type',
    'a claim that should equal a list of lists',
    '{ claims: { «dept: [[it]] } }',
    'dept',
    'a single value, or a list',
  ),
  rule('config.value-type', 'a claim that should equal nothing', '{ claims: { dept: «null } }', 'null', 'Expected: a single value'),
  rule('config.value-invalid', 'a claim with no values', '{ claims: { «dept: [] } }', 'dept', 'Name at least one'),
  rule('config.value-type', 'claims as a list', '{ «claims: [dept] }', 'claims', 'Expected: a mapping'),
  rule('config.allow-choice', 'no claims', '{ claims: {} }', 'allow', 'any_of'),
  rule('config.allow-choice', 'two conditions deep inside', '{ all_of: [{ any_of: [«{ roles: [a], groups: [b] }] }] }', '{', 'any_of'),
  rule('config.key-unknown', 'a condition that there is not', '{ «user: ada }', 'user', 'Known here: roles, groups'),
  rule('config.key-unknown', 'a word as a condition', '{ «signed_in: true }', 'signed_in', 'Known here: roles, groups'),
  rule('config.key-unknown', 'there is no "not"', '{ all_of: [{ «not: { roles: [a] } }] }', 'not', 'Known here: roles, groups'),
  rule('config.key-forbidden', 'a prototype key', '{ claims: { «__proto__: x } }', '***', 'another name'),
  rule('config.value-type', 'one rule, not a list', '{ all_of: «signed_in }', '***', 'Expected: a list'),
  rule('config.value-type', 'nothing among rules', '{ any_of: [signed_in, «null] }', 'null', `Expected: ${KINDS}`),
  rule('config.allow-too-deep', 'nested beyond reading', tooDeep, '{', 'fewer levels'),
]
