import { describe } from 'vitest'
import { sharedCluster, sharedSentinels } from '../harness/redis.ts'
import { sessionDirectoryContract } from './session-directory.ts'
import { redisWorld } from './session-store-kit.ts'

describe.each([
  ['a Cluster of three', sharedCluster],
  ['Sentinel', sharedSentinels],
] as const)('with %s', (name, servers) => {
  describe.skipIf(!servers)('found', () => {
    sessionDirectoryContract(name, () => redisWorld(servers ? { servers } : ''))
  })
})
