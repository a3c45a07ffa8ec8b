import { describe } from 'vitest'
import { sharedSentinels } from '../harness/redis.ts'
import { brokerOverStore } from './broker-over-store.ts'
import { redisWorld } from './session-store-kit.ts'

const servers = sharedSentinels
describe.skipIf(!servers)('with Redis behind sentinels', () => {
  brokerOverStore('Redis behind sentinels', () => redisWorld(servers ? { servers } : ''), { recoveries: false })
})
