import type { AuditSink, AuditWho } from '../domain/audit-event.ts'
import type { Metrics } from '../domain/metric.ts'
import type { LogoutTokenRead, Provider } from '../domain/provider.ts'
import type { OnceStore } from '../domain/session-store.ts'
import type { SessionsOf } from '../domain/session.ts'
import type { Secret } from '../kernel/secret.ts'
import { minutes } from '../kernel/time.ts'
import type { Clock, Millis } from '../kernel/time.ts'
import type { Background } from './background.ts'
import type { EndedAll, EndSessionsOfDeps } from './end-sessions.ts'
import { endSessionsOf } from './end-sessions.ts'
import type { MinuteLimit } from './minute-limit.ts'
import type { Visitor } from './visitor.ts'

/** Longer than a logout token can be accepted: two minutes of age and twice the skew of the clocks. */
const REMEMBERED = minutes(5)

export interface BackchannelLogoutDeps extends EndSessionsOfDeps {
  readonly provider: Pick<Provider, 'name' | 'readLogoutToken'>
  readonly once: Pick<OnceStore, 'seen' | 'claim'>
  readonly audit: AuditSink
  readonly metrics: Metrics
  readonly background: Pick<Background, 'run'>
  readonly clock: Pick<Clock, 'now'>
  readonly rejections: MinuteLimit
  /** `provider.logout.require_type`. */
  readonly requireType: boolean
}

export type LogoutNotice =
  | { readonly kind: 'done' }
  | { readonly kind: 'invalid' }
  | { readonly kind: 'unavailable'; readonly code: 'store.unavailable' | 'provider.unavailable'; readonly retryAfter?: Millis }

type ValidToken = Extract<LogoutTokenRead, { kind: 'valid' }>

/** POST /bff/logout/backchannel: OpenID Connect Back-Channel Logout 1.0 §2.5–2.8. Unknown sessions, repeated notices and late ones are no errors. */
export const backchannelLogout = async (
  deps: BackchannelLogoutDeps,
  token: Secret<'logout-token'> | undefined,
  visitor: Visitor,
): Promise<LogoutNotice> => {
  const who: AuditWho = { requestId: visitor.requestId, address: visitor.address, provider: deps.provider.name }
  const count = (outcome: 'ended' | 'refused' | 'unavailable'): void =>
    deps.metrics.count('sallyport_logout_notices_total', { channel: 'back', outcome })
  const refuse = (check: string, known: AuditWho = who): LogoutNotice => {
    // Anybody may post here: what they post is counted, and not all of it told.
    if (deps.rejections.allows(deps.clock.now())) deps.audit.record({ ...known, event: 'backchannel-logout.rejected', check })
    count('refused')
    return { kind: 'invalid' }
  }
  const storeAway = (): LogoutNotice => {
    count('unavailable')
    return { kind: 'unavailable', code: 'store.unavailable' }
  }

  // 1. Is it one, from our provider, for us, and new?
  if (!token) return refuse('form')
  const read = await deps.provider.readLogoutToken(token, { requireType: deps.requireType })
  if (read.kind === 'invalid') return refuse(read.check)
  if (read.kind === 'unavailable') {
    count('unavailable')
    return { kind: 'unavailable', code: 'provider.unavailable', retryAfter: read.retryAfter }
  }
  const known: AuditWho = { ...who, subject: read.subject }
  // 2. A replay would end what the user has started since. Without the store nobody can tell: fail closed.
  const id = JSON.stringify([read.issuer, read.tokenId])
  const seen = await deps.once.seen('logout-jti', id)
  if (seen === 'unavailable') return storeAway()
  if (seen) return refuse('replayed', known)

  // 3. End.
  const whose = whoseOf(read)
  const ending = { at: read.issuedAt, reason: 'provider', who: known } as const
  /** 4. Remembered last: a replica that dies before this has done less than all, and the same token finishes it. Of two that come at once, both have done
   * the same thing, and the second claim changes nothing. */
  const finish = async (last: EndedAll, before: number): Promise<LogoutNotice> => {
    const total = before + last.count
    if (last.kind === 'partly') return finish(await endSessionsOf(deps, whose, { ...ending, rest: last.rest }), total)
    const isDone = last.kind === 'ended' && (await deps.once.claim('logout-jti', id, REMEMBERED)) !== 'unavailable'
    deps.audit.record({ ...known, event: `backchannel-logout.${isDone ? 'received' : 'unfinished'}`, by: whose.kind, ended: total })
    if (!isDone) return storeAway() // not remembered: the provider may send the same token again, and the rest is done
    count('ended')
    return { kind: 'done' }
  }
  const ended = await endSessionsOf(deps, whose, ending)
  if (ended.kind !== 'partly') return finish(ended, 0)
  // Thousands: a provider waits for seconds, so the rest follows behind an answer that does not say it was done.
  deps.background.run(() => finish(ended, 0))
  return storeAway()
}

/** §2.7: with a `sid`, that session; without one, all of the subject's at this issuer. */
const whoseOf = ({ issuer, subject, providerSessionId }: ValidToken): SessionsOf =>
  providerSessionId === undefined
    ? { kind: 'subject', issuer, subject: subject ?? '' }
    : { kind: 'provider-session', issuer, providerSessionId }
