import type { SessionStore } from '../domain/session-store.ts'
import type { Connections } from '../proxy/connections.ts'

/** Streams end with their session, wherever in the fleet it was ended. @returns stops following */
export const endStreamsWithSessions = (store: Pick<SessionStore, 'onChange'>, open: Pick<Connections, 'endSession'>): (() => void) =>
  store.onChange((change) => {
    if (change.kind === 'ended') open.endSession(change.ref)
  })
