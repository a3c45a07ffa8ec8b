import type { Session } from '../domain/session.ts'
import type { AccessToken, Ask, TokenAnswer, TokenOutcome } from '../domain/token.ts'
import { assertNever } from '../kernel/assert.ts'
import { SingleFlight } from '../kernel/single-flight.ts'
import type { Secret } from '../kernel/secret.ts'
import { callInTurn } from './call.ts'
import type { Tools } from './deps.ts'
import { whoOf } from './endings.ts'
import type { Need } from './freshness.ts'
import { answeredBy, isConfirmed } from './freshness.ts'
import { isMismatch, PRINCIPAL_CHECK } from './principal-guard.ts'
import type { Wanted } from './refresh-under-lease.ts'
import type { Refused, Renewal, Unavailable } from './renewal.ts'
import { notFound, refused, refusedAsEnded, unavailable } from './renewal.ts'
import { noteFailed, noteRefused, noteViolation } from './settle.ts'
import type { Strategy } from './strategy.ts'

export interface DerivedDeps {
  readonly strategies: readonly Strategy[]
  /** Of the session's own token for an ask that spends the refresh token; under the lease where the profile rotates. */
  readonly renew: (session: Session, ask: Ask, need: Need) => Promise<Renewal>
  /** The provider's word on the session, whichever ask brings it. */
  readonly renewByAny: (session: Session, need: Need) => Promise<Renewal>
  readonly actorToken: (ask: Ask) => Promise<TokenOutcome>
}

/** A subject token can be refused although it looked fresh: the provider ended the session, or lost it. Its successor tells which. */
const TRIES_MAX = 2

/**
 * Tokens of a session that are made from one it has (exchange, on-behalf-of) or from who it is of (service account). No lease: nothing that can be spent
 * twice is sent, so the asks of a session go out side by side, one flight each. The result is stored like any other and ends with the session.
 */
export const createDerivedTokens = (tools: Tools, deps: DerivedDeps): ((flight: string, wanted: Wanted) => Promise<Renewal>) => {
  const flights = new SingleFlight<Renewal>()
  const strategies = new Map(deps.strategies.map((strategy) => [strategy.grant, strategy]))

  return (flight, wanted) =>
    flights.run(flight, async () => {
      const strategy = strategies.get(wanted.ask.grant)
      if (!strategy) {
        tools.log.error(
          { grant: wanted.ask.grant, hint: 'a fault of the gateway' },
          'a user token was asked for with a grant that yields none',
        )
        return refused('token.invalid')
      }
      try {
        return await derive(tools, deps, strategy, wanted)
      } catch (error) {
        const reason = error instanceof Error ? error.name : 'unknown'
        tools.log.error({ sessionRef: wanted.session.ref, reason }, 'a token could not be derived')
        return unavailable('provider.unavailable')
      }
    })
}

const derive = async (tools: Tools, deps: DerivedDeps, strategy: Strategy, { session: seen, ask, need, key }: Wanted): Promise<Renewal> => {
  const { clock, settings, store } = tools
  // 1. Look again: another replica may have asked for us, or the user may have signed out.
  const looked = await store.reopen(seen)
  if (looked.kind !== 'found') return notFound(looked)
  let { session } = looked.held
  const answered = answeredBy(session, ask, need, settings.recheckMs, clock.now())
  if (answered) return { kind: 'renewed', session, access: answered.access }
  const heldOff = tools.holdOff.outcome(key, clock.now())
  if (heldOff) return heldOff

  let refusedBefore: AccessToken | undefined
  for (let attempt = 1; ; attempt += 1) {
    // 2. What is turned in, of a session that the provider confirmed lately; another one when the last was not taken.
    const source = await sourceOf(tools, deps, strategy, session, ask, refusedBefore)
    if (source.kind !== 'renewed') return source
    session = source.session
    // A token that only wanted its session confirmed is good as it is.
    const kept = answeredBy(session, ask, need, settings.recheckMs, clock.now())
    if (kept) return { kind: 'renewed', session, access: kept.access }
    const actor = await actorOf(deps, ask)
    if (actor.kind !== 'ready') return actor
    // 3. Send, and store before anybody uses it.
    const material = { subject: source.access?.token, actor: actor.token, session }
    const prepared = strategy.prepare(tools, ask, material)
    const answer = prepared.kind === 'ready' ? await callInTurn(tools, key, ask, prepared.send) : prepared.answer
    if (answer.kind === 'blocked') return answer.outcome
    const isSubjectRefused = answer.kind === 'refused' && answer.reason === 'grant-rejected' && strategy.needs === 'access-token'
    refusedBefore = source.access
    if (isSubjectRefused && attempt < TRIES_MAX) continue
    return settleDerived(tools, session, ask, key, answer)
  }
}

const sourceOf = async (
  { clock, settings }: Tools,
  { renew, renewByAny }: DerivedDeps,
  { needs }: Strategy,
  session: Session,
  { subject: source }: Ask,
  refusedBefore: AccessToken | undefined,
): Promise<Renewal> => {
  if (needs === 'user') {
    const isEnough = isConfirmed(session, settings.recheckMs, clock.now())
    return isEnough ? { kind: 'renewed', session, access: undefined } : renewByAny(session, { kind: 'confirmed' })
  }
  if (!source) return refused('token.invalid')
  const need: Need = refusedBefore ? { kind: 'another', than: refusedBefore } : { kind: 'token' }
  const held = answeredBy(session, source, need, settings.recheckMs, clock.now())
  return held ? { kind: 'renewed', session, access: held.access } : renew(session, source, need)
}

type Actor = { readonly kind: 'ready'; readonly token: Secret<'access-token'> | undefined } | Refused | Unavailable

const actorOf = async ({ actorToken }: DerivedDeps, { actor }: Ask): Promise<Actor> => {
  if (!actor) return { kind: 'ready', token: undefined }
  const outcome = await actorToken(actor)
  return outcome.kind === 'issued' ? { kind: 'ready', token: outcome.access.token } : outcome
}

const settleDerived = async (tools: Tools, session: Session, ask: Ask, key: string, answer: TokenAnswer): Promise<Renewal> => {
  const about = { session, ask, key }
  switch (answer.kind) {
    case 'issued': {
      // A token for another ask would be handed out under this one's name for as long as it lives.
      if (answer.access.key !== ask.key) return noteViolation(tools, about, 'ask')
      if (isMismatch(answer.access, 'user')) return noteViolation(tools, about, PRINCIPAL_CHECK)
      return keep(tools, session, ask, key, answer.access)
    }
    case 'violation':
      return noteViolation(tools, about, answer.check)
    case 'refused':
      // Of a token that was turned in, never of the session: its own refresh token was not sent.
      return noteRefused(tools, about, { ...answer, reason: answer.reason === 'grant-rejected' ? 'audience-denied' : answer.reason })
    case 'unavailable':
      return noteFailed(tools, about, answer)
    default:
      return assertNever(answer)
  }
}

const keep = async (tools: Tools, session: Session, ask: Ask, key: string, access: AccessToken): Promise<Renewal> => {
  const saved = await tools.store.save(session, { grant: undefined, tokens: [access] })
  if (saved.kind === 'absent') return refusedAsEnded(saved.reason)
  if (saved.kind !== 'saved') return unavailable('store.unavailable')
  tools.holdOff.succeeded(key)
  tools.audit.record({ ...whoOf(session), event: 'token.issued', principal: 'user', grant: ask.grant, audience: ask.audience })
  return { kind: 'renewed', session: saved.session, access }
}
