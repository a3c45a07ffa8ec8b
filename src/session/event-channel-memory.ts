import type { SessionChange } from '../domain/session.ts'
import type { ChannelListener, EventChannel } from './records.ts'

/** The channel of the memory store: always armed, delivers at once. Several stores over the same records hear each other through it. */
export const createMemoryChannel = (): { readonly announce: (change: SessionChange) => void; readonly open: () => EventChannel } => {
  const listeners = new Set<ChannelListener>()
  return {
    announce: (change) => {
      for (const listener of listeners) listener.change(change)
    },
    open: () => {
      let mine: ChannelListener | undefined
      return {
        start: (listener) => {
          mine = listener
          listeners.add(listener)
          listener.armed()
        },
        close: async () => {
          if (mine) listeners.delete(mine)
        },
      }
    },
  }
}
