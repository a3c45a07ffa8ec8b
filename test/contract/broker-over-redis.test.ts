import { describe } from 'vitest'
import { sharedRedisUrl } from '../harness/redis.ts'
import { brokerOverStore } from './broker-over-store.ts'
import { redisWorld } from './session-store-kit.ts'

describe.skipIf(!sharedRedisUrl)('with Redis', () => {
  brokerOverStore('Redis', () => redisWorld())
})
