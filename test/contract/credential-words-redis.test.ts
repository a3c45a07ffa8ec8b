import { Redis } from 'ioredis'
import { describe } from 'vitest'
import { systemClock } from '../../src/kernel/time.ts'
import { createRedisCredentialBoard } from '../../src/session/credential-board-redis.ts'
import { redisKeys } from '../../src/session/keys-redis.ts'
import { openRedis } from '../../src/session/open-redis.ts'
import { withWords } from '../../src/session/word-channel.ts'
import { createLeastUser } from '../harness/redis-rights.ts'
import { keyPrefix, sharedRedisUrl } from '../harness/redis.ts'
import { credentialWordsContract } from './credential-words.ts'
import { Recorder } from './session-store-kit.ts'

describe.skipIf(!sharedRedisUrl)('with Redis', () => {
  credentialWordsContract('Redis', async () => {
    const url = sharedRedisUrl ?? ''
    const prefix = keyPrefix()
    const keys = redisKeys(prefix, 'default')
    const recorder = new Recorder()
    const raw = new Redis(url)
    const rights = await createLeastUser([raw], prefix)
    const open: { close(): Promise<void> }[] = []
    return {
      board: async () => {
        const settings = { url, keyPrefix: prefix, caFile: undefined, serverName: undefined, ...rights.proof }
        const { connection, channel } = openRedis(
          { settings, clock: systemClock, log: recorder.log, metrics: recorder.metrics },
          keys.channel,
        )
        open.push(connection, channel)
        const words = withWords(channel)
        await Promise.all([
          new Promise<void>((resolve) => connection.onReachable(resolve)),
          new Promise<void>((armed) =>
            words.channel.start({ armed, change: () => undefined, lost: () => undefined, beat: () => undefined }),
          ),
        ])
        return createRedisCredentialBoard({ connection, keys, onWord: words.onWord })
      },
      endless: async () => {
        const all = await raw.keys(`${prefix}:*`)
        const times = await Promise.all(all.map((key) => raw.pttl(key)))
        return all.length === 0 ? ['nothing was written'] : all.filter((_key, i) => (times[i] ?? 0) < 0)
      },
      close: async () => {
        for (const one of open) await one.close()
        await rights.remove()
        raw.disconnect()
      },
    }
  })
})
