import type { SessionStore } from '../domain/session-store.ts'
import type { Clock } from '../kernel/time.ts'
import { after, seconds } from '../kernel/time.ts'
import type { Connections } from '../proxy/connections.ts'

/** Nobody could say whether the session is over: asked again after this. */
const ASK_AGAIN = seconds(1)

/**
 * Streams end with their session, wherever in the fleet it was ended; and when it ends by nobody using it, which no event tells: the store is asked at the
 * predicted moment, because the session may have been used by way of another replica. @returns stops following
 */
export const endStreamsWithSessions = (
  store: Pick<SessionStore, 'onChange' | 'look'>,
  open: Pick<Connections, 'endSession' | 'whenIdle'>,
  clock: Pick<Clock, 'now'>,
): (() => void) => {
  open.whenIdle(async (ref) => {
    const looked = await store.look(ref)
    if (looked.kind === 'gone') return undefined
    return looked.kind === 'alive' ? looked.idleEndsAt : after(clock.now(), ASK_AGAIN)
  })
  return store.onChange((change) => {
    if (change.kind === 'ended') open.endSession(change.ref)
  })
}
