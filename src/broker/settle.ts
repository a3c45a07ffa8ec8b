import type { Grant, Lease, Session, SpendingMark } from '../domain/session.ts'
import type { Saved } from '../domain/session-store.ts'
import type { AccessToken, Ask, Refusal, TokenAnswer } from '../domain/token.ts'
import { assertNever } from '../kernel/assert.ts'
import type { Tools } from './deps.ts'
import { endAsDoubtful, endUnrenewed, revokeBehind, whoOf } from './endings.ts'
import { codeOfCheck, isMismatch, PRINCIPAL_CHECK } from './principal-guard.ts'
import type { Refused, Step, Unavailable } from './renewal.ts'
import { AGAIN, refused, refusedAsEnded, unavailable } from './renewal.ts'

/** One spent (or not) refresh token and what hangs on it. */
export interface Spending {
  readonly session: Session
  readonly ask: Ask
  /** Of the hold-off: session and ask. */
  readonly key: string
  /** Present for profiles that rotate: there is a mark, and `recovers` is the one it took the place of. */
  readonly lease: Lease | undefined
  readonly recovers: SpendingMark | undefined
}

/** Makes the session's record agree with what the provider answered, before anybody uses the answer. */
export const settle = async (tools: Tools, spending: Spending, answer: TokenAnswer): Promise<Step> => {
  switch (answer.kind) {
    case 'issued':
      // A token for another ask would be handed out under this one's name for as long as it lives.
      if (answer.access.key !== spending.ask.key)
        return violated(tools, spending, { ...answer, kind: 'violation', concerns: 'audience', check: 'ask' })
      if (isMismatch(answer.access, 'user'))
        return violated(tools, spending, { ...answer, kind: 'violation', concerns: 'audience', check: PRINCIPAL_CHECK })
      return issued(tools, spending, answer)
    case 'violation':
      return violated(tools, spending, answer)
    case 'refused':
      return refusedBy(tools, spending, answer)
    case 'unavailable':
      return failed(tools, spending, answer)
    default:
      return assertNever(answer)
  }
}

const issued = async (tools: Tools, spending: Spending, answer: Extract<TokenAnswer, { kind: 'issued' }>): Promise<Step> => {
  const { session, ask, key } = spending
  const old = session.grant
  const grant: Grant = {
    ...old,
    refreshToken: answer.refreshToken ?? old.refreshToken, // RFC 6749 §6: one that returns none keeps the old one
    refreshEndsAt: answer.refreshEndsAt ?? (answer.refreshToken ? undefined : old.refreshEndsAt),
    claims: answer.claims ?? old.claims,
    idToken: answer.idToken ?? old.idToken,
    confirmedAt: tools.clock.now(),
  }
  const saved = await save(tools, spending, grant, [answer.access])
  if (saved.kind !== 'saved') return unsaved(saved)

  tools.holdOff.succeeded(key)
  const who = whoOf(session)
  tools.audit.record({ ...who, event: 'session.refreshed', audience: ask.audience })
  tools.audit.record({ ...who, event: 'token.issued', principal: 'user', grant: ask.grant, audience: ask.audience })
  tools.log.debug({ sessionRef: session.ref, ...(ask.audience !== undefined && { audience: ask.audience }) }, 'access token issued')
  return { kind: 'renewed', session: saved.session, access: answer.access }
}

/**
 * The token that was spent decides what may be saved, not the lease: ours may have run out while the provider thought.
 * Without rotation nothing is lost by a lost save, and two asks may have spent the same token at once: the later one stores its access token alone.
 */
const save = async (tools: Tools, spending: Spending, grant: Grant, tokens: readonly AccessToken[]): Promise<Saved> => {
  const { session } = spending
  const live = grant.refreshToken
  const revoke = (): void => {
    if (live) revokeBehind(tools, session, live) // the session ended while we asked: leave no live token behind
  }
  if (spending.lease) return tools.pending.save(session, { grant, tokens }, tools.settings.saveWaitMs, revoke)
  const first = await tools.store.save(session, { grant, tokens })
  const saved = first.kind === 'superseded' ? await tools.store.save(session, { grant: undefined, tokens }) : first
  if (saved.kind === 'absent') revoke()
  return saved
}

const unsaved = (saved: Exclude<Saved, { kind: 'saved' }>): Step => {
  if (saved.kind === 'superseded') return AGAIN // use theirs, drop ours, never revoke: it may be the same family
  if (saved.kind === 'absent') return refusedAsEnded(saved.reason)
  return unavailable('store.unavailable')
}

