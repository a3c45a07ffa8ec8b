import type { CallerKind } from '../domain/caller.ts'
import type { Allow } from '../domain/route.ts'
import type { Json } from '../domain/token.ts'
import { assertNever } from '../kernel/assert.ts'
import type { RoleSource } from './decide.ts'

/** The words of one kind of rule; `explain` and docs/policy.md say the same because both say this. */
export interface RuleWords {
  /** As written under `allow`. */
  readonly setting: string
  readonly holds: string
  readonly reads: string
}

export const RULE_WORDS = {
  'signed-in': { setting: 'signed_in', holds: 'always, for a user', reads: 'nothing' },
  role: {
    setting: 'roles',
    holds: 'one of the listed roles is among the user’s',
    reads: 'the ID token, at the places of the profile (below)',
  },
  group: {
    setting: 'groups',
    holds: 'one of the listed groups is among the user’s; too many groups to list: refused',
    reads: 'the ID token’s `groups`, a list of strings',
  },
  scope: { setting: 'scopes', holds: 'one of the listed scopes was granted', reads: 'what the provider granted at the sign-in' },
  claim: {
    setting: 'claims',
    holds: 'each named claim equals one of its values, or is a list that contains one; `1` is not `"1"`',
    reads: 'the ID token',
  },
  tenant: { setting: 'tenant', holds: 'the user belongs to one of the listed tenants', reads: 'the verified `tid` of the sign-in' },
  client: {
    setting: 'clients',
    holds: 'the caller’s access token was issued to one of the listed applications; never for a session',
    reads: 'the caller’s access token: `client_id`, `azp`, `appid` or `cid`',
  },
  'any-of': { setting: 'any_of', holds: 'at least one of the rules inside holds', reads: 'what they read' },
  'all-of': { setting: 'all_of', holds: 'all of the rules inside hold', reads: 'what they read' },
} as const satisfies Record<Allow['kind'], RuleWords>

type Callers = readonly CallerKind[]
const SESSIONS: Callers = ['session']

/** Who gets in, as one sentence part: "anyone signed in who has the role admin or (is in the group g1 and …)". */
export const allowText = (allow: Allow | undefined, callers = SESSIONS): string => {
  if (allow === undefined) return 'anyone, signed in or not'
  return allow.kind === 'signed-in' ? whoIn(allow, callers).replace(/,$/, '') : `${whoIn(allow, callers)} who ${clause(allow)}`
}

/** Applications are not signed in, and users with an access token are so elsewhere. */
const whoIn = (allow: Allow, callers: Callers): string => {
  if (namesClients(allow)) return 'any caller'
  if (!callers.includes('bearer')) return 'anyone signed in'
  return callers.includes('session') ? 'anyone signed in, or with a user’s access token,' : 'anyone with a user’s access token'
}
const namesClients = (allow: Allow): boolean =>
  allow.kind === 'client' || ((allow.kind === 'any-of' || allow.kind === 'all-of') && allow.rules.some(namesClients))

const clause = (allow: Allow): string => {
  switch (allow.kind) {
    case 'signed-in':
      return 'is signed in'
    case 'role':
      return `has ${oneOf('the role', 'the roles', allow.anyOf)}`
    case 'group':
      return `is in ${oneOf('the group', 'the groups', allow.anyOf)}`
    case 'scope':
      return `was granted ${oneOf('the scope', 'the scopes', allow.anyOf)}`
    case 'tenant':
      return `belongs to ${oneOf('the tenant', 'the tenants', allow.anyOf)}`
    case 'client':
      return `calls through ${oneOf('the application', 'the applications', allow.anyOf)}`
    case 'claim':
      return `has the claim ${word(allow.name)} equal to ${allow.anyOf.length === 1 ? '' : 'one of '}${allow.anyOf.map(value).join(', ')}`
    case 'any-of':
      return joined(allow.rules, ' or ')
    case 'all-of':
      return joined(allow.rules, ' and ')
    default:
      return assertNever(allow)
  }
}

