import type { Metrics } from '../domain/metric.ts'
import type { FileWatch, Watched } from '../kernel/file-watch.ts'
import type { Log } from '../kernel/ports.ts'
import { after, between, millis } from '../kernel/time.ts'
import type { Clock, Instant, Millis } from '../kernel/time.ts'
import { createAccess } from './access-redis.ts'
import type { RedisAccess } from './access-redis.ts'
import { causeOf } from './cause-redis.ts'
import { openCluster } from './cluster-redis.ts'
import type { FailoverWatch } from './failover-watch-redis.ts'
import { watchIdentity } from './identity-redis.ts'
import { inTime } from './in-time-redis.ts'
import { watchPassword } from './password-watch-redis.ts'
import type { StoreConnection } from './records.ts'
import { watchReplication } from './replication-redis.ts'
import { scanStep } from './scan-redis.ts'
import type { KeyScan } from './scan-redis.ts'
import type { Script } from './scripts-redis.ts'
import { openOne } from './servers-redis.ts'
import type { RedisCommands, RedisServersOpen } from './servers-redis.ts'
import type { RedisAddress, RedisSettings } from './settings-redis.ts'

export interface RedisDeps {
  readonly settings: RedisSettings
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly access?: RedisAccess | undefined
  readonly failovers?: FailoverWatch | undefined
  /** A server says that it is no primary any more, and no sentinel does: whoever else is connected to it leaves it as well. */
  readonly onDemoted?: (() => void) | undefined
  /** How far the store's clock is ahead of `clock`, with each heartbeat that came back quickly enough to tell. */
  readonly onClock?: ((ahead: Millis) => void) | undefined
  /** Without it files are read with each connection only. */
  readonly watch?: FileWatch | undefined
}

const HEARTBEAT_MS = 1_000
/** Whether there are replicas, and whether the server still is what it was, is looked at with each of so many heartbeats. */
const LOOK_EVERY_BEATS = 5
/** An answer that took longer says too little about the moment it was given. */
const CLOCK_ROUND_TRIP_MAX_MS = 250

export interface RedisConnection extends StoreConnection {
  /** One command or script; `unavailable` for whatever kept its answer from us. It may have been done all the same. */
  call<T>(command: string, send: (client: RedisCommands) => Promise<T>): Promise<T | 'unavailable'>
  /** EVALSHA; a server that does not know the script has not run it, so that sending it whole is no repetition. */
  run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>
  /** One bounded step through the keys that match, of all servers together. @param cursor undefined begins */
  scan(match: string, cursor: string | undefined): Promise<KeyScan | 'unavailable'>
  /** Waits until a replica has what was written under this key, where there are replicas; a tenth of a second at most. */
  confirm(key: string): Promise<void>
  /** Where writes go now: one server, or each primary of a Cluster. */
  masters(): readonly RedisAddress[]
  /** Called when that may have changed. */
  onMasters(listener: () => void): void
}

type Master = ReturnType<RedisServersOpen['masters']>[number]

