import { createHash } from 'node:crypto'
import type { CredentialBoard } from '../domain/credential.ts'
import type { RedisConnection } from './connection-redis.ts'
import type { RedisKeys } from './keys-redis.ts'
import type { WordChannel } from './word-channel.ts'

/** No key without an end, and no shorter end because of a word that lasts less long. What is announced is announced first, as in scripts-redis.ts. */
const lua = `if ARGV[4] ~= '' then redis.call('PUBLISH', ARGV[4], '{"kind":"word","field":"' .. ARGV[1] .. '"}') end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 'stored'`
const put = { name: 'credential-word', lua, sha: createHash('sha1').update(lua).digest('hex') }

export interface RedisCredentialBoardDeps {
  readonly connection: RedisConnection
  readonly keys: RedisKeys
  readonly onWord: WordChannel['onWord']
}

/** One hash for all words. What is in it is sealed by who writes it and checked by who reads it. */
export const createRedisCredentialBoard = ({ connection, keys, onWord }: RedisCredentialBoardDeps): CredentialBoard => ({
  put: async (field, sealed, forMs, isTold) => {
    const done = await connection.run(put, [keys.credentials], [field, sealed, Math.ceil(forMs), isTold ? keys.channel : ''])
    return done === 'stored' ? 'stored' : 'unavailable'
  },
  read: async () => {
    const fields = await connection.call('credential-words', (redis) => redis.hgetall(keys.credentials))
    return fields === 'unavailable' ? fields : new Map(Object.entries(fields))
  },
  drop: async (names) => {
    await connection.call('credential-words-over', (redis) => redis.hdel(keys.credentials, ...names))
  },
  onTold: onWord,
})
