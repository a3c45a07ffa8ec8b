import type { CredentialBoard } from '../domain/credential.ts'
import type { SessionDirectory } from '../domain/session-directory.ts'
import type { OnceStore, SessionStore } from '../domain/session-store.ts'
import { millis } from '../kernel/time.ts'
import { createMemoryCredentialBoard } from './credential-board.ts'
import { createSessionDirectory } from './directory.ts'
import { createMemoryChannel } from './event-channel-memory.ts'
import { createMemoryOnceStore } from './once-store.ts'
import { createMemoryRecords } from './records-memory.ts'
import { createSessionStore } from './session-store.ts'
import type { SessionStoreDeps } from './session-store.ts'

export interface Stores {
  readonly sessions: SessionStore
  readonly once: OnceStore
  readonly directory: SessionDirectory
  readonly credentials: CredentialBoard
}

/** What both kinds of store need from assembly. */
export type StoreDeps = Omit<SessionStoreDeps, 'records' | 'connection' | 'channel'>

/** Sessions of this process: gone with it, and not shared. For the demo, development and tests. */
export const createMemoryStores = (deps: StoreDeps): Stores => {
  const { announce, open } = createMemoryChannel()
  const since = deps.clock.now()
  const records = createMemoryRecords({ clock: deps.clock, announce })
  return {
    sessions: createSessionStore({
      ...deps,
      records,
      channel: open(),
      connection: {
        reachable: () => true,
        connectedSince: () => since,
        serverAge: () => millis(Number.POSITIVE_INFINITY),
        onReplaced: () => {},
        onReachable: (listener) => listener(),
        close: async () => {},
      },
    }),
    once: createMemoryOnceStore(deps),
    directory: createSessionDirectory({ ...deps, records, idleTimeoutMs: deps.settings.idleTimeoutMs }),
    credentials: createMemoryCredentialBoard(),
  }
}
