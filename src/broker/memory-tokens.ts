import type { AuditWho } from '../domain/audit-event.ts'
import type { AccessToken, Ask, Refusal, TokenAnswer, TokenOutcome } from '../domain/token.ts'
import { assertNever } from '../kernel/assert.ts'
import { SingleFlight } from '../kernel/single-flight.ts'
import type { Instant } from '../kernel/time.ts'
import { between, earliest, minutes } from '../kernel/time.ts'
import { callInTurn } from './call.ts'
import type { Tools } from './deps.ts'
import { isGood, isInLastFifth, isUnexpired } from './freshness.ts'
import { codeOfCheck, isMismatch, PRINCIPAL_CHECK } from './principal-guard.ts'
import type { Refused, Unavailable } from './renewal.ts'
import { refused, unavailable } from './renewal.ts'
import type { Prepared } from './strategy.ts'

/** One token that is kept in memory only: of the application, or made from the token that a caller brought. */
export interface MemoryToken {
  /** Unique to whose token it is and what it is for; also of the hold-off. */
  readonly key: string
  readonly ask: Ask
  readonly principal: 'user' | 'app'
  readonly who: AuditWho
  /** What a refusal means to whoever asked. */
  readonly refusals: Readonly<Record<Refusal, Refused['code']>>
  /** It is not used beyond, however long it lives: the end of what it was made from. */
  readonly until?: Instant
  /** What it takes is got here, before a slot is held: a slot that waits for another one may wait for itself. */
  readonly prepare: () => Promise<Prepared | Blocked>
}

/** Something it takes could not be had, which whoever was asked for that remembers. */
export interface Blocked {
  readonly kind: 'blocked'
  readonly outcome: Refused | Unavailable
}

export interface MemoryTokens {
  peek(wanted: MemoryToken, now: Instant): AccessToken | undefined
  obtain(wanted: MemoryToken): Promise<TokenOutcome>
  /** Another one than `rejected`, which an upstream would not have. */
  replace(wanted: MemoryToken, rejected: AccessToken): Promise<TokenOutcome>
}

const SWEEP_EVERY = minutes(1)

