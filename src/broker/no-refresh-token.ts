import type { Session } from '../domain/session.ts'
import type { Instant } from '../kernel/time.ts'
import type { Tools } from './deps.ts'
import { endUnrenewed } from './endings.ts'
import { isConfirmedWithin } from './freshness.ts'
import type { Step } from './renewal.ts'
import { refused } from './renewal.ts'

/**
 * Some providers drop `offline_access` silently (providers.md §9.3). Such a session lives until `recheck` is over; before that only this ask cannot
 * be answered, and the user signs in again for it.
 */
export const withoutRefreshToken = async (tools: Tools, session: Session, now: Instant): Promise<Step> => {
  if (!isConfirmedWithin(session, tools.settings.recheckMs, now)) return endUnrenewed(tools, session, 'recheck-failed')
  tools.log.info(
    { sessionRef: session.ref, hint: 'the provider gave no refresh token: check offline_access and consent' },
    'a session without refresh token cannot be renewed',
  )
  return refused('session.ended')
}
