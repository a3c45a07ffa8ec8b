import type { EventChannel } from './records.ts'

export interface WordChannel {
  readonly channel: EventChannel
  /** undefined: the channel is up (again), and what was said meanwhile was not heard. */
  onWord(listener: (field: string | undefined) => void): void
}

/** The event channel of the sessions also tells that something was put on the board of credentials. */
export const withWords = (channel: EventChannel): WordChannel => {
  const listeners = new Set<(field: string | undefined) => void>()
  const tell = (field: string | undefined): void => {
    for (const listener of listeners) listener(field)
  }
  return {
    channel: {
      ...channel,
      start: (listener) =>
        channel.start({
          ...listener,
          word: tell,
          armed: () => {
            listener.armed()
            tell(undefined)
          },
        }),
    },
    onWord: (listener) => void listeners.add(listener),
  }
}
