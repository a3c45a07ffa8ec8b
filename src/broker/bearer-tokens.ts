import type { Broker } from '../domain/broker.ts'
import type { BearerCaller } from '../domain/caller.ts'
import type { AccessToken, Ask, Refusal, TokenAnswer, TokenOutcome } from '../domain/token.ts'
import type { Instant } from '../kernel/time.ts'
import type { Tools } from './deps.ts'
import { isUnexpired } from './freshness.ts'
import type { MemoryToken } from './memory-tokens.ts'
import { createMemoryTokens } from './memory-tokens.ts'
import type { Refused } from './renewal.ts'
import { refused } from './renewal.ts'

/** What the caller can do about it: bring another token, or ask for more rights. */
const REFUSALS = {
  'grant-rejected': 'token.assertion-rejected',
  'credential-rejected': 'token.credential-rejected',
  'audience-denied': 'token.audience-denied',
  'step-up-required': 'session.step-up-required',
  'consent-required': 'token.consent-required',
} as const satisfies Record<Refusal, Refused['code']>

/** One per caller's token and ask. */
const ENTRIES_MAX = 20_000

/** Tokens made from the access token that a caller brought. Nothing of them is stored, and none outlives what it was made from. */
export const createBearerTokens = (
  tools: Tools,
  actorToken: (ask: Ask) => Promise<TokenOutcome>,
): Pick<Broker, 'peekBearer' | 'bearer'> => {
  const memory = createMemoryTokens(tools, ENTRIES_MAX)

  const exchanged = async (caller: BearerCaller, ask: Ask): Promise<TokenAnswer> => {
    if (!ask.actor) return tools.provider.exchange(caller.token, ask, undefined)
    const actor = await actorToken(ask.actor)
    if (actor.kind === 'issued') return tools.provider.exchange(caller.token, ask, actor.access.token)
    if (actor.kind === 'refused') return { kind: 'refused', reason: 'credential-rejected', providerCode: 'actor-token' }
    return { kind: 'unavailable', sent: 'not-sent', retryAfter: actor.retryAfter, cause: 'actor-token' }
  }

  /** The very token names what is made from it (its digest, 128 bits): two users', or an old and a new one of the same user, never meet. */
  const wantedFor = (caller: BearerCaller, ask: Ask, send: () => Promise<TokenAnswer>): MemoryToken => ({
    key: `bearer ${caller.token.fingerprint()} ${ask.key}`,
    ask,
    principal: 'user',
    who: { subject: caller.subject, tenant: caller.tenant },
    refusals: REFUSALS,
    until: caller.expiresAt,
    send,
  })

  const wanted = (caller: BearerCaller, ask: Ask): MemoryToken | undefined => {
    if (ask.grant === 'exchange') return wantedFor(caller, ask, () => exchanged(caller, ask))
    if (ask.grant === 'on_behalf_of') return wantedFor(caller, ask, () => tools.provider.onBehalfOf(caller.token, ask))
    return undefined
  }

  return {
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
        return refused('token.principal-mismatch')
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
