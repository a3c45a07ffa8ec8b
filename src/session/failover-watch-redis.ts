import { causeOf } from './cause-redis.ts'
import { keepConnected, openSentinel } from './client-redis.ts'
import type { ClientDeps } from './client-redis.ts'
import type { RedisAddress } from './settings-redis.ts'

export interface FailoverWatch {
  /** Another server is the primary now: who is still connected to the old one should leave it, whatever it says. */
  onSwitch(listener: () => void): void
  /**
   * Whether a sentinel that names this server has not heard yet. They tell each other within some seconds; the server itself is told later still, and takes
   * writes until then that are lost.
   */
  isReplaced(at: RedisAddress): boolean
  close(): void
}

const NEVER: FailoverWatch = { onSwitch: () => {}, isReplaced: () => false, close: () => {} }
/** Longer than sentinels need to agree; not for ever, because the message that it is the primary again may be missed. */
const BELIEVED_MS = 15_000

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
  let replaced = { host: '', port: 0, until: 0 }
  const stops = sentinel.nodes.map((node) => {
    const client = openSentinel(deps, sentinel, node)
    client.on('ready', () => {
      client
        .subscribe('+switch-master')
        .catch((error: unknown) => log.warn({ cause: causeOf(error) }, 'a sentinel of the store does not tell of failovers'))
    })
    client.on('message', (_channel: string, message: string) => {
      // Once from each sentinel.
      const [name, oldHost = '', oldPort] = message.split(' ') // then the new host and port
      if (name !== sentinel.name || message === toldFor) return
      toldFor = message
      replaced = { host: oldHost, port: Number(oldPort), until: performance.now() + BELIEVED_MS }
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
    isReplaced: ({ host, port }) => host === replaced.host && port === replaced.port && performance.now() < replaced.until,
    close: () => {
      for (const stop of stops) stop()
    },
  }
}
