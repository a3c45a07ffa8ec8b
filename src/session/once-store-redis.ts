import type { OnceStore } from '../domain/session-store.ts'
import type { RedisConnection } from './connection-redis.ts'
import type { RedisKeys } from './keys-redis.ts'
import { onceName } from './once-store.ts'

export interface RedisOnceDeps {
  readonly connection: RedisConnection
  readonly keys: RedisKeys
}

export const createRedisOnceStore = ({ connection, keys }: RedisOnceDeps): OnceStore => ({
  claim: async (purpose, digest, forMs) => {
    const key = keys.once(purpose, onceName(digest))
    const done = await connection.call('claim', (redis) => redis.set(key, '1', 'PX', forMs, 'NX'))
    return done === 'OK' ? 'first' : done === null ? 'again' : 'unavailable'
  },
  seen: async (purpose, digest) => {
    const found = await connection.call('seen', (redis) => redis.exists(keys.once(purpose, onceName(digest))))
    return found === 'unavailable' ? found : found > 0
  },
  release: async (purpose, digest) => {
    await connection.call('release', (redis) => redis.del(keys.once(purpose, onceName(digest))))
  },
  put: async (purpose, name, sealed, forMs) => {
    const done = await connection.call('put', (redis) => redis.set(keys.oneUse(purpose, onceName(name)), sealed, 'PX', forMs))
    return done === 'OK' ? 'stored' : 'unavailable'
  },
  // GETDEL (Redis 6.2): of two takers one gets it. An answer that is lost takes the record with it; the user is signed out here in any case.
  take: async (purpose, name) => {
    const sealed = await connection.call('take', (redis) => redis.getdel(keys.oneUse(purpose, onceName(name))))
    return sealed ?? 'absent'
  },
})
