import { describe } from 'vitest'
import { sharedValkeyUrl } from '../harness/redis.ts'
import { sessionStoreContract } from './session-store.ts'
import { redisWorld } from './session-store-kit.ts'
import { sealedContract } from './session-store-sealed.ts'

describe.skipIf(!sharedValkeyUrl)('with Valkey', () => {
  const open = () => redisWorld({ servers: { url: sharedValkeyUrl ?? '' }, leastRights: true })
  sessionStoreContract('Valkey, as a user with the least rights', open)
  sealedContract('Valkey', open)
})