/** The steps that these tokens share: flight, hold-off, breaker, freshness, guard, audit. @param entriesMax the oldest go first */
export const createMemoryTokens = (tools: Tools, entriesMax: number): MemoryTokens => {
  const { audit, clock, holdOff, log, metrics, provider, settings } = tools
  const tokens = new Map<string, AccessToken>()
  const flights = new SingleFlight<TokenOutcome>()
  const behind = new Set<string>()

  let sweptAt = clock.now()

  /** What has run out is good for nothing but to be found in a memory dump, and takes the place of what is good. */
  const sweep = (now: Instant): void => {
    const since = between(sweptAt, now)
    if (since >= 0 && since < SWEEP_EVERY) return
    sweptAt = now
    for (const [key, { expiresAt }] of tokens) if (expiresAt <= now) tokens.delete(key)
  }

  const keep = (key: string, access: AccessToken, now: Instant): void => {
    sweep(now)
    tokens.delete(key) // to the young end
    tokens.set(key, access)
    for (const oldest of tokens.keys()) {
      if (tokens.size <= entriesMax) return
      tokens.delete(oldest)
    }
  }

  const record = (wanted: MemoryToken, code: string, detail: { readonly check?: string; readonly providerCode?: string }): void => {
    const { ask, principal, who } = wanted
    const { audience, grant } = ask
    audit.record({ provider: provider.name, ...who, event: 'token.failed', principal, grant, audience, code, ...detail })
  }

  const violated = (wanted: MemoryToken, check: string): TokenOutcome => {
    const outcome = refused(codeOfCheck(check))
    record(wanted, outcome.code, { check })
    if (check === PRINCIPAL_CHECK) metrics.count('sallyport_broker_principal_mismatches_total', { grant: wanted.ask.grant })
    log.warn({ provider: provider.name, reason: check, hint: 'see the audit event token.failed' }, 'unusable token answer')
    holdOff.refused(wanted.key, outcome, clock.now(), settings.refusalMs)
    return outcome
  }

  const settleAnswer = (wanted: MemoryToken, answer: TokenAnswer): TokenOutcome => {
    const { ask, key, principal, until, who } = wanted
    const now = clock.now()
    switch (answer.kind) {
      case 'issued': {
        // A token for another ask would be handed out under this one's name for as long as it lives.
        if (answer.access.key !== ask.key) return violated(wanted, 'ask')
        if (isMismatch(answer.access, principal)) return violated(wanted, PRINCIPAL_CHECK)
        holdOff.succeeded(key)
        const { expiresAt } = answer.access
        const access = until === undefined ? answer.access : { ...answer.access, expiresAt: earliest(expiresAt, until) }
        keep(key, access, now)
        audit.record({ provider: provider.name, ...who, event: 'token.issued', principal, grant: ask.grant, audience: ask.audience })
        return { kind: 'issued', access }
      }
      case 'violation':
        return violated(wanted, answer.check)
      case 'refused': {
        const outcome = refused(wanted.refusals[answer.reason])
        record(wanted, outcome.code, { providerCode: answer.providerCode })
        if (outcome.code !== 'token.credential-rejected') {
          holdOff.refused(key, outcome, now, settings.refusalMs)
          return outcome
        }
        log.error({ provider: provider.name, providerCode: answer.providerCode }, 'client credential rejected')
        holdOff.rejected(key, outcome, { askedAt: answer.askedAt, now, length: settings.credentialRefusalMs })
        return outcome
      }
      case 'unavailable': {
        const outcome = unavailable('provider.unavailable', answer.retryAfter)
        record(wanted, outcome.code, {})
        log.warn({ provider: provider.name, grant: ask.grant, cause: answer.cause, reason: answer.sent }, 'token did not come through')
        holdOff.failed(key, outcome, now, answer.sent === 'answered' ? answer.retryAfter : undefined)
        return outcome
      }
      default:
        return assertNever(answer)
    }
  }

  const fetchToken = (wanted: MemoryToken): Promise<TokenOutcome> =>
    flights.run(wanted.key, async () => {
      const prepared = await wanted.prepare()
      if (prepared.kind === 'blocked') return prepared.outcome
      const answer = prepared.kind === 'ready' ? await callInTurn(tools, wanted.key, wanted.ask, prepared.send) : prepared.answer
      return answer.kind === 'blocked' ? answer.outcome : settleAnswer(wanted, answer)
    })

  const obtain = async (wanted: MemoryToken): Promise<TokenOutcome> => {
    const now = clock.now()
    const cached = tokens.get(wanted.key)
    if (cached && isGood(cached, now)) return { kind: 'issued', access: cached }
    const outcome = holdOff.outcome(wanted.key, now) ?? (await fetchToken(wanted))
    const cures = outcome.kind === 'unavailable' || (outcome.kind === 'refused' && outcome.code === 'token.credential-rejected')
    return cures && cached && isUnexpired(cached, clock.now()) ? { kind: 'issued', access: cached } : outcome
  }

  const peek = (wanted: MemoryToken, now: Instant): AccessToken | undefined => {
    const { key } = wanted
    const cached = tokens.get(key)
    if (!cached || !isGood(cached, now)) return undefined
    if (isInLastFifth(cached, now) && isWorthRenewing(wanted, cached) && !behind.has(key) && !holdOff.outcome(key, now)) {
      if (tools.line(wanted.ask.grant).breaker.blockedFor(now) !== undefined) return cached
      behind.add(key)
      tools.behind(fetchToken(wanted).finally(() => behind.delete(key)))
    }
    return cached
  }

  const replace = async (wanted: MemoryToken, rejected: AccessToken): Promise<TokenOutcome> => {
    const now = clock.now()
    const cached = tokens.get(wanted.key)
    if (cached && isGood(cached, now) && !cached.token.equals(rejected.token)) return { kind: 'issued', access: cached }
    return holdOff.outcome(wanted.key, now) ?? fetchToken(wanted)
  }

  return { peek, obtain, replace }
}

/** What lives until its own source ends gains nothing from being asked for again. */
const isWorthRenewing = ({ until }: MemoryToken, cached: AccessToken): boolean => until === undefined || cached.expiresAt < until
