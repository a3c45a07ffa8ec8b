import type { ProfileName } from '../domain/profile.ts'
import { PROFILES } from '../domain/profiles/profiles.ts'
import type { Allow } from '../domain/route.ts'
import type { Claims, Json } from '../domain/token.ts'
import { assertNever } from '../kernel/assert.ts'

/** `rule` names the kind of rule that said no, for audit and log; never a value of the user's claims. */
export type Decision =
  | { readonly effect: 'forward' }
  | { readonly effect: 'refuse'; readonly code: 'policy.denied' | 'policy.groups-overage'; readonly rule: string }

/** Who asks, as rules see it; a session is one as it stands. */
export interface Asking {
  readonly grant: { readonly claims: Claims; readonly scopes: readonly string[] }
  readonly card: { readonly tenant: string | undefined }
  /** Through which application, for callers that bring a token of their own. */
  readonly clientId?: string | undefined
}

/** A path of claim names that leads to role names, such as `['realm_access', 'roles']`. */
export type RoleSource = readonly string[]

/** Where the profile has roles, with our own name in the place that is ours. */
export const roleSources = (profile: ProfileName, clientId: string): readonly RoleSource[] =>
  PROFILES[profile].claims.roles.map((path) => path.map((name) => (name === '{client_id}' ? clientId : name)))

/**
 * Compiles a route's rule. Fails closed: a claim of an unexpected type, an empty list and an empty combination let nobody in.
 * Reads the newest ID token's claims, the granted scopes and the card's tenant (of a bearer caller: its verified access token), nothing else of the request.
 */
export const compileAllow = (allow: Allow, sources: readonly RoleSource[]): ((asking: Asking) => Decision) => {
  switch (allow.kind) {
    case 'signed-in':
      return () => FORWARD
    case 'claim':
      return unlessOverage(
        allow.name,
        leaf(`claim ${allow.name}`, ({ grant }) => holdsAny(own(grant.claims, allow.name), allow.anyOf)),
      )
    case 'role':
      return leaf('role', ({ grant }) => sources.some((source) => includesAny(listed(at(grant.claims, source)), allow.anyOf)))
    case 'group':
      return unlessOverage(
        'groups',
        leaf('group', ({ grant }) => {
          const groups = own(grant.claims, 'groups')
          return Array.isArray(groups) && includesAny(listed(groups), allow.anyOf)
        }),
      )
    case 'scope':
      return leaf('scope', ({ grant }) => includesAny(grant.scopes, allow.anyOf))
    case 'tenant':
      return leaf('tenant', ({ card }) => card.tenant !== undefined && allow.anyOf.includes(card.tenant))
    case 'client':
      return leaf('client', ({ clientId }) => clientId !== undefined && allow.anyOf.includes(clientId))
    case 'any-of':
      return anyOf(allow.rules.map((rule) => compileAllow(rule, sources)))
    case 'all-of':
      return allOf(allow.rules.map((rule) => compileAllow(rule, sources)))
    default:
      return assertNever(allow)
  }
}

type Rule = (asking: Asking) => Decision
const FORWARD: Decision = { effect: 'forward' }

const leaf = (rule: string, holds: (asking: Asking) => boolean): Rule => {
  const denied: Decision = { effect: 'refuse', code: 'policy.denied', rule }
  return (asking) => (holds(asking) ? FORWARD : denied)
}

/** Too many groups to list: the token says where to ask for them instead (OIDC Core §5.6.2, Entra "groups overage"). Unknown is not none. */
const unlessOverage = (claim: string, rule: Rule): Rule => {
  if (claim !== 'groups') return rule
  const overage: Decision = { effect: 'refuse', code: 'policy.groups-overage', rule: 'group' }
  return (asking) => (isOverage(asking.grant.claims) ? overage : rule(asking))
}
const isOverage = (claims: Claims): boolean => {
  const has = own(claims, 'hasgroups')
  return (has !== undefined && has !== false) || at(claims, ['_claim_names', 'groups']) !== undefined
}

const anyOf = (rules: readonly Rule[]): Rule => {
  const denied: Decision = { effect: 'refuse', code: 'policy.denied', rule: 'any-of' }
  return (asking) => {
    let refusal = denied
    for (const rule of rules) {
      const decision = rule(asking)
      if (decision.effect === 'forward') return decision
      // The unreadable rule might have let them in: that is what the operator has to hear.
      if (decision.code === 'policy.groups-overage') refusal = decision
    }
    return refusal
  }
}

const allOf = (rules: readonly Rule[]): Rule => {
  const empty: Decision = { effect: 'refuse', code: 'policy.denied', rule: 'all-of' }
  return (asking) => {
    let refusal = rules.length === 0 ? empty : FORWARD
    for (const rule of rules) {
      const decision = rule(asking)
      if (decision.effect === 'forward') continue
      if (decision.code === 'policy.denied') return decision // certain, whatever the unreadable groups are
      refusal = decision
    }
    return refusal
  }
}

const own = (holder: Json | Claims | undefined, name: string): Json | undefined =>
  isObject(holder) && Object.hasOwn(holder, name) ? holder[name] : undefined
const at = (claims: Claims, path: readonly string[]): Json | undefined => path.reduce<Json | undefined>(own, claims)
const isObject = (value: unknown): value is { readonly [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Names of a claim that is one string or only strings; anything else lists nothing. */
const listed = (value: Json | undefined): readonly string[] => {
  if (typeof value === 'string') return [value]
  return Array.isArray(value) && value.every((name): name is string => typeof name === 'string') ? value : []
}
const includesAny = (held: readonly string[], wanted: readonly string[]): boolean => wanted.some((name) => held.includes(name))

/** Strict equality of JSON scalars: '1' is not 1, and an object equals nothing. */
const holdsAny = (value: Json | undefined, wanted: readonly Json[]): boolean => {
  const held: readonly (Json | undefined)[] = Array.isArray(value) ? value : [value]
  return held.some((one) => isScalar(one) && wanted.includes(one))
}
const isScalar = (value: Json | undefined): value is string | number | boolean | null =>
  value !== undefined && (value === null || typeof value !== 'object')
