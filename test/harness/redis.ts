import { randomBytes } from 'node:crypto'
import { inject } from 'vitest'
import './provided.ts'
import { PRIMARY_NAME, type RedisFleet, startRedisSentinels } from './redis-fleet.ts'
import { type RedisRequest, type RedisServer, startRedisServer } from './redis-server.ts'

export type { RedisServer } from './redis-server.ts'

/** The Redis all workers share; `undefined` where there is none: `describe.skipIf(!sharedRedisUrl)`. Take a `keyPrefix()` of your own. */
export const sharedRedisUrl: string | undefined = inject('redisUrl') ?? undefined

/** For `skipIf(!canStartRedis)`. */
export const canStartRedis: boolean = inject('redisProgram') !== null

const address = (port: number) => ({ host: '127.0.0.1', port })
const clusterPorts = inject('redisCluster') ?? undefined
const sentinelPorts = inject('redisSentinels') ?? undefined
/** Shared like the one above, in the contract group; `undefined` elsewhere and where there is none. */
export const sharedCluster = clusterPorts && { cluster: { nodes: clusterPorts.map(address) }, tls: false }
export const sharedSentinels = sentinelPorts && behind(sentinelPorts)

export const sharedValkeyUrl: string | undefined = inject('valkeyUrl') ?? undefined

/** What a store is told of these sentinels. */
export function behind(ports: readonly number[]) {
  return { sentinel: { name: PRIMARY_NAME, nodes: ports.map(address), username: undefined, passwordFile: undefined }, tls: false }
}

/** No two calls, workers or runs share keys. */
export const keyPrefix = (): string => `t-${process.pid}-${randomBytes(6).toString('hex')}`

/** A Redis of your own, to freeze, kill and restart. Stop it in `afterEach`/`afterAll`. */
export const startRedis = async (request: RedisRequest = {}): Promise<RedisServer> => {
  const program = inject('redisProgram')
  if (!program) throw new Error('no Redis program here: guard the test with skipIf(!canStartRedis)')
  return startRedisServer(program, request)
}

/** A primary, two replicas and three sentinels of your own, ready to fail over. */
export const startSentinels = async (): Promise<RedisFleet> => {
  const program = inject('redisProgram')
  if (!program) throw new Error('no Redis program here: guard the test with skipIf(!canStartRedis)')
  return startRedisSentinels(program, { ready: true })
}
