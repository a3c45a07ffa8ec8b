import { describe } from 'vitest'
import { sharedCluster } from '../harness/redis.ts'
import { brokerOverStore } from './broker-over-store.ts'
import { redisWorld } from './session-store-kit.ts'

const servers = sharedCluster
describe.skipIf(!servers)('with a Redis Cluster', () => {
  brokerOverStore('a Redis Cluster', () => redisWorld(servers ? { servers } : ''), { recoveries: false })
})
