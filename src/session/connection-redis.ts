import { readFileSync } from 'node:fs'
import { Redis } from 'ioredis'
import type { RedisOptions } from 'ioredis'
import type { Metrics } from '../domain/metric.ts'
import { backoff } from '../kernel/backoff.ts'
import type { Log } from '../kernel/ports.ts'
import type { Secret } from '../kernel/secret.ts'
import { millis } from '../kernel/time.ts'
import type { Clock } from '../kernel/time.ts'
import type { StoreConnection } from './records.ts'
import type { Script } from './scripts-redis.ts'
import { causeOf } from './cause-redis.ts'

export interface RedisSettings {
  /** `redis://` or `rediss://`, host, port, database as the path. No password in it. */
  readonly url: string
  readonly username: string | undefined
  /** As read with the configuration; a file wins over it. */
  readonly password?: Secret<'redis-password'> | undefined
  /** Read again at each connection, so that a rotated password needs no restart. */
  readonly passwordFile: string | undefined
  readonly caFile: string | undefined
  /** For SNI and the certificate, when it is not the host of the URL. */
  readonly serverName: string | undefined
  readonly keyPrefix: string
}

export interface RedisDeps {
  readonly settings: RedisSettings
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}

/** Long enough for a slow fork of Redis, short enough for a browser; a command that took longer may still have been done. */
const COMMAND_TIMEOUT_MS = 300
const HEARTBEAT_MS = 1_000
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
  // A link that died without a word: a heartbeat is always under way, so silence this long means nobody is there.
  socketTimeout: 3_000,
  // A demoted primary answers READONLY: connect anew, to whoever the name leads to now. Not resent.
  reconnectOnError: (error: Error) => causeOf(error) === 'readonly',
} as const satisfies RedisOptions

/** A client of ioredis as this room uses it: one that says nothing on the console and takes file contents as they are at each connection. */
export const openClient = (
  { settings, log }: Pick<RedisDeps, 'settings' | 'log'>,
  extra: { readonly protocol?: 2; readonly commandTimeout?: number },
): Redis => {
  const url = new URL(settings.url)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const options: RedisOptions & { readonly replyMapping?: 'legacy' } = {
    ...FAIL_FAST,
    commandTimeout: COMMAND_TIMEOUT_MS,
    host,
    port: url.port === '' ? 6379 : Number(url.port),
    db: Number(url.pathname.slice(1) || '0'),
    ...(settings.username !== undefined && { username: settings.username }),
    ...(settings.password !== undefined && { password: settings.password.reveal() }),
    ...(url.protocol === 'rediss:' && {
      // Said, because Node leaves it to NODE_TLS_REJECT_UNAUTHORIZED otherwise.
      tls: {
        rejectUnauthorized: true,
        servername: settings.serverName ?? host,
        ...(settings.caFile !== undefined && { ca: readFileSync(settings.caFile) }),
      },
    }),
    retryStrategy: (times) => {
      readPassword(client, settings, log)
      return backoff(times - 1, millis(50), millis(1_000))
    },
    ...extra,
  }
  const client: Redis = new Redis(options)
  // Without a listener ioredis prints the error, and with it the address. What is wrong shows at the commands.
  client.on('error', (error: unknown) => log.debug({ cause: causeOf(error) }, 'connection to the store failed'))
  readPassword(client, settings, log)
  return client
}

const readPassword = (client: Redis, { passwordFile }: RedisSettings, log: Log): void => {
  if (passwordFile === undefined) return
  try {
    client.options.password = readFileSync(passwordFile, 'utf8').trimEnd()
  } catch {
    log.warn({ file: passwordFile }, 'the password file of the store cannot be read')
  }
}

export interface RedisConnection extends StoreConnection {
  /** One command or script; `unavailable` for whatever kept its answer from us. It may have been done all the same. */
  call<T>(command: string, send: (client: Redis) => Promise<T>): Promise<T | 'unavailable'>
  /** EVALSHA; a server that does not know the script has not run it, so that sending it whole is no repetition. */
  run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>
}

/** The connection for commands. It connects by itself and goes on trying; nobody waits for it. */
export const connectRedis = (deps: RedisDeps): RedisConnection => {
  const { clock, log, metrics } = deps
  const client = openClient(deps, {})
  const listeners = new Set<() => void>()
  let up = false
  let since = clock.now()
  let complainedAt = Number.NEGATIVE_INFINITY

  const answered = (): void => {
    if (up) return
    up = true
    // A connection that merely woke up counts as well: what others did meanwhile may still be on its way (spec §5, the mark's finder).
    since = clock.now()
    log.info({}, 'the store answers')
    for (const listener of listeners) listener()
  }
  const failed = (command: string, cause: string): void => {
    const silent = cause === 'timeout' || cause === 'closed' || cause === 'loading'
    const wasUp = up
    if (silent) up = false
    const now = clock.now()
    if ((silent && wasUp) || now - complainedAt > 10_000) {
      complainedAt = now
      log.warn({ cause, code: command }, 'a call to the store failed')
    }
  }

  const call: RedisConnection['call'] = async (command, send) => {
    const started = performance.now()
    const observe = (outcome: string): void =>
      metrics.observe('sallyport_store_call_seconds', (performance.now() - started) / 1000, { command, outcome })
    try {
      const answer = await send(client)
      observe('ok')
      answered()
      return answer
    } catch (error) {
      // The one door: ioredis errors carry the command with its arguments, and go no further.
      const cause = causeOf(error)
      observe(cause)
      failed(command, cause)
      return 'unavailable'
    }
  }

  const beat = (): void => void call('ping', (redis) => redis.ping())
  client.on('ready', beat)
  client.on('close', () => {
    up = false
  })
  const heart = setInterval(beat, HEARTBEAT_MS).unref()
  client.connect().catch(() => undefined) // goes on by retryStrategy

  return {
    call,
    run: (script, keys, args) =>
      call(script.name, async (redis) => {
        try {
          return await redis.evalsha(script.sha, keys.length, ...keys, ...args)
        } catch (error) {
          if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
          return redis.eval(script.lua, keys.length, ...keys, ...args)
        }
      }),
    reachable: () => up,
    connectedSince: () => since,
    onReachable: (listener) => void listeners.add(listener),
    close: async () => {
      clearInterval(heart)
      client.disconnect()
    },
  }
}
