import { describe } from 'vitest'
import { sharedCluster } from '../harness/redis.ts'
import { sessionStoreContract } from './session-store.ts'
import { redisWorld } from './session-store-kit.ts'
import { sealedContract } from './session-store-sealed.ts'

const servers = sharedCluster
describe.skipIf(!servers)('with a Cluster of three', () => {
  const open = () => redisWorld(servers ? { servers, leastRights: true } : '')
  sessionStoreContract('a Cluster of three, as a user with the least rights', open)
  sealedContract('a Cluster of three', open)
})
