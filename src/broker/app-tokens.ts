import type { AccessToken, Ask, Refusal, TokenKey, TokenOutcome } from '../domain/token.ts'
import type { Instant } from '../kernel/time.ts'
import type { Tools } from './deps.ts'
import type { MemoryToken } from './memory-tokens.ts'
import { createMemoryTokens } from './memory-tokens.ts'
import type { Refused } from './renewal.ts'
import { ready } from './strategy.ts'

export interface AppTokens {
  peek(ask: Ask, now: Instant): AccessToken | undefined
  obtain(ask: Ask): Promise<TokenOutcome>
  replace(ask: Ask, rejected: AccessToken): Promise<TokenOutcome>
}

/** No sign-in of a user cures a refusal of the application, so none of these sends the browser to the login. */
const REFUSALS = {
  'grant-rejected': 'token.credential-rejected',
  'credential-rejected': 'token.credential-rejected',
  'audience-denied': 'token.audience-denied',
  'step-up-required': 'token.audience-denied',
  'consent-required': 'token.audience-denied',
} as const satisfies Record<Refusal, Refused['code']>

/** There are as many as routes, and those are bounded. */
const ENTRIES_MAX = 10_000

/** The application's own tokens (RFC 6749 §4.4): one per ask, in memory, apart from any session. */
export const createAppTokens = (tools: Tools): AppTokens => {
  const memory = createMemoryTokens(tools, ENTRIES_MAX)
  const wanted = new Map<TokenKey, MemoryToken>()

  const wantedFor = (ask: Ask): MemoryToken => {
    const known = wanted.get(ask.key)
    if (known) return known
    const prepare = async () => ready(() => tools.provider.application(ask))
    const made: MemoryToken = { key: `app ${ask.key}`, ask, principal: 'app', who: {}, refusals: REFUSALS, prepare }
    wanted.set(ask.key, made)
    return made
  }

  return {
    peek: (ask, now) => memory.peek(wantedFor(ask), now),
    obtain: (ask) => memory.obtain(wantedFor(ask)),
    replace: (ask, rejected) => memory.replace(wantedFor(ask), rejected),
  }
}
