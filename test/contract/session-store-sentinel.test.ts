import { describe } from 'vitest'
import { sharedSentinels } from '../harness/redis.ts'
import { sessionStoreContract } from './session-store.ts'
import { redisWorld } from './session-store-kit.ts'
import { sealedContract } from './session-store-sealed.ts'

const servers = sharedSentinels
describe.skipIf(!servers)('with Redis behind sentinels', () => {
  const open = () => redisWorld(servers ? { servers } : '')
  sessionStoreContract('Redis behind sentinels', open)
  sealedContract('Redis behind sentinels', open)
})
