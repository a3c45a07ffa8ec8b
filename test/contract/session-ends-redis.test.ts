import { describe } from 'vitest'
import { sharedRedisUrl } from '../harness/redis.ts'
import { sessionEndsContract } from './session-ends.ts'
import { redisWorld } from './session-store-kit.ts'

describe.skipIf(!sharedRedisUrl)('with Redis', () => {
  sessionEndsContract('Redis', () => redisWorld())
})