const violated = async (tools: Tools, spending: Spending, answer: Extract<TokenAnswer, { kind: 'violation' }>): Promise<Step> => {
  const { session } = spending
  if (answer.concerns === 'session') {
    tellViolation(tools, spending, answer.check)
    return endAsDoubtful(tools, session, answer.refreshToken ?? session.grant.refreshToken)
  }

  // Only this access token is unusable; its answer has spent our refresh token all the same, and the successor must not be lost with it.
  const outcome = noteViolation(tools, spending, answer.check)
  if (answer.refreshToken) {
    const saved = await save(tools, spending, { ...session.grant, refreshToken: answer.refreshToken, refreshEndsAt: undefined }, [])
    if (saved.kind === 'absent') return unsaved(saved)
  } else if (spending.lease) await tools.store.clearMark(spending.lease, session)
  return outcome
}

/** What hangs on one ask of a session, however it was asked for. */
export type About = Pick<Spending, 'session' | 'ask' | 'key'>

const tellViolation = (tools: Tools, about: About, check: string): void => {
  recordFailure(tools, about, codeOfCheck(check), { check })
  if (check === PRINCIPAL_CHECK) tools.metrics.count('sallyport_broker_principal_mismatches_total', { grant: about.ask.grant })
  tools.log.warn({ sessionRef: about.session.ref, reason: check, hint: 'see the audit event token.failed' }, 'unusable token answer')
}

/** A token came that must not be used. Remembered for this ask. */
export const noteViolation = (tools: Tools, about: About, check: string): Refused => {
  tellViolation(tools, about, check)
  const outcome = refused(codeOfCheck(check))
  tools.holdOff.refused(about.key, outcome, tools.clock.now(), tools.settings.refusalMs)
  return outcome
}

const REFUSALS = {
  'step-up-required': 'session.step-up-required',
  'consent-required': 'token.consent-required',
  'audience-denied': 'token.audience-denied',
  'credential-rejected': 'token.credential-rejected',
} as const satisfies Record<Exclude<Refusal, 'grant-rejected'>, Refused['code']>

const refusedBy = async (tools: Tools, spending: Spending, answer: Extract<TokenAnswer, { kind: 'refused' }>): Promise<Step> => {
  const { session, lease } = spending
  const { reason, providerCode } = answer
  if (reason === 'grant-rejected') {
    // After a takeover it was the lost rotation that killed the token, and the user did nothing wrong: a reason of its own.
    const why = spending.recovers ? 'refresh-lost' : 'refresh-refused'
    recordFailure(tools, spending, spending.recovers ? 'session.refresh-lost' : 'session.ended', { providerCode })
    return endUnrenewed(tools, session, why)
  }
  const outcome = noteRefused(tools, spending, { ...answer, reason })
  if (lease) await tools.store.clearMark(lease, session, spending.recovers)
  return outcome
}

type RefusedAsk = Omit<Extract<TokenAnswer, { kind: 'refused' }>, 'kind' | 'reason'> & {
  readonly reason: Exclude<Refusal, 'grant-rejected'>
}

/** The provider said no to this ask. Remembered for it, so that a page asking on and on does not hammer. */
export const noteRefused = (tools: Tools, about: About, { reason, providerCode, askedAt }: RefusedAsk): Refused => {
  const outcome = refused(REFUSALS[reason])
  recordFailure(tools, about, outcome.code, { providerCode })
  const { credentialRefusalMs, refusalMs } = tools.settings
  const now = tools.clock.now()
  if (reason !== 'credential-rejected') {
    tools.holdOff.refused(about.key, outcome, now, refusalMs)
    return outcome
  }
  tools.holdOff.rejected(about.key, outcome, { askedAt, now, length: credentialRefusalMs })
  tools.log.error({ provider: tools.provider.name, providerCode }, 'client credential rejected')
  return outcome
}

const failed = async (tools: Tools, spending: Spending, answer: Extract<TokenAnswer, { kind: 'unavailable' }>): Promise<Step> => {
  const { session, lease } = spending
  const outcome = noteFailed(tools, spending, answer)
  // Unknown: the token may be spent. The mark stays and tells whoever sends next, here or in another replica.
  if (lease && answer.sent !== 'unknown') await tools.store.clearMark(lease, session, spending.recovers)
  return outcome
}

/** Nobody answered, or not now. */
export const noteFailed = (tools: Tools, about: About, answer: Extract<TokenAnswer, { kind: 'unavailable' }>): Unavailable => {
  const { cause, sent } = answer
  const outcome = unavailable('provider.unavailable', answer.retryAfter)
  tools.holdOff.failed(about.key, outcome, tools.clock.now(), sent === 'answered' ? answer.retryAfter : undefined)
  tools.log.warn({ sessionRef: about.session.ref, grant: about.ask.grant, cause, reason: sent }, 'token request did not come through')
  recordFailure(tools, about, outcome.code, {})
  return outcome
}

const recordFailure = (
  tools: Tools,
  { session, ask }: About,
  code: string,
  detail: { readonly check?: string; readonly providerCode?: string },
): void => {
  const { audience, grant } = ask
  tools.audit.record({ ...whoOf(session), event: 'token.failed', principal: 'user', grant, audience, code, ...detail })
}
