import type { AuditSink, AuditWho } from '../domain/audit-event.ts'
import type { Metrics } from '../domain/metric.ts'
import type { Provider } from '../domain/provider.ts'
import type { OnceStore, SessionStore } from '../domain/session-store.ts'
import type { EndReason, Session, SessionRef } from '../domain/session.ts'
import { backoff } from '../kernel/backoff.ts'
import type { Secret } from '../kernel/secret.ts'
import { minutes, seconds } from '../kernel/time.ts'
import type { Clock, Millis } from '../kernel/time.ts'

export interface RevocationsDeps {
  readonly provider: Pick<Provider, 'revoke'>
  readonly once: Pick<OnceStore, 'claim'>
  readonly audit: AuditSink
  readonly metrics: Metrics
  readonly clock: Clock
  readonly settings?: Partial<typeof DEFAULTS>
}

/** Refresh tokens of ended sessions, to be revoked at the provider (RFC 7009); behind every answer. */
export interface Revocations {
  /** Where the cookie or an open copy is at hand. Once per session, however many tell of its end. */
  add(session: Session, reason: EndReason, who?: AuditWho): void
  /** For the end: each is tried once more, now. Resolves when all were or `most` has passed. @returns how many are left */
  drain(most: Millis): Promise<number>
  readonly size: number
}

const DEFAULTS = { waitingMax: 1_000, atOnceMax: 8, attemptsMax: 8, firstWaitMs: seconds(1), mostWaitMs: seconds(60) }
/** As long as the store remembers that a session ended. */
const CLAIMED_FOR = minutes(15)

/**
 * `insist`: the user is signed out at the provider as well, or was put out by somebody: tried again for some minutes. `once`: the user's session at the
 * provider goes on, and a new sign-in may get tokens of the very grant this one belongs to; a revocation that comes late would end that one, too.
 * `never`: replaced by such a sign-in already; or there is nothing left to revoke; or the broker, the callback does it; or it must not be done (front-channel).
 */
const BY_REASON: Readonly<Record<EndReason, 'insist' | 'once' | 'never'>> = {
  user: 'insist',
  provider: 'insist',
  admin: 'insist',
  local: 'once',
  idle: 'once',
  absolute: 'once',
  'recheck-failed': 'once',
  'key-removed': 'once',
  replaced: 'never',
  'refresh-refused': 'never',
  'refresh-lost': 'never',
  'identity-changed': 'never',
  'login-raced': 'never',
  'front-channel': 'never',
}

interface Waiting {
  readonly ref: SessionRef
  readonly token: Secret<'refresh-token'>
  readonly who: AuditWho
  readonly attemptsMax: number
}

/** Bounded, in memory: what is lost with the process dies with the session's key, and lives on at the provider until its own end (spec §3). */
export const createRevocations = (deps: RevocationsDeps): Revocations => {
  const settings = { ...DEFAULTS, ...deps.settings }
  const waiting = new Map<SessionRef, Waiting>()
  const underWay = new Set<Promise<void>>()
  /** Those of lately, so that an end that is told twice is one revocation. */
  const lately = new Set<SessionRef>()
  const hurry = new AbortController()

  const gauge = (): void => deps.metrics.gauge('sallyport_session_revocations_pending', waiting.size + underWay.size, {})
  const settle = (one: Waiting, outcome: 'revoked' | 'unsupported' | 'unavailable'): void => {
    deps.metrics.count('sallyport_session_revocations_total', { outcome })
    deps.audit.record({ ...one.who, event: 'token.revoked', outcome })
  }

  const revoke = async (one: Waiting): Promise<void> => {
    // Of the replicas that hold it open, one does it. With the store away each does: the provider answers 200 to all (RFC 7009 §2.2).
    if ((await deps.once.claim('revocation', one.ref, CLAIMED_FOR)) === 'again') return
    for (let attempt = 0; ; attempt += 1) {
      const outcome = await deps.provider.revoke(one.token)
      if (outcome !== 'unavailable' || hurry.signal.aborted || attempt + 1 >= one.attemptsMax) return settle(one, outcome)
      await deps.clock.sleep(backoff(attempt, settings.firstWaitMs, settings.mostWaitMs), hurry.signal).catch(() => undefined)
    }
  }

  const next = (): void => {
    for (const [ref, one] of waiting) {
      if (underWay.size >= settings.atOnceMax) break
      waiting.delete(ref)
      const done: Promise<void> = revoke(one)
        .catch(() => settle(one, 'unavailable'))
        .finally(() => {
          underWay.delete(done)
          next()
        })
      underWay.add(done)
    }
    gauge()
  }

  const allTried = async (): Promise<void> => {
    while (underWay.size > 0) await Promise.all(underWay)
  }

  return {
    add: (session, reason, who = whoOf(session)) => {
      const { ref } = session
      const token = session.grant.refreshToken
      const how = BY_REASON[reason]
      if (!token || how === 'never' || lately.has(ref)) return
      lately.add(ref)
      forgetOldest(lately, 10 * settings.waitingMax)
      if (waiting.size >= settings.waitingMax) {
        const [oldest] = waiting.values()
        if (oldest) waiting.delete(oldest.ref)
        if (oldest) settle(oldest, 'unavailable')
      }
      waiting.set(ref, { ref, token, who: { ...who, sessionRef: ref }, attemptsMax: how === 'insist' ? settings.attemptsMax : 1 })
      next()
    },
    drain: async (most) => {
      const done = new AbortController()
      const late = deps.clock.sleep(most, done.signal).catch(() => undefined)
      hurry.abort(new Error('draining'))
      await Promise.race([allTried(), late])
      done.abort()
      return waiting.size + underWay.size
    },
    get size() {
      return waiting.size + underWay.size
    },
  }
}

/** Ends that this replica hears of, with the session in its hands: whoever ended it, here or elsewhere. @returns stops following */
export const revokeWithSessions = (store: Pick<SessionStore, 'onEnded'>, revocations: Pick<Revocations, 'add'>): (() => void) =>
  store.onEnded(({ session, reason }) => {
    if (session) revocations.add(session, reason)
  })

const whoOf = ({ card }: Session): AuditWho => ({ provider: card.provider, subject: card.subject, tenant: card.tenant })

const forgetOldest = (set: Set<unknown>, max: number): void => {
  if (set.size <= max) return
  for (const oldest of set) {
    set.delete(oldest)
    return
  }
}
