import type { Settings } from '../config/settings.ts'
import type { AdminKeys } from '../contract/admin.ts'
import { keyringStatus } from '../crypto/keyring-status.ts'
import type { AuditSink } from '../domain/audit-event.ts'
import type { AdminServerDeps } from '../edge/admin-server.ts'
import { endSession } from '../flows/end-sessions.ts'
import { endSessions, listSessions } from '../flows/session-admin.ts'
import { after, between } from '../kernel/time.ts'
import type { Clock, Instant } from '../kernel/time.ts'
import type { Rooms } from './rooms.ts'

/** What operators may ask of sessions and keys. */
export const adminSessions = (
  { keysSettleMs }: Pick<Settings['session'], 'keysSettleMs'>,
  { store, directory, provider, keyring }: Pick<Rooms, 'store' | 'directory' | 'provider' | 'keyring'>,
  audit: AuditSink,
  clock: Clock,
  /** Which the keyring goes by. */
  keyringClock: Pick<Clock, 'now'>,
): AdminServerDeps['sessions'] => {
  const deps = { store, directory, provider, audit, clock }
  return {
    list: (filter, cursor, limit) => listSessions(deps, filter, cursor, limit),
    find: (ref) => directory.find(ref),
    end: async (ref, requestId) => {
      // For the audit trail: whose it was. Ended all the same when that cannot be told.
      const found = await directory.find(ref)
      const whose =
        typeof found === 'string' ? {} : { subject: found.card.subject, tenant: found.card.tenant, provider: found.card.provider }
      return endSession(deps, ref, 'admin', { requestId, ...whose })
    },
    endMany: (filter, cursor, requestId) => endSessions(deps, filter, cursor, { requestId }),
    keys: async () => {
      const usage = await directory.keyUsage()
      if (usage === 'unavailable') return usage
      // Since when a key has been here is told in the time of those who read it, as is until when it is needed.
      const ahead = between(keyringClock.now(), clock.now())
      const ring = keyring.present().map((key) => ({ ...key, since: after(key.since, ahead) }))
      const { keys, absent } = keyringStatus(ring, usage, keysSettleMs, clock.now())
      return {
        settle_ms: keysSettleMs,
        keys: keys.map((key) => ({
          kid: key.kid,
          state: key.state,
          present_since: iso(key.presentSince),
          seals_from: isoOrNull(key.sealsFrom),
          needed_until: isoOrNull(key.neededUntil),
          may_go_from: isoOrNull(key.mayGoFrom),
        })),
        absent: absent.map(({ kid, neededUntil }) => ({ kid, needed_until: iso(neededUntil) })),
      } satisfies AdminKeys
    },
  }
}

const iso = (at: Instant): string => new Date(at).toISOString()
const isoOrNull = (at: Instant | undefined): string | null => (at === undefined ? null : iso(at))
