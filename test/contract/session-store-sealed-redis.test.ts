import { describe } from 'vitest'
import { sharedRedisUrl } from '../harness/redis.ts'
import { redisWorld } from './session-store-kit.ts'
import { sealedContract } from './session-store-sealed.ts'

describe.skipIf(!sharedRedisUrl)('with Redis', () => {
  sealedContract('Redis', () => redisWorld())
})
