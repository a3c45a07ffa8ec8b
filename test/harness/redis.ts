import { randomBytes } from 'node:crypto'
import { inject } from 'vitest'
import './provided.ts'
import { type RedisRequest, type RedisServer, startRedisServer } from './redis-server.ts'

export type { RedisServer } from './redis-server.ts'

/** The Redis all workers share; `undefined` where there is none: `describe.skipIf(!sharedRedisUrl)`. Take a `keyPrefix()` of your own. */
export const sharedRedisUrl: string | undefined = inject('redisUrl') ?? undefined

/** For `skipIf(!canStartRedis)`. */
export const canStartRedis: boolean = inject('redisProgram') !== null

/** No two calls, workers or runs share keys. */
export const keyPrefix = (): string => `t-${process.pid}-${randomBytes(6).toString('hex')}`

/** A Redis of your own, to freeze, kill and restart. Stop it in `afterEach`/`afterAll`. */
export const startRedis = async (request: RedisRequest = {}): Promise<RedisServer> => {
  const program = inject('redisProgram')
  if (!program) throw new Error('no Redis program here: guard the test with skipIf(!canStartRedis)')
  return startRedisServer(program, request)
}
