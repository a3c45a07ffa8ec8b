import type { AccessToken, Ask, Refusal, TokenAnswer, TokenKey, TokenOutcome } from '../domain/token.ts'
import { assertNever } from '../kernel/assert.ts'
import { SingleFlight } from '../kernel/single-flight.ts'
import type { Instant } from '../kernel/time.ts'
import { call } from './call.ts'
import type { Tools } from './deps.ts'
import { isGood, isInLastFifth, isUnexpired } from './freshness.ts'
import type { Refused } from './renewal.ts'
import { refused, unavailable } from './renewal.ts'

export interface AppTokens {
  peek(ask: Ask, now: Instant): AccessToken | undefined
  obtain(ask: Ask): Promise<TokenOutcome>
}

/** No sign-in of a user cures a refusal of the application, so none of these sends the browser to the login. */
const REFUSALS = {
  'grant-rejected': 'token.credential-rejected',
  'credential-rejected': 'token.credential-rejected',
  'audience-denied': 'token.audience-denied',
  'step-up-required': 'token.audience-denied',
  'consent-required': 'token.audience-denied',
} as const satisfies Record<Refusal, Refused['code']>

/** The application's own tokens (RFC 6749 §4.4): one per ask, in memory, apart from any session. There are as many asks as routes. */
export const createAppTokens = (tools: Tools): AppTokens => {
  const { audit, clock, holdOff, log, provider, settings } = tools
  const tokens = new Map<TokenKey, AccessToken>()
  const flights = new SingleFlight<TokenOutcome>()
  const behind = new Set<TokenKey>()
  const keyOf = (ask: Ask): string => `app ${ask.key}`

  const record = (ask: Ask, code: string, detail: { readonly check?: string; readonly providerCode?: string }): void => {
    const { audience, grant } = ask
    audit.record({ event: 'token.failed', provider: provider.name, principal: 'app', grant, audience, code, ...detail })
  }

  const settleAnswer = (ask: Ask, answer: TokenAnswer): TokenOutcome => {
    const key = keyOf(ask)
    const now = clock.now()
    const { audience, grant } = ask
    switch (answer.kind) {
      case 'issued':
        if (answer.access.key !== ask.key)
          return settleAnswer(ask, { kind: 'violation', concerns: 'audience', check: 'ask', refreshToken: undefined })
        holdOff.succeeded(key)
        tokens.set(ask.key, answer.access)
        audit.record({ event: 'token.issued', provider: provider.name, principal: 'app', grant, audience })
        return { kind: 'issued', access: answer.access }
      case 'violation': {
        const outcome = refused('token.invalid')
        record(ask, outcome.code, { check: answer.check })
        log.warn({ provider: provider.name, reason: answer.check, hint: 'see the audit event token.failed' }, 'unusable token answer')
        holdOff.refused(key, outcome, now, settings.refusalMs)
        return outcome
      }
      case 'refused': {
        const outcome = refused(REFUSALS[answer.reason])
        record(ask, outcome.code, { providerCode: answer.providerCode })
        const credential = outcome.code === 'token.credential-rejected'
        if (credential) log.error({ provider: provider.name, providerCode: answer.providerCode }, 'client credential rejected')
        holdOff.refused(key, outcome, now, credential ? settings.credentialRefusalMs : settings.refusalMs)
        return outcome
      }
      case 'unavailable': {
        const outcome = unavailable('provider.unavailable', answer.retryAfter)
        record(ask, outcome.code, {})
        log.warn({ provider: provider.name, cause: answer.cause, reason: answer.sent }, 'application token did not come through')
        holdOff.failed(key, outcome, now, answer.sent === 'answered' ? answer.retryAfter : undefined)
        return outcome
      }
      default:
        return assertNever(answer)
    }
  }

  const fetchToken = (ask: Ask): Promise<TokenOutcome> =>
    flights.run(ask.key, async () => {
      const answer = await call(tools, keyOf(ask), ask, () => provider.application(ask))
      return answer.kind === 'blocked' ? answer.outcome : settleAnswer(ask, answer)
    })

  const obtain = async (ask: Ask): Promise<TokenOutcome> => {
    const now = clock.now()
    const cached = tokens.get(ask.key)
    if (cached && isGood(cached, now)) return { kind: 'issued', access: cached }
    const outcome = holdOff.outcome(keyOf(ask), now) ?? (await fetchToken(ask))
    const cures = outcome.kind === 'unavailable' || (outcome.kind === 'refused' && outcome.code === 'token.credential-rejected')
    return cures && cached && isUnexpired(cached, clock.now()) ? { kind: 'issued', access: cached } : outcome
  }

  const peek = (ask: Ask, now: Instant): AccessToken | undefined => {
    const cached = tokens.get(ask.key)
    if (!cached || !isGood(cached, now)) return undefined
    if (
      isInLastFifth(cached, now) &&
      !behind.has(ask.key) &&
      !holdOff.outcome(keyOf(ask), now) &&
      tools.breaker.blockedFor(now) === undefined
    ) {
      behind.add(ask.key)
      tools.behind(fetchToken(ask).finally(() => behind.delete(ask.key)))
    }
    return cached
  }

  return { peek, obtain }
}
