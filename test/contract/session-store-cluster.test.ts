import { describe } from 'vitest'
import { sharedCluster } from '../harness/redis.ts'
import { sessionStoreContract } from './session-store.ts'
import { redisWorld } from './session-store-kit.ts'
import { sealedContract } from './session-store-sealed.ts'

const servers = sharedCluster
describe.skipIf(!servers)('with a Cluster of three', () => {
  const open = () => redisWorld(servers ? { servers } : '')
  sessionStoreContract('a Cluster of three', open)
  sealedContract('a Cluster of three', open)
})
