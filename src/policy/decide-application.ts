import type { Allow } from '../domain/route.ts'
import { assertNever } from '../kernel/assert.ts'
import type { Asking, Decision, RoleSource } from './decide.ts'
import { compileAllow } from './decide.ts'

/**
 * The same rule, asked for an application that calls for itself. It is let in only where the rule names it (spec §1): a rule over roles, scopes or claims
 * was written with people in mind, and one that happens to hold for a machine must not open the route to it. Beside its name they narrow as for anybody.
 */
export const compileForApplications = (allow: Allow, sources: readonly RoleSource[]): ((asking: Asking) => Decision) => {
  const rule = compile(allow, sources)
  return (asking) => (rule(asking) === NAMED ? FORWARD : DENIED)
}

const FORWARD: Decision = { effect: 'forward' }
const DENIED: Decision = { effect: 'refuse', code: 'policy.denied', rule: 'client' }

const FAILS = 0
/** True of it, but it is true of others as well. */
const HOLDS = 1
const NAMED = 2
type Answer = typeof FAILS | typeof HOLDS | typeof NAMED

const compile = (allow: Allow, sources: readonly RoleSource[]): ((asking: Asking) => Answer) => {
  switch (allow.kind) {
    case 'signed-in':
      return () => FAILS // nobody is
    case 'client':
      return ({ clientId }) => (clientId !== undefined && allow.anyOf.includes(clientId) ? NAMED : FAILS)
    case 'claim':
    case 'role':
    case 'group':
    case 'scope':
    case 'tenant': {
      const rule = compileAllow(allow, sources)
      return (asking) => (rule(asking).effect === 'forward' ? HOLDS : FAILS)
    }
    case 'any-of': {
      const rules = allow.rules.map((inner) => compile(inner, sources))
      return (asking) => best(rules.map((rule) => rule(asking)))
    }
    case 'all-of': {
      const rules = allow.rules.map((inner) => compile(inner, sources))
      return (asking) => {
        const answers = rules.map((rule) => rule(asking))
        return answers.includes(FAILS) ? FAILS : best(answers)
      }
    }
    default:
      return assertNever(allow)
  }
}

const best = (answers: readonly Answer[]): Answer => (answers.includes(NAMED) ? NAMED : answers.includes(HOLDS) ? HOLDS : FAILS)
