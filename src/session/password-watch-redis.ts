import type { Redis } from 'ioredis'
import type { Log } from '../kernel/ports.ts'
import { seconds } from '../kernel/time.ts'
import type { Millis } from '../kernel/time.ts'
import type { RedisAccess } from './access-redis.ts'
import { causeOf } from './cause-redis.ts'

const EVERY_MS = seconds(10)

export interface PasswordWatchDeps {
  readonly access: RedisAccess
  readonly username: string | undefined
  readonly log: Log
  /** That are to stay authenticated; asked at each change. */
  readonly connections: () => readonly Redis[]
  readonly everyMs?: Millis | undefined
}

/**
 * A password that changes in its file is told to the connections that stand, by AUTH: none of them is closed, so a rotation makes no storm of
 * reconnects, and servers that let a proof expire are satisfied. One that the server does not know yet leaves the connection as it was.
 * @returns stops
 */
export const watchPassword = ({ access, username, log, connections, everyMs = EVERY_MS }: PasswordWatchDeps): (() => void) => {
  let known = access.password()
  const look = async (): Promise<void> => {
    const password = access.password()
    if (password === undefined || password === known) return
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
    } catch (error) {
      log.warn({ cause: causeOf(error) }, 'the store does not take the changed password yet')
    }
  }
  const timer = setInterval(() => void look(), everyMs).unref()
  return () => clearInterval(timer)
}
