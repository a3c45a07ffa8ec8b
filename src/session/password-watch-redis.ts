import type { Redis } from 'ioredis'
import type { FileLook, FileWatch, Watched } from '../kernel/file-watch.ts'
import type { Log } from '../kernel/ports.ts'
import type { RedisAccess } from './access-redis.ts'
import { causeOf } from './cause-redis.ts'

export interface PasswordWatchDeps {
  readonly access: RedisAccess
  readonly username: string | undefined
  readonly log: Log
  readonly watch: FileWatch
  /** That are to stay authenticated; asked at each change. */
  readonly connections: () => readonly Redis[]
}

/**
 * A password that changes in its file is told to the connections that stand, by AUTH: none of them is closed, so a rotation makes no storm of
 * reconnects, and servers that let a proof expire are satisfied. One that the server does not know yet leaves the connection as it was.
 */
export const watchPassword = ({ access, username, log, watch, connections }: PasswordWatchDeps): Watched => {
  let known = access.password()
  let refused: string | undefined
  const look = async (): Promise<FileLook> => {
    const password = await access.passwordSoon()
    if (password === undefined || password === known) return { outcome: 'unchanged' }
    try {
      await Promise.all(
        connections().map(async (client) => {
          client.options.password = password
          if (client.status !== 'ready') return // its next connection uses it
          await (username === undefined ? client.auth(password) : client.auth(username, password))
        }),
      )
      known = password
      log.info({}, 'the changed password of the store is in use')
      return { outcome: 'replaced' }
    } catch (error) {
      if (refused !== password) log.warn({ cause: causeOf(error) }, 'the store does not take the changed password yet')
      refused = password
      return { outcome: 'kept' }
    }
  }
  return watch.add('session.store.redis.password_file', look)
}
