import { describe } from 'vitest'
import { sharedRedisUrl } from '../harness/redis.ts'
import { logoutNoticesContract } from './logout-notices.ts'
import { redisWorld } from './session-store-kit.ts'

describe.skipIf(!sharedRedisUrl)('with Redis', () => {
  logoutNoticesContract('Redis', () => redisWorld())
})
