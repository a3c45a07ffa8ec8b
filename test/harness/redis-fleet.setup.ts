import type { TestProject } from 'vitest/node'
import './provided.ts'
import { startRedisCluster, startRedisSentinels } from './redis-fleet.ts'
import { findValkey } from './redis-program.ts'
import { type RedisServer, startRedisServer } from './redis-server.ts'
import { findProgram } from './redis.setup.ts'

const startValkey = async (): Promise<RedisServer | undefined> => {
  try {
    return await startRedisServer(findValkey(), { args: ['--appendonly', 'no'] })
  } catch (error) {
    const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : 'unknown'
    process.stdout.write(`[redis] NO VALKEY (${why}): the contract is not tried on it. Install valkey-server.\n`)
    return undefined
  }
}

/** Set-up of the contract group: a Cluster, a primary behind sentinels, and a Valkey, started once, shared by all its workers. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const valkey = await startValkey()
  project.provide('valkeyUrl', valkey?.url ?? null)
  const program = await findProgram()
  if (!program) {
    project.provide('redisCluster', null)
    project.provide('redisSentinels', null)
    process.stdout.write('[redis] NO CLUSTER, NO SENTINELS: the contract is not tried on them. Install redis-server.\n')
    return async () => void (await valkey?.stop())
  }
  const cluster = await startRedisCluster(program)
  const sentinels = await startRedisSentinels(program, { ready: false })
  project.provide('redisCluster', cluster.ports)
  project.provide('redisSentinels', sentinels.ports)
  process.stdout.write(`[redis] a Cluster of three, a primary with two replicas behind three sentinels${valkey ? ', and a Valkey' : ''}\n`)
  return async () => {
    await cluster.stop()
    await sentinels.stop()
    await valkey?.stop()
  }
}
