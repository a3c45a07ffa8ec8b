import { Cluster, Redis } from 'ioredis'
import { describe } from 'vitest'
import { systemClock } from '../../src/kernel/time.ts'
import { createRedisCredentialBoard } from '../../src/session/credential-board-redis.ts'
import { redisKeys } from '../../src/session/keys-redis.ts'
import { openRedis } from '../../src/session/open-redis.ts'
import { withWords } from '../../src/session/word-channel.ts'
import { createLeastUser } from '../harness/redis-rights.ts'
import { keyPrefix, sharedCluster, sharedRedisUrl } from '../harness/redis.ts'
import { credentialWordsContract } from './credential-words.ts'
import { Recorder } from './session-store-kit.ts'

type Servers = { readonly url: string } | NonNullable<typeof sharedCluster>

const open = async (servers: Servers) => {
  const prefix = keyPrefix()
  const keys = redisKeys(prefix, 'default')
  const recorder = new Recorder()
  const raw = 'url' in servers ? new Redis(servers.url) : new Cluster([...servers.cluster.nodes])
  if (raw instanceof Cluster) await raw.ping() // its nodes are known then
  const nodes = raw instanceof Cluster ? raw.nodes('master') : [raw]
  const rights = await createLeastUser(nodes, prefix)
  const opened: { close(): Promise<void> }[] = []
  return {
    board: async () => {
      const settings = { ...servers, keyPrefix: prefix, caFile: undefined, serverName: undefined, ...rights.proof }
      const { connection, channel } = openRedis(
        { settings, clock: systemClock, log: recorder.log, metrics: recorder.metrics },
        keys.channel,
      )
      opened.push(connection, channel)
      const words = withWords(channel)
      await Promise.all([
        new Promise<void>((resolve) => connection.onReachable(resolve)),
        new Promise<void>((armed) => words.channel.start({ armed, change: () => undefined, lost: () => undefined, beat: () => undefined })),
      ])
      return createRedisCredentialBoard({ connection, keys, onWord: words.onWord })
    },
    endless: async () => {
      const all = (await Promise.all(nodes.map((node) => node.keys(`${prefix}:*`)))).flat()
      const times = await Promise.all(all.map((key) => raw.pttl(key)))
      return all.length === 0 ? ['nothing was written'] : all.filter((_key, i) => (times[i] ?? 0) < 0)
    },
    close: async () => {
      for (const one of opened) await one.close()
      await rights.remove()
      raw.disconnect()
    },
  }
}

describe.skipIf(!sharedRedisUrl)('with Redis', () => {
  credentialWordsContract('Redis', () => open({ url: sharedRedisUrl ?? '' }))
})

const cluster = sharedCluster
describe.skipIf(!cluster)('with a Cluster of three', () => {
  credentialWordsContract('a Cluster of three', () => open(cluster ?? { url: '' }))
})
