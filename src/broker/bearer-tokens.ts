import type { Broker } from '../domain/broker.ts'
import type { BearerCaller } from '../domain/caller.ts'
import type { AccessToken, Ask, Refusal, TokenKey, TokenOutcome } from '../domain/token.ts'
import type { Instant } from '../kernel/time.ts'
import type { Tools } from './deps.ts'
import { isUnexpired } from './freshness.ts'
import type { Blocked, MemoryToken } from './memory-tokens.ts'
import { createMemoryTokens } from './memory-tokens.ts'
import type { Refused } from './renewal.ts'
import { refused } from './renewal.ts'
import type { Prepared, Strategy } from './strategy.ts'

/** What the caller can do about it: bring another token, or ask for more rights. */
const REFUSALS = {
  'grant-rejected': 'token.assertion-rejected',
  'credential-rejected': 'token.credential-rejected',
  'audience-denied': 'token.audience-denied',
  'step-up-required': 'session.step-up-required',
  'consent-required': 'token.consent-required',
} as const satisfies Record<Refusal, Refused['code']>

export interface BearerReplacement {
  /** Nothing comes in the place of a token that was passed through: it is the caller's. */
  readonly replaceBearer: (caller: BearerCaller, ask: Ask, rejected: AccessToken) => Promise<TokenOutcome>
}

/** One per caller's token and ask. */
const ENTRIES_MAX = 20_000

/** Tokens made from the access token that a caller brought. Nothing of them is stored, and none outlives what it was made from. */
export const createBearerTokens = (
  tools: Tools,
  strategies: readonly Strategy[],
  actorToken: (ask: Ask) => Promise<TokenOutcome>,
): Pick<Broker, 'peekBearer' | 'bearer'> & BearerReplacement => {
  const memory = createMemoryTokens(tools, ENTRIES_MAX)

  const byGrant = new Map(strategies.map((strategy) => [strategy.grant, strategy]))

  const prepare = async (strategy: Strategy, caller: BearerCaller, ask: Ask): Promise<Prepared | Blocked> => {
    const outcome = ask.actor && (await actorToken(ask.actor))
    if (outcome && outcome.kind !== 'issued') return { kind: 'blocked', outcome }
    return strategy.prepare(tools, ask, { subject: caller.token, actor: outcome?.access.token, session: undefined })
  }

  /** A caller is one object for as long as it is known: its token, which may be long, is not digested for every request. */
  const known = new WeakMap<BearerCaller, Map<TokenKey, MemoryToken>>()

  const wanted = (caller: BearerCaller, ask: Ask): MemoryToken | undefined => {
    const found = known.get(caller)?.get(ask.key)
    if (found) return found
    const strategy = byGrant.get(ask.grant)
    if (!strategy) return undefined
    const made: MemoryToken = {
      // The very token names what is made from it (its digest, 128 bits): two users', or an old and a new one of the same user, never meet.
      key: `bearer ${caller.token.fingerprint()} ${ask.key}`,
      ask,
      principal: 'user',
      who: { subject: caller.subject, tenant: caller.tenant },
      refusals: REFUSALS,
      until: caller.expiresAt,
      prepare: () => prepare(strategy, caller, ask),
    }
    const others = known.get(caller)
    if (others) others.set(ask.key, made)
    else known.set(caller, new Map([[ask.key, made]]))
    return made
  }

  return {
    replaceBearer: async (caller, ask, rejected) => {
      const token = caller.kind === 'user' && isUnexpired(caller, tools.clock.now()) ? wanted(caller, ask) : undefined
      return token ? memory.replace(token, rejected) : refused('token.assertion-rejected')
    },
    peekBearer: (caller, ask, now) => {
      if (caller.kind !== 'user' || !isUnexpired(caller, now)) return undefined
      if (ask.grant === 'pass_through') return passedThrough(caller, ask, now)
      const token = wanted(caller, ask)
      return token && memory.peek(token, now)
    },
    bearer: async (caller, ask) => {
      // 1. An application has no user to act for: never a user's token, never its own in place of one (spec §1, rule 3).
      if (caller.kind !== 'user') {
        tools.metrics.count('sallyport_broker_principal_mismatches_total', { grant: ask.grant })
        const { audience, grant } = ask
        const code = 'token.principal-mismatch'
        const who = { provider: tools.provider.name, subject: caller.subject, tenant: caller.tenant }
        tools.audit.record({ ...who, event: 'token.failed', principal: 'user', grant, audience, code, check: 'caller' })
        return refused(code)
      }
      const now = tools.clock.now()
      if (!isUnexpired(caller, now)) return refused('token.assertion-rejected')
      // 2. Its own, where it is meant for this very upstream.
      if (ask.grant === 'pass_through') {
        const access = passedThrough(caller, ask, now)
        return access ? { kind: 'issued', access } : refused('token.audience-denied')
      }
      // 3. One made from it.
      const token = wanted(caller, ask)
      if (token) return memory.obtain(token)
      tools.log.error({ grant: ask.grant, hint: 'a fault of the gateway' }, 'a token for a caller was asked for with a grant of sessions')
      return refused('token.invalid')
    },
  }
}

/** The upstream's audience is among those the caller's token was issued for. */
const passedThrough = (caller: BearerCaller, ask: Ask, now: Instant): AccessToken | undefined => {
  if (ask.audience === undefined || !caller.audiences.includes(ask.audience) || !isUnexpired(caller, now)) return undefined
  const { token, issuedAt, expiresAt, scopes } = caller
  return { key: ask.key, token, issuedAt, expiresAt, scopes, standsFor: 'user' }
}
