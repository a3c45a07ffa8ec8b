import type { Redis, RedisCommander } from 'ioredis'
import { keepConnected, openClient } from './client-redis.ts'
import type { ClientDeps } from './client-redis.ts'

/** Every command of Redis, to one server or to the one of a Cluster that holds the key. */
export type RedisCommands = RedisCommander<{ type: 'default' }>

/** The servers behind one name. */
export interface RedisServersOpen {
  readonly commands: RedisCommands
  /** Those that take writes now, each by the connection that its commands go over. */
  masters(): readonly Redis[]
  /** The connection that a command on this key goes over. */
  masterOf(key: string): Redis | undefined
  /** One of several may be away while the others answer. */
  readonly isCluster: boolean
  /** A connection stands anew; which one, where one does. */
  onReady(listener: (master: Redis | undefined) => void): void
  /** A connection was closed, or the list of servers has changed. */
  onChanged(listener: () => void): void
  /** Something is wrong with the list: ask for it now rather than at the next poll. */
  refresh(): void
  /** Leaves a server that is not what it was, and looks where the name leads to now. */
  leave(): void
  close(): void
}

/** One server, or the primary that the sentinels name. */
export const openOne = (deps: ClientDeps): RedisServersOpen => {
  const client = openClient(deps)
  const all = [client]
  const changed = new Set<() => void>()
  const ready = new Set<(master: Redis) => void>()
  client.on('ready', () => {
    for (const listener of ready) listener(client)
  })
  client.on('close', () => {
    for (const listener of changed) listener()
  })
  const stop = keepConnected(client)
  return {
    commands: client,
    masters: () => all,
    masterOf: () => client,
    isCluster: false,
    onReady: (listener) => void ready.add(listener),
    onChanged: (listener) => void changed.add(listener),
    refresh: () => {},
    // Not while it connects: it asks for the primary just now, and ioredis would give up.
    leave: () => {
      if (client.status === 'ready') client.disconnect(true)
    },
    close: stop,
  }
}
