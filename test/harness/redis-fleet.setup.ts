import type { TestProject } from 'vitest/node'
import './provided.ts'
import { startRedisCluster, startRedisSentinels } from './redis-fleet.ts'
import { findProgram } from './redis.setup.ts'

/** Set-up of the contract group: a Cluster and a primary behind sentinels, started once, shared by all its workers. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const program = await findProgram()
  if (!program) {
    project.provide('redisCluster', null)
    project.provide('redisSentinels', null)
    process.stdout.write('[redis] NO CLUSTER, NO SENTINELS: the contract is not tried on them. Install redis-server.\n')
    return async () => {}
  }
  const cluster = await startRedisCluster(program)
  const sentinels = await startRedisSentinels(program, { ready: false })
  project.provide('redisCluster', cluster.ports)
  project.provide('redisSentinels', sentinels.ports)
  process.stdout.write('[redis] a Cluster of three, and a primary with two replicas behind three sentinels\n')
  return async () => {
    await cluster.stop()
    await sentinels.stop()
  }
}