/** The connection for commands. It connects by itself and goes on trying; nobody waits for it. */
export const connectRedis = (deps: RedisDeps): RedisConnection => {
  const { clock, log, metrics, settings } = deps
  const access = deps.access ?? createAccess(settings, log)
  const servers =
    'cluster' in settings ? openCluster({ settings, log, access }) : openOne({ settings, log, access, failovers: deps.failovers })
  const replication = watchReplication(deps)
  const listeners = new Set<() => void>()
  const replacedListeners = new Set<() => void>()
  const identity = watchIdentity('url' in settings)
  // Behind one name whoever answers there; in a Cluster each has its slots.
  const place = ({ options: { host, port } }: Master): string => (servers.isCluster ? `${host}:${port}` : '')
  /** Some server answers. */
  let up = false
  /** All do, and none has been replaced or lost since they were last told to. */
  let whole = false
  let since = clock.now()
  let complainedAt = Number.NEGATIVE_INFINITY
  let beats = 0

  const allAnswered = (): void => {
    up = true
    if (whole) return
    whole = true
    // A connection that merely woke up counts as well: what others did meanwhile may still be on its way (spec §5, the mark's finder).
    since = clock.now()
    log.info({}, 'the store answers')
    for (const listener of listeners) listener()
  }
  const lost = (): void => {
    whole = false
    if (!servers.isCluster) up = false
  }
  const failed = (command: string, cause: string): void => {
    const silent = cause === 'timeout' || cause === 'closed' || cause === 'loading'
    const wasWhole = whole
    if (silent) lost()
    const now = clock.now()
    if ((silent && wasWhole) || now - complainedAt > 10_000) {
      complainedAt = now
      log.warn({ cause, code: command }, 'a call to the store failed')
    }
  }

  const timed = async <T>(command: string, send: () => Promise<T>): Promise<T | 'unavailable'> => {
    const started = performance.now()
    const observe = (outcome: string): void =>
      metrics.observe('sallyport_store_call_seconds', (performance.now() - started) / 1000, { command, outcome })
    try {
      const answer = await send()
      observe('ok')
      return answer
    } catch (error) {
      // The one door: ioredis errors carry the command with its arguments, and go no further.
      const cause = causeOf(error)
      observe(cause)
      failed(command, cause)
      return 'unavailable'
    }
  }
  const ask: RedisConnection['call'] = async (command, send) => {
    const answer = await timed(command, () => send(servers.commands))
    // In a Cluster the answer of one server says nothing of the others: there the heartbeat decides.
    if (answer !== 'unavailable' && !servers.isCluster) allAnswered()
    return answer
  }
  const call: RedisConnection['call'] = (command, send) => ask(command, (redis) => inTime(send(redis)))

  const beat = async (): Promise<void> => {
    const masters = servers.masters()
    const asked = clock.now()
    const answers = await Promise.all(masters.map((master) => timed('time', () => inTime(master.time()))))
    readClock(asked, answers)
    const answered = answers.filter((answer) => answer !== 'unavailable').length
    if (servers.isCluster) up = answered > 0
    const same = servers.masters()
    if (answered > 0 && answered === same.length && masters.every((master, i) => master === same[i])) allAnswered()
    else servers.refresh()
    beats += 1
    if (beats % LOOK_EVERY_BEATS === 0) for (const master of masters) void look(master)
    const unknown = identity.keep(masters.map(place))
    for (const master of masters) if (unknown.includes(place(master))) void meet(master)
  }
  // In a Cluster the one in the middle is everybody's, whichever of its servers is away or has a clock of its own.
  const readClock = (asked: Instant, answers: readonly (readonly (number | string)[] | 'unavailable')[]): void => {
    const told = answers.flatMap((answer) => (answer === 'unavailable' ? [] : [Number(answer[0]) * 1000 + Number(answer[1]) / 1000]))
    const took = clock.now() - asked
    const theirs = told.toSorted((a, b) => a - b)[Math.floor((told.length - 1) / 2)]
    if (theirs === undefined || !Number.isFinite(theirs) || took < 0 || took > CLOCK_ROUND_TRIP_MAX_MS) return
    const before = clock.now()
    deps.onClock?.(millis(theirs - (asked + took / 2)))
    // Moments told by the clock as it was move with it: a connection that seems to come back in an hour lets nobody take over a mark until then.
    const moved = between(before, clock.now())
    if (Math.abs(moved) < CLOCK_ROUND_TRIP_MAX_MS) return
    since = after(since, moved)
    complainedAt += moved
  }
  const look = async (master: Master): Promise<void> => {
    // Demoted while we were connected: it answers reads from what it had, and refuses writes.
    if ((await replication.look(master)) !== 'other') return
    servers.leave()
    deps.onDemoted?.()
  }
  const meet = async (master: Master): Promise<void> => {
    let info: string
    try {
      info = await inTime(master.info())
    } catch {
      return // stays in doubt; asked again with the next heartbeat
    }
    if (identity.met(place(master), info)) for (const listener of replacedListeners) listener()
  }
  servers.onReady((master) => {
    // Of a node of a Cluster that is no primary nobody wants to know.
    if (master && servers.masters().includes(master)) {
      identity.doubt(place(master))
      void meet(master)
    }
    void beat()
  })
  servers.onChanged(lost)
  deps.failovers?.onSwitch(() => servers.leave())
  const heart = setInterval(() => void beat(), HEARTBEAT_MS).unref()
  const watchFiles = (watch: FileWatch): readonly Watched[] => [
    ...access.looks.map(([setting, look]) => watch.add(setting, look)),
    ...(settings.passwordFile === undefined
      ? []
      : [watchPassword({ access, username: settings.username, log, watch, connections: () => servers.masters() })]),
  ]
  const watched = deps.watch && watchFiles(deps.watch)

  return {
    call,
    run: (script, keys, args) =>
      ask(script.name, async (redis) => {
        try {
          return await inTime(redis.evalsha(script.sha, keys.length, ...keys, ...args))
        } catch (error) {
          if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
          return inTime(redis.eval(script.lua, keys.length, ...keys, ...args))
        }
      }),
    scan: (match, cursor) => scanStep({ masters: servers.masters(), name: identity.name(), timed }, match, cursor),
    confirm: async (key) => {
      const master = servers.masterOf(key)
      if (master) await replication.confirm(master)
    },
    masters: () => servers.masters().map(({ options }) => ({ host: options.host ?? '', port: options.port ?? 0 })),
    onMasters: (listener) => {
      servers.onReady(listener)
      servers.onChanged(listener)
    },
    reachable: () => up,
    connectedSince: () => since,
    serverAge: () => identity.age(),
    onReplaced: (listener) => void replacedListeners.add(listener),
    onReachable: (listener) => void listeners.add(listener),
    close: async () => {
      clearInterval(heart)
      watched?.forEach((file) => file.stop())
      servers.close()
    },
  }
}
