import type { FastifyInstance } from 'fastify'
import type { ListenAddress } from '../config/setting.ts'
import type { Settings } from '../config/settings.ts'
import { createAdminServer, listenOnSocket } from '../edge/admin-server.ts'
import { createOpsServer } from '../edge/ops-server.ts'
import { credentialAdmin } from '../flows/credential-admin.ts'
import { StartError } from '../kernel/start-error.ts'
import { followingClock, millis, steadyClock, systemClock } from '../kernel/time.ts'
import { adminSessions } from './admin-sessions.ts'
import { onProcessEvents } from './process-events.ts'
import { wirePublicEdge } from './public-edge.ts'
import { wireRooms, type RoomOptions } from './rooms.ts'
import { shutDown } from './shutdown.ts'
import { wireTelemetry } from './telemetry.ts'
import { wireFileWatch } from './watched-files.ts'

export interface StartOptions extends RoomOptions {
  /** The release, for the log and the audit trail. */
  readonly version: string
}

export interface Gateway {
  readonly publicUrl: string
  /** Gracefully; a second call waits for the first. */
  readonly stop: () => Promise<void>
  /** Resolves when it has stopped, by a signal or by `stop`. */
  readonly stopped: Promise<void>
}

/**
 * Builds everything and opens the listeners: ops first, so that the platform can watch the rest come up; public last. Neither the provider nor Redis need
 * to be there. Rejects with the operating system's or a room's own error when an address, a key directory or a CA file cannot be had.
 */
export const start = async (settings: Settings, options: StartOptions): Promise<Gateway> => {
  // Sessions, tokens and what the provider says of time are judged by the store's clock, which all replicas see; log lines by this machine's.
  const clock = followingClock(systemClock)
  const telemetry = wireTelemetry(settings.telemetry, systemClock)
  const { log, metrics, audit } = telemetry
  let draining = false
  let stored = false
  let listening = false

  const watch = wireFileWatch(telemetry)
  const rooms = await wireRooms(settings, telemetry, watch, clock, options)
  void rooms.store.ready().then(() => (stored = true))
  const edge = await wirePublicEdge(settings, telemetry, rooms, watch, clock, () => draining)
  const waiting = (): string[] => [
    ...(rooms.credential.isReady() ? [] : ['credential']),
    ...(stored ? [] : ['store']),
    // The ops listener is open before the public one: whoever is told `ready` in between connects to nothing.
    ...(listening ? [] : ['listener']),
    ...(draining ? ['draining'] : []),
  ]
  const ops = createOpsServer({
    metrics: async () => ({ type: metrics.contentType, text: await metrics.render() }),
    readiness: () => ({ ready: waiting().length === 0, waiting: waiting() }),
  })
  const admin =
    settings.listen.admin === 'off'
      ? undefined
      : createAdminServer({
          status: () => ({
            ready: waiting().length === 0,
            waiting: waiting(),
            store: { mode: rooms.store.mode(), reachable: rooms.store.reachable() },
          }),
          sessions: adminSessions(settings.session, rooms, audit, clock, steadyClock),
          credentials: credentialAdmin({ credentials: rooms.credential, audit }),
          audit,
        })

  const running = { telemetry, watch, rooms, edge, ops, admin, drain: () => (draining = true) }
  try {
    await listen(ops, 'ops', settings.listen.ops)
    if (admin && settings.listen.admin !== 'off') await listen(admin, 'admin', settings.listen.admin)
    await listen(edge.app, 'public', settings.listen.public)
    listening = true
  } catch (error) {
    // Or the listeners that did open would keep a process alive that serves nobody, and tell the platform that it lives.
    await shutDown(running, { delayMs: millis(0), graceMs: millis(0) })
    throw error
  }
  // The first of many; from here on metrics tell when certificates end.
  void watch.lookAtAll()
  audit.record({ event: 'config.loaded', version: options.version })
  if (settings.session.store.kind === 'memory') log.info({}, 'sessions are kept in the memory of this process, and end with it')
  log.info({ version: options.version, address: settings.publicUrl.origin, count: settings.routes.length }, 'gateway started')

  const stopped = Promise.withResolvers<void>()
  let stopping: Promise<void> | undefined
  const stop = (): Promise<void> => {
    if (stopping) return stopping
    stopping = shutDown(running, settings.shutdown).finally(() => signals.forget())
    stopping.then(stopped.resolve, stopped.reject)
    return stopping
  }
  const signals = onProcessEvents({
    log,
    stop: () => void stop(),
    reload: () => void Promise.all([audit.reopen(), watch.lookAtAll()]),
    flush: () => {
      audit.flushSync()
      telemetry.sink.flushSync()
    },
  })
  return { publicUrl: settings.publicUrl.origin, stop, stopped: stopped.promise }
}

const listen = async (app: FastifyInstance, name: 'ops' | 'admin' | 'public', address: ListenAddress): Promise<void> => {
  if (address.kind === 'tcp') return void (await app.listen({ host: address.host, port: address.port }))
  try {
    await listenOnSocket(app, address.path)
  } catch (error) {
    if (error instanceof StartError) throw error
    // Node says EACCES for a folder that is not there.
    throw new StartError(
      'listen.unavailable',
      `listen.${name} cannot be opened: the folder of ${address.path} must be there and be writable for this user${name === 'admin' ? '; or set `listen.admin: off`' : ''}`,
    )
  }
}
