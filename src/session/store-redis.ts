import type { RedisDeps } from './connection-redis.ts'
import { redisKeys } from './keys-redis.ts'
import { createRedisCredentialBoard } from './credential-board-redis.ts'
import { createSessionDirectory } from './directory.ts'
import { createRedisOnceStore } from './once-store-redis.ts'
import { openRedis } from './open-redis.ts'
import { createRedisRecords } from './records-redis.ts'
import { createSessionStore } from './session-store.ts'
import type { RedisSettings } from './settings-redis.ts'
import type { StoreDeps, Stores } from './store-memory.ts'
import { withWords } from './word-channel.ts'

export type { RedisSettings } from './settings-redis.ts'

/** Sessions in Redis. Connects in the background and never gives up; `ready()` tells when it has answered once. */
export const createRedisStores = (
  deps: StoreDeps & { readonly redis: RedisSettings; readonly onClock?: RedisDeps['onClock']; readonly watch?: RedisDeps['watch'] },
): Stores => {
  const keys = redisKeys(deps.redis.keyPrefix, deps.app)
  const redis = { settings: deps.redis, clock: deps.clock, log: deps.log, metrics: deps.metrics, onClock: deps.onClock, watch: deps.watch }
  const { connection, channel: plain } = openRedis(redis, keys.channel)
  const { channel, onWord } = withWords(plain)
  const records = createRedisRecords({ connection, keys })
  return {
    sessions: createSessionStore({
      ...deps,
      records,
      channel,
      connection,
    }),
    once: createRedisOnceStore({ connection, keys }),
    directory: createSessionDirectory({ ...deps, records, idleTimeoutMs: deps.settings.idleTimeoutMs }),
    credentials: createRedisCredentialBoard({ connection, keys, onWord }),
  }
}
