import { isIP } from 'node:net'
import { Redis } from 'ioredis'
import type { Cluster, RedisOptions } from 'ioredis'
import { backoff } from '../kernel/backoff.ts'
import type { Log } from '../kernel/ports.ts'
import { millis } from '../kernel/time.ts'
import { createAccess } from './access-redis.ts'
import type { RedisAccess } from './access-redis.ts'
import { causeOf } from './cause-redis.ts'
import type { RedisAddress, RedisSettings, SentinelSettings } from './settings-redis.ts'

/** Long enough for a slow fork of Redis, short enough for a browser; a command that took longer may still have been done. */
const COMMAND_TIMEOUT_MS = 300
/** Stack §2.4: everything fails at once instead of queueing, and nothing is sent twice: a script that took effect must not run again. */
export const FAIL_FAST = {
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
  if ('sentinel' in settings) return open(deps, behindSentinel(settings.sentinel), extra)
  throw new Error('a Cluster is opened by openCluster')
}

/** One server by its address, whatever stands in the settings: a node of a Cluster. */
export const openNode = (deps: ClientDeps, { host, port }: RedisAddress, extra: ClientExtra = {}): Redis =>
  open(deps, { host, port }, extra)

/** One sentinel by its address. */
export const openSentinel = (deps: ClientDeps, sentinel: SentinelSettings, { host, port }: RedisAddress): Redis => {
  const fresh = (access: RedisAccess): Fresh => ({ ...authOf(sentinel.username, access.sentinelPassword()), ...tlsOf(access, host) })
  return open(deps, { host, port, enableReadyCheck: false }, { protocol: 2, commandTimeout: 900 }, fresh)
}

/** Without the mapping of replies, which is part of a client's type. */
type Place = Omit<RedisOptions, 'replyMapping'>
type Fresh = Partial<Pick<RedisOptions, 'username' | 'password' | 'sentinelPassword' | 'tls' | 'sentinelTLS'>>
const authOf = (username: string | undefined, password: string | undefined): Fresh => ({
  ...(username !== undefined && { username }),
  ...(password !== undefined && { password }),
})
const tlsOf = (access: RedisAccess, host: string | undefined): Fresh => {
  const tls = access.tls()
  // SNI takes names only; an address is verified as what it is.
  return tls ? { tls: { ...(host !== undefined && isIP(host) === 0 && { servername: host }), ...tls } } : {}
}

/** What of a client's options may change between two connections. */
export const freshOptions = (settings: RedisSettings, access: RedisAccess, host: string | undefined): Fresh => {
  const fresh: Fresh = { ...authOf(settings.username, access.password()), ...tlsOf(access, host) }
  if (!('sentinel' in settings)) return fresh
  const [sentinelPassword, sentinelTLS] = [access.sentinelPassword(), access.tls()]
  return { ...fresh, ...(sentinelPassword !== undefined && { sentinelPassword }), ...(sentinelTLS && { sentinelTLS }) }
}

const behindSentinel = ({ name, nodes, username }: SentinelSettings): Place => ({
  name,
  sentinels: nodes.map(({ host, port }) => ({ host, port })),
  role: 'master',
  ...(username !== undefined && { sentinelUsername: username }),
  // Our list is the list: what sentinels call each other is often an address that no certificate names.
  updateSentinels: false,
  // ioredis would print what its watchers of sentinels meet on the console; we have our own (failover-watch-redis.ts).
  failoverDetector: false,
  sentinelCommandTimeout: COMMAND_TIMEOUT_MS,
  sentinelRetryStrategy: (times) => backoff(times - 1, millis(50), millis(1_000)),
})

const open = (
  { settings, log, access = createAccess(settings, log) }: ClientDeps,
  place: Place,
  extra: ClientExtra,
  fresh = (from: RedisAccess): Fresh => freshOptions(settings, from, place.host),
): Redis => {
  const first = fresh(access)
  const options: RedisOptions & { readonly replyMapping?: 'legacy' } = {
    ...FAIL_FAST,
    ...place,
    ...first,
    ...(place.sentinels && first.tls && { enableTLSForSentinelMode: true }),
    retryStrategy: (times) => {
      Object.assign(client.options, fresh(access))
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
  // Some errors make ioredis give up for good (a connect that was cancelled while a sentinel was asked); we do not.
  client.on('end', () => void setTimeout(connect, 500).unref())
  connect()
  return () => {
    stopped = true
    client.disconnect()
  }
}
