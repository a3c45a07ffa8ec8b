import { describe } from 'vitest'
import { sharedRedisUrl } from '../harness/redis.ts'
import { sessionDirectoryContract } from './session-directory.ts'
import { redisWorld } from './session-store-kit.ts'

describe.skipIf(!sharedRedisUrl)('with Redis', () => {
  sessionDirectoryContract('Redis', () => redisWorld())
})
