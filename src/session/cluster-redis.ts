import { Cluster } from 'ioredis'
import type { ClusterOptions, Redis, RedisOptions } from 'ioredis'
import { backoff } from '../kernel/backoff.ts'
import { millis } from '../kernel/time.ts'
import { createAccess } from './access-redis.ts'
import { causeOf } from './cause-redis.ts'
import { commonOptions, keepConnected, proofOf } from './client-redis.ts'
import type { ClientDeps } from './client-redis.ts'
import type { RedisServersOpen } from './servers-redis.ts'
import { slotOf } from './slot.ts'

/** Each look opens a connection of its own (ioredis), so not at every heartbeat; a redirection or a lost node looks at once. */
const TOPOLOGY_EVERY_MS = 5_000

/**
 * A Cluster. ioredis repeats a command whose connection was lost unless told otherwise: here only those are sent again that a server refused
 * without running them (MOVED, ASK, TRYAGAIN), a few times.
 */
export const openCluster = (deps: ClientDeps): RedisServersOpen => {
  const { settings, log } = deps
  if (!('cluster' in settings)) throw new Error('not the settings of a Cluster')
  const access = deps.access ?? createAccess(settings, log)
  const proof = () => proofOf(settings.username, access.password())
  const redisOptions: RedisOptions & { readonly replyMapping?: 'legacy' } = {
    ...commonOptions(settings, access),
    ...proof(),
  }
  const options: ClusterOptions & { readonly redisOptions: typeof redisOptions } = {
    lazyConnect: true,
    enableOfflineQueue: false,
    // CLUSTER INFO would be one more right; our heartbeats say which nodes answer.
    enableReadyCheck: false,
    redisOptions,
    scaleReads: 'master',
    maxRedirections: 4,
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    retryDelayOnTryAgain: 20,
    slotsRefreshTimeout: 1_000,
    slotsRefreshInterval: TOPOLOGY_EVERY_MS,
    clusterRetryStrategy: (times) => backoff((times ?? 1) - 1, millis(50), millis(1_000)),
    // Names stay names: certificates are for them.
    dnsLookup: (address, callback) => callback(null, address),
  }
  const cluster = new Cluster(
    settings.cluster.nodes.map(({ host, port }) => ({ host, port })),
    options,
  )
  const changed = new Set<() => void>()
  const ready = new Set<(master: Redis | undefined) => void>()
  const tell = (listeners: ReadonlySet<(master: Redis | undefined) => void>, master?: Redis): void => {
    for (const listener of listeners) listener(master)
  }
  cluster.on('error', (error: unknown) => log.debug({ cause: causeOf(error) }, 'connection to the store failed'))
  cluster.on('node error', (error: unknown) => log.debug({ cause: causeOf(error) }, 'connection to the store failed'))
  // Told before the node connects, so that what the files say now is what it proves itself with.
  cluster.on('+node', (node: Redis) => {
    Object.assign(node.options, proof())
    node.on('ready', () => tell(ready, node))
    tell(changed)
  })
  cluster.on('-node', () => {
    tell(changed)
    cluster.refreshSlotsCache()
  })
  // The slots are known; the nodes connect with their first command, which is the heartbeat that this asks for.
  cluster.on('ready', () => tell(ready))
  const stop = keepConnected(cluster)
  const masters = (): readonly Redis[] => cluster.nodes('master')
  return {
    commands: cluster,
    masters,
    masterOf: (key) => {
      const address = cluster.slots[slotOf(key)]?.[0]
      return masters().find(({ options: { host, port } }) => `${host}:${port}` === address)
    },
    isCluster: true,
    onReady: (listener) => void ready.add(listener),
    onChanged: (listener) => void changed.add(listener),
    refresh: () => cluster.refreshSlotsCache(),
    leave: () => cluster.refreshSlotsCache(),
    close: stop,
  }
}
