import { Redis } from 'ioredis'
import type { Cluster, RedisOptions } from 'ioredis'
import { backoff } from '../kernel/backoff.ts'
import type { Log } from '../kernel/ports.ts'
import { millis } from '../kernel/time.ts'
import { createAccess, usesTls } from './access-redis.ts'
import type { RedisAccess } from './access-redis.ts'
import { causeOf } from './cause-redis.ts'
import { connectorFor } from './connector-redis.ts'
import type { FailoverWatch } from './failover-watch-redis.ts'
import type { RedisAddress, RedisSettings, SentinelSettings } from './settings-redis.ts'

/** For what ioredis asks by itself at a new connection. Commands of ours have less time, see `inTime`. */
const COMMAND_TIMEOUT_MS = 1_000
/** Stack §2.4: everything fails at once instead of queueing, and nothing is sent twice: a script that took effect must not run again. */
const FAIL_FAST = {
  lazyConnect: true,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  // CLIENT SETINFO would be one more right to grant.
  disableClientInfo: true,
  maxRetriesPerRequest: 0,
  connectTimeout: 1_000,
  commandTimeout: COMMAND_TIMEOUT_MS,
  // A link that died without a word: a heartbeat is always under way, so silence this long means nobody is there.
  socketTimeout: 3_000,
  // A demoted primary answers READONLY: connect anew, to whoever the name leads to now. Not resent.
  reconnectOnError: (error: Error) => causeOf(error) === 'readonly',
} as const satisfies RedisOptions

export interface ClientDeps {
  readonly settings: RedisSettings
  readonly log: Log
  readonly access?: RedisAccess | undefined
  readonly failovers?: FailoverWatch | undefined
}
interface ClientExtra {
  readonly protocol?: 2
  readonly commandTimeout?: number
}

/** A client of ioredis as this room uses it: one that says nothing on the console and takes file contents as they are at each connection. */
export const openClient = (deps: ClientDeps, extra: ClientExtra = {}): Redis => {
  const { settings } = deps
  if ('url' in settings) {
    const url = new URL(settings.url)
    const host = url.hostname.replace(/^\[|\]$/g, '')
    return open(deps, { host, port: url.port === '' ? 6379 : Number(url.port), db: Number(url.pathname.slice(1) || '0') }, extra)
  }
  if ('sentinel' in settings) return open(deps, {}, extra, primaryOf(deps, settings.sentinel))
  throw new Error('a Cluster is opened by openCluster')
}

/** One server by its address, whatever stands in the settings: a node of a Cluster. */
export const openNode = (deps: ClientDeps, { host, port }: RedisAddress, extra: ClientExtra = {}): Redis =>
  open(deps, { host, port }, extra)

/** One sentinel by its address. */
export const openSentinel = (deps: ClientDeps, { username }: SentinelSettings, { host, port }: RedisAddress): Redis => {
  const proof = (access: RedisAccess): Proof => proofOf(username, access.sentinelPassword())
  return open(deps, { host, port, enableReadyCheck: false }, { protocol: 2, commandTimeout: 900 }, undefined, proof)
}

/** Asks one sentinel after the other, beginning with the one that answered last. Our list is the list: what they call each other is often a name that no certificate has. */
const primaryOf = (deps: ClientDeps, sentinel: SentinelSettings): (() => Promise<RedisAddress>) => {
  let first = 0
  return async () => {
    const { nodes, name } = sentinel
    for (let i = 0; i < nodes.length; i += 1) {
      const node = nodes[(first + i) % nodes.length]
      const at = node && (await askSentinel(openSentinel(deps, sentinel, node), name))
      // One that has not heard of the failover yet leads back to the server that was just left.
      if (!at || deps.failovers?.isReplaced(at)) continue
      first = (first + i) % nodes.length
      return at
    }
    throw new Error('All sentinels are unreachable')
  }
}

const askSentinel = async (client: Redis, name: string): Promise<RedisAddress | undefined> => {
  try {
    await client.connect()
    const answer = await client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name)
    const [host, port]: readonly unknown[] = Array.isArray(answer) ? answer : []
    return typeof host === 'string' ? { host, port: Number(port) } : undefined
  } catch {
    return undefined
  } finally {
    client.disconnect()
  }
}

type Proof = Partial<Pick<RedisOptions, 'username' | 'password'>>
export const proofOf = (username: string | undefined, password: string | undefined): Proof => ({
  ...(username !== undefined && { username }),
  ...(password !== undefined && { password }),
})

/** What every client and every node of a Cluster has in common. `tls` says that there is TLS; how, the connector decides each time. */
export const commonOptions = (
  settings: RedisSettings,
  access: RedisAccess,
  find?: () => Promise<RedisAddress>,
  failovers?: FailoverWatch,
) => ({
  ...FAIL_FAST,
  Connector: connectorFor(access, find, (at) => failovers?.isReplaced(at) ?? false),
  ...(usesTls(settings) && { tls: {} }),
})

/** Without the mapping of replies, which is part of a client's type. */
type Place = Omit<RedisOptions, 'replyMapping'>

const open = (
  { settings, log, access = createAccess(settings, log), failovers }: ClientDeps,
  place: Place,
  extra: ClientExtra,
  find?: () => Promise<RedisAddress>,
  proof = (from: RedisAccess): Proof => proofOf(settings.username, from.password()),
): Redis => {
  const options: RedisOptions & { readonly replyMapping?: 'legacy' } = {
    ...commonOptions(settings, access, find, failovers),
    ...place,
    ...proof(access),
    retryStrategy: (times) => {
      Object.assign(client.options, proof(access))
      return backoff(times - 1, millis(50), millis(1_000))
    },
    ...extra,
  }
  const client: Redis = new Redis(options)
  // Without a listener ioredis prints the error, and with it the address. What is wrong shows at the commands.
  client.on('error', (error: unknown) => log.debug({ cause: causeOf(error) }, 'connection to the store failed'))
  return client
}

/** Connects and goes on trying until stopped. @returns stops, and disconnects */
export const keepConnected = (client: Redis | Cluster): (() => void) => {
  let stopped = false
  const connect = (): void => {
    if (!stopped) client.connect().catch(() => undefined) // goes on by its retry strategy
  }
  // Where no sentinel answers, and where a connect was cancelled, ioredis gives up for good; we do not.
  client.on('end', () => void setTimeout(connect, 500).unref())
  connect()
  return () => {
    stopped = true
    client.disconnect()
  }
}
