import type { Ask, TokenAnswer } from '../domain/token.ts'
import type { Tools } from './deps.ts'
import type { Unavailable } from './renewal.ts'
import { unavailable } from './renewal.ts'

type Called = TokenAnswer | { readonly kind: 'blocked'; readonly outcome: Unavailable }

/** `call`, when one of the slots is free. Not for what marks a refresh token before it is sent: that waits before the mark (spend.ts). */
export const callInTurn = async (tools: Tools, key: string, ask: Ask, send: () => Promise<TokenAnswer>): Promise<Called> => {
  const release = await tools.line(ask.grant).slots.take()
  if (!release) return { kind: 'blocked', outcome: unavailable('provider.unavailable') }
  try {
    return await call(tools, key, ask, send)
  } finally {
    release()
  }
}

/** One request to the token endpoint, measured, behind the loop breaker; an exception is told apart as `unknown`: it may have been sent. */
export const call = async (tools: Tools, key: string, ask: Ask, send: () => Promise<TokenAnswer>): Promise<Called> => {
  const { clock, metrics, provider } = tools
  const { breaker } = tools.line(ask.grant)
  const began = clock.now()
  const blocked = breaker.enter(key, began)
  if (blocked !== undefined) return { kind: 'blocked', outcome: unavailable('provider.unavailable', blocked) }

  const answer = await answerOf(tools, send)
  const now = clock.now()
  const labels = { provider: provider.name, grant: ask.grant, outcome: answer.kind === 'refused' ? answer.reason : answer.kind }
  metrics.count('sallyport_broker_token_requests_total', labels)
  metrics.observe('sallyport_broker_token_request_seconds', (now - began) / 1000, labels)
  if (answer.kind !== 'unavailable') breaker.succeeded(now)
  else if (isInItsWords(answer)) breaker.answered(key, now)
  else breaker.failed(key, now, isThrottle(answer) ? answer.retryAfter : undefined)
  return answer.kind === 'refused' ? { ...answer, askedAt: began } : answer
}

/** 429 and a 503 that says so speak for the whole provider; any other answer that cannot be used may be about this one user, who must not hold up all others. */
const isThrottle = ({ cause }: Extract<TokenAnswer, { kind: 'unavailable' }>): boolean => cause === 'throttled' || cause === 'overloaded'

/**
 * An `error` that nobody knows what to make of (RFC 6749 §5.2): the provider is at work, and what it does not like may be this one route or user. A page in
 * its place is none of its words.
 */
const isInItsWords = (answer: Extract<TokenAnswer, { kind: 'unavailable' }>): boolean =>
  answer.sent === 'answered' && !isThrottle(answer) && !answer.cause.startsWith('http-')

const answerOf = async (tools: Tools, send: () => Promise<TokenAnswer>): Promise<TokenAnswer> => {
  try {
    return await send()
  } catch {
    // The port promises values; what broke that promise may hold a token response, so it is not looked at.
    tools.log.error({ provider: tools.provider.name }, 'the provider port threw')
    return { kind: 'unavailable', sent: 'unknown', retryAfter: tools.settings.saveWaitMs, cause: 'exception' }
  }
}
