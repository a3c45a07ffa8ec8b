import { createAccess } from './access-redis.ts'
import { connectRedis } from './connection-redis.ts'
import type { RedisConnection, RedisDeps } from './connection-redis.ts'
import { createClusterChannel } from './event-channel-cluster-redis.ts'
import { createRedisChannel } from './event-channel-redis.ts'
import { watchFailover } from './failover-watch-redis.ts'
import type { EventChannel } from './records.ts'

/** Commands and event channel of whatever servers the settings name. */
export const openRedis = (
  deps: RedisDeps,
  channelName: string,
): { readonly connection: RedisConnection; readonly channel: EventChannel } => {
  const access = createAccess(deps.settings, deps.log)
  const failovers = watchFailover({ ...deps, access })
  const all = { ...deps, access, failovers }
  const connection: RedisConnection = connectRedis({ ...all, onDemoted: () => channel.leave?.() })
  const channel: EventChannel =
    'cluster' in deps.settings ? createClusterChannel(all, channelName, connection) : createRedisChannel(all, channelName)
  return {
    connection: {
      ...connection,
      close: async () => {
        failovers.close()
        await connection.close()
      },
    },
    channel,
  }
}
