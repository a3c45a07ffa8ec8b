import { describe } from 'vitest'
import { sharedRedisUrl } from '../harness/redis.ts'
import { sessionStoreContract } from './session-store.ts'
import { redisWorld } from './session-store-kit.ts'

describe.skipIf(!sharedRedisUrl)('with Redis', () => {
  sessionStoreContract('Redis, as a user with the least rights', () =>
    redisWorld({ servers: { url: sharedRedisUrl ?? '' }, leastRights: true }),
  )
})
