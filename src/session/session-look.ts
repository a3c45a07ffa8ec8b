import type { EndReason, Session, SessionRef } from '../domain/session.ts'
import type { Looked } from '../domain/session-store.ts'
import { after, millis } from '../kernel/time.ts'
import type { Instant } from '../kernel/time.ts'
import type { StoreParts } from './session-store.ts'

/** Without the cookie: is it over? Asked for sessions that nobody asks for: an open stream, a copy in memory. What has passed its time is ended here. */
export const lookAt = async (parts: StoreParts, ref: SessionRef): Promise<Looked> => {
  const { deps, l1, noteEnded } = parts
  const { records, clock, settings } = deps
  const held = l1.sessionOf(ref)
  const end = async (reason: EndReason, session: Session | undefined): Promise<Looked> => {
    await parts.endFound(ref, reason, session)
    return { kind: 'gone' }
  }
  const startedAt = clock.now()
  const check = await records.check(ref)
  switch (check.kind) {
    case 'unavailable':
      return check
    case 'ended':
      noteEnded(ref, check.reason)
      return { kind: 'gone' }
    case 'absent':
      // The store forgets a session at its absolute end; only who holds a copy knows that this is why.
      if (held && held.card.endsAt <= clock.now()) return end('absolute', held)
      l1.drop(ref)
      return { kind: 'gone' }
    case 'found': {
      if (held && held.card.endsAt <= clock.now()) return end('absolute', held)
      const { idleForMs } = check
      // A stamp that ran out stays out (XX): nobody can have used the session between the look and the end.
      if (idleForMs === undefined || idleForMs >= settings.idleTimeoutMs) return end('idle', held)
      return { kind: 'alive', idleEndsAt: after(startedAt, millis(settings.idleTimeoutMs - idleForMs)) }
    }
  }
}

/** Looks at once; the rest comes with the next sweep. */
const BATCH = 100

/**
 * Most sessions end by nobody coming back, and nobody is there to notice. Whoever holds a copy notices: the record goes now instead of at the absolute end,
 * the audit stream says when, and the refresh token can still be revoked. Of many replicas that hold one, the store lets exactly one end it.
 */
export const sweepExpired = async (parts: StoreParts, now: Instant): Promise<void> => {
  const { l1, deps } = parts
  const due = l1.all().filter((entry) => l1.expiry(entry, now) !== undefined)
  for (const entry of due.slice(0, BATCH)) {
    const looked = await lookAt(parts, entry.session.ref)
    if (looked.kind === 'unavailable') return
    // Used meanwhile, by way of another replica.
    if (looked.kind === 'alive') entry.seen.at = after(looked.idleEndsAt, millis(0 - deps.settings.idleTimeoutMs))
  }
}
