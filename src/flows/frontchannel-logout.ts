import type { AuditSink, AuditWho } from '../domain/audit-event.ts'
import type { Metrics } from '../domain/metric.ts'
import type { Provider } from '../domain/provider.ts'
import type { SessionRef, SessionsOf } from '../domain/session.ts'
import type { Clock } from '../kernel/time.ts'
import type { EndSessionsOfDeps } from './end-sessions.ts'
import { endSessionsOf } from './end-sessions.ts'
import type { MinuteLimit } from './minute-limit.ts'
import type { Query } from './query.ts'
import type { Visitor } from './visitor.ts'

export interface FrontchannelLogoutDeps extends EndSessionsOfDeps {
  readonly provider: Pick<Provider, 'name' | 'profile' | 'issuers'>
  readonly audit: AuditSink
  readonly metrics: Metrics
  readonly clock: Pick<Clock, 'now'>
  /** Of tombstones for names that nobody knows: one per tenant that it may be of. */
  readonly unknown: MinuteLimit
  readonly rejections: MinuteLimit
}

export type FrontchannelNotice =
  /** `refs`: what it concerned; a presented cookie of one of them is cleared. */
  | { readonly kind: 'done'; readonly refs: readonly SessionRef[] }
  | { readonly kind: 'invalid' }
  | { readonly kind: 'unavailable'; readonly code: 'store.unavailable' | 'provider.unavailable' }

const SESSION_CHARS_MAX = 255

/**
 * GET /bff/logout/frontchannel, in a frame of the provider's sign-out page: OpenID Connect Front-Channel Logout 1.0 §3. No cookie arrives there (Strict, and a
 * third party), so the session is found by the name the provider gave it. Whoever knows that name can end the session, and nothing else: nothing is
 * revoked at the provider because of it, or a stranger's frame could.
 */
export const frontchannelLogout = async (deps: FrontchannelLogoutDeps, query: Query, visitor: Visitor): Promise<FrontchannelNotice> => {
  const who: AuditWho = { requestId: visitor.requestId, address: visitor.address, provider: deps.provider.name }
  const count = (outcome: 'ended' | 'refused' | 'unavailable'): void =>
    deps.metrics.count('sallyport_logout_notices_total', { channel: 'front', outcome })
  const refuse = (check: 'form' | 'issuer' | 'provider-session'): FrontchannelNotice => {
    if (deps.rejections.allows(deps.clock.now())) deps.audit.record({ ...who, event: 'frontchannel-logout.rejected', check })
    count('refused')
    return { kind: 'invalid' }
  }
  const storeAway = (): FrontchannelNotice => {
    count('unavailable')
    return { kind: 'unavailable', code: 'store.unavailable' }
  }

  // 1. Both must match (§3); some send no `iss`.
  if (query.kind === 'doubled') return refuse('form')
  const [iss, sid] = [query.get('iss'), query.get('sid')]
  if (sid === undefined || sid === '' || sid.length > SESSION_CHARS_MAX) return refuse('provider-session')
  if (iss === undefined && !deps.provider.profile.logout.frontchannelWithoutIssuer) return refuse('issuer')
  const issuers = await deps.provider.issuers()
  if (issuers === undefined) {
    count('unavailable')
    return { kind: 'unavailable', code: 'provider.unavailable' }
  }
  if (iss !== undefined && !issuers.includes(iss)) return refuse('issuer')

  // 2. Anybody can invent names, and each would leave a tombstone for 15 minutes. Some may: one of them can be of a login that is under way.
  // Of several tenants it may be any: names of sessions are not guessed, so that at most one of them has it.
  const named: readonly SessionsOf[] = (iss === undefined ? issuers : [iss]).map((issuer) => ({
    kind: 'provider-session',
    issuer,
    providerSessionId: sid,
  }))
  const looked = await Promise.all(named.map((whose) => deps.store.refsOf(whose, 1)))
  if (looked.includes('unavailable')) return storeAway()
  const held = named.filter((_whose, i) => looked[i]?.length !== 0)
  const now = deps.clock.now()
  if (held.length === 0 && !named.every(() => deps.unknown.allows(now))) {
    count('refused')
    return { kind: 'done', refs: [] }
  }

  // 3. End.
  const refs: SessionRef[] = []
  let ends = 0
  for (const whose of held.length > 0 ? held : named) {
    const ended = await endSessionsOf(deps, whose, { at: now, reason: 'front-channel', who })
    // One browser's sessions are not so many; whoever made them so begins anew.
    if (ended.kind !== 'ended') return storeAway()
    refs.push(...ended.refs)
    ends += ended.count
  }
  if (ends > 0) deps.audit.record({ ...who, event: 'frontchannel-logout.received', ended: ends })
  count('ended')
  return { kind: 'done', refs }
}
