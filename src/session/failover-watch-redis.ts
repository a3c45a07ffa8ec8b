import { causeOf } from './cause-redis.ts'
import { keepConnected, openSentinel } from './client-redis.ts'
import type { ClientDeps } from './client-redis.ts'

export interface FailoverWatch {
  /** Another server is the primary now: who is still connected to the old one should leave it, whatever it says. */
  onSwitch(listener: () => void): void
  close(): void
}

const NEVER: FailoverWatch = { onSwitch: () => {}, close: () => {} }

/**
 * Listens to every sentinel. A primary that was cut off from them, but not from us, would go on taking our writes, and lose them when it is found
 * again: nothing closes our connections to it before.
 */
export const watchFailover = (deps: ClientDeps): FailoverWatch => {
  const { settings, log } = deps
  if (!('sentinel' in settings)) return NEVER
  const { sentinel } = settings
  const listeners = new Set<() => void>()
  let toldFor = ''
  const stops = sentinel.nodes.map((node) => {
    const client = openSentinel(deps, sentinel, node)
    client.on('ready', () => {
      client
        .subscribe('+switch-master')
        .catch((error: unknown) => log.warn({ cause: causeOf(error) }, 'a sentinel of the store does not tell of failovers'))
    })
    client.on('message', (_channel: string, message: string) => {
      // name, old host, old port, new host, new port; once from each sentinel
      if (message.split(' ')[0] !== sentinel.name || message === toldFor) return
      toldFor = message
      log.warn({}, 'another server of the store was made the primary')
      for (const listener of listeners) listener()
    })
    const beat = setInterval(() => void client.ping().catch(() => undefined), 1_000).unref()
    const stop = keepConnected(client)
    return () => {
      clearInterval(beat)
      stop()
    }
  })
  return {
    onSwitch: (listener) => void listeners.add(listener),
    close: () => {
      for (const stop of stops) stop()
    },
  }
}
