import { createHash } from 'node:crypto'
import type { CredentialBoard } from '../domain/credential.ts'
import type { RedisConnection } from './connection-redis.ts'
import type { RedisKeys } from './keys-redis.ts'

/** No key without an end, and no shorter end because of a word that lasts less long. */
const lua = `redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 'stored'`
const put = { name: 'credential-word', lua, sha: createHash('sha1').update(lua).digest('hex') }

export interface RedisCredentialBoardDeps {
  readonly connection: RedisConnection
  readonly keys: RedisKeys
}

/** One hash for all words. What is in it is sealed by who writes it and checked by who reads it. */
export const createRedisCredentialBoard = ({ connection, keys }: RedisCredentialBoardDeps): CredentialBoard => ({
  put: async (field, sealed, forMs) =>
    (await connection.run(put, [keys.credentials], [field, sealed, Math.ceil(forMs)])) === 'stored' ? 'stored' : 'unavailable',
  read: async () => {
    const fields = await connection.call('credential-words', (redis) => redis.hgetall(keys.credentials))
    return fields === 'unavailable' ? fields : new Map(Object.entries(fields))
  },
  drop: async (names) => {
    await connection.call('credential-words-over', (redis) => redis.hdel(keys.credentials, ...names))
  },
})