/** Nobody passes an empty rule; the settings refuse one, and should one come all the same, this is what it does. */
const NOBODY = 'is nobody at all'

const joined = (rules: readonly Allow[], by: string): string => {
  const [only] = rules
  if (only === undefined) return NOBODY
  if (rules.length === 1) return clause(only)
  return rules.map((rule) => (isCompound(rule) ? `(${clause(rule)})` : clause(rule))).join(by)
}
const isCompound = (rule: Allow): boolean => (rule.kind === 'any-of' || rule.kind === 'all-of') && rule.rules.length > 1

const oneOf = (one: string, many: string, names: readonly string[]): string => {
  const [only] = names
  if (only === undefined) return `${one} of an empty list, which is nobody’s`
  return names.length === 1 ? `${one} ${word(only)}` : `one of ${many} ${names.map(word).join(', ')}`
}

/** In quotes where it would not stand for itself. */
const word = (name: string): string => (/^[\w.:/@-]+$/.test(name) ? name : JSON.stringify(name))
const value = (wanted: Json): string => JSON.stringify(wanted)

/** The same as lines for a terminal: one per condition, two blanks deeper per nesting. */
export const allowLines = (allow: Allow | undefined, callers = SESSIONS): readonly string[] => {
  if (allow === undefined || !isCompound(allow)) return [allowText(allow, callers)]
  return [`${whoIn(allow, callers)} who fulfils ${heading(allow)}`, ...inner(allow, '  ')]
}

const inner = (allow: Allow, indent: string): readonly string[] =>
  allow.kind === 'any-of' || allow.kind === 'all-of'
    ? allow.rules.flatMap((rule) =>
        isCompound(rule) ? [`${indent}- ${heading(rule)}`, ...inner(rule, `${indent}  `)] : [`${indent}- ${clause(rule)}`],
      )
    : []
const heading = (allow: Allow): string => (allow.kind === 'any-of' ? 'any of:' : 'all of:')

/** As it would be written in the settings. */
export const allowRule = (allow: Allow): Json => {
  const { setting } = RULE_WORDS[allow.kind]
  switch (allow.kind) {
    case 'signed-in':
      return setting
    case 'claim':
      return { [setting]: { [allow.name]: allow.anyOf } }
    case 'role':
    case 'group':
    case 'scope':
    case 'tenant':
    case 'client':
      return { [setting]: allow.anyOf }
    case 'any-of':
    case 'all-of':
      return { [setting]: allow.rules.map(allowRule) }
    default:
      return assertNever(allow)
  }
}

/** Where the answer is looked up, each place once: `ID token: groups`. */
export const allowReads = (allow: Allow | undefined, sources: readonly RoleSource[], callers = SESSIONS): readonly string[] => {
  if (allow === undefined) return []
  const either = (ofSession: string, ofBearer: string): string =>
    callers.map((caller) => ({ session: ofSession, bearer: ofBearer })[caller]).join(' or ')
  const claims = either('ID token', 'access token')
  switch (allow.kind) {
    case 'signed-in':
      return []
    case 'role':
      return sources.map((source) => `${claims}: ${roleSourceText(source)}`)
    case 'group':
      return [`${claims}: groups`]
    case 'claim':
      return [`${claims}: ${word(allow.name)}`]
    case 'scope':
      return [`scopes ${either('granted at the sign-in', 'of the access token')}`]
    case 'tenant':
      return [`tenant ${either('of the sign-in', 'of the access token')}`]
    case 'client':
      return ['the caller’s access token']
    case 'any-of':
    case 'all-of':
      return [...new Set(allow.rules.flatMap((rule) => allowReads(rule, sources, callers)))]
    default:
      return assertNever(allow)
  }
}

export const roleSourceText = (source: RoleSource): string => source.map(word).join('.')
