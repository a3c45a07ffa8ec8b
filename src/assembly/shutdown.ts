import type { FastifyInstance } from 'fastify'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Settings } from '../config/settings.ts'
import type { FileWatch } from '../kernel/file-watch.ts'
import type { Millis } from '../kernel/time.ts'
import { millis } from '../kernel/time.ts'
import type { PublicEdge } from './public-edge.ts'
import type { Rooms } from './rooms.ts'
import type { Telemetry } from './telemetry.ts'

export interface Running {
  readonly telemetry: Telemetry
  readonly watch: FileWatch
  readonly rooms: Rooms
  readonly edge: PublicEdge
  readonly ops: FastifyInstance
  readonly admin: FastifyInstance | undefined
  /** From here on `/readyz` fails and answers carry `connection: close`. */
  readonly drain: () => void
}

const LOOK_EVERY_MS = 25
/** After the requests: refreshes, revocations and unstored refresh tokens get this much of the grace at least. */
const WORK_BEHIND_MS = millis(1000)

/**
 * Not ready → wait until the platform has noticed → stop accepting and let requests finish → cut what streams → finish work behind requests → close.
 * Bounded by `shutdown.delay` + `shutdown.grace`, and by a second more for what must not be lost.
 */
export const shutDown = async (
  { telemetry, watch, rooms, edge, ops, admin, drain }: Running,
  settings: Settings['shutdown'],
): Promise<void> => {
  const { log, sink, audit } = telemetry
  log.info({}, 'shutting down')
  drain()
  await sleep(settings.delayMs)

  const until = performance.now() + settings.graceMs
  const left = (): Millis => millis(Math.max(0, until - performance.now()))
  const closed = edge.app.close()
  // Streams have no end of their own to wait for: once only they are left they are told to go, and come back to another replica.
  while (edge.waiting.count + edge.forwarder.inFlight() > edge.open.count() && left() > 0) await sleep(LOOK_EVERY_MS)
  const cut = edge.open.endAll()
  await atMost(closed, left())
  edge.app.server.closeAllConnections()
  await closed

  const most = millis(Math.max(left(), WORK_BEHIND_MS))
  const [allSaved, unrevoked] = await Promise.all([rooms.broker.drain(most), edge.revocations.drain(most), edge.background.drain(most)])
  if (unrevoked > 0) log.warn({ count: unrevoked }, 'refresh tokens of ended sessions stay valid at the provider until their own end')
  if (!allSaved) log.error({ hint: 'their sessions need a new sign-in' }, 'refreshed tokens could not be stored before the end')
  // A look that hangs is none of theirs who wait for the end.
  await atMost(watch.stop(), WORK_BEHIND_MS)
  edge.unsubscribe()
  edge.forwarder.close()
  await edge.pools.destroy()
  await rooms.close()
  await admin?.close()
  await ops.close()
  log.info({ count: cut }, 'stopped')
  audit.flushSync()
  await audit.close()
  await atMost(sink.drained(), WORK_BEHIND_MS)
}

/** The timer goes with the work: one that is left behind would keep the process alive for the whole grace when everything has long been closed. */
const atMost = async (work: Promise<unknown>, most: Millis): Promise<void> => {
  const done = new AbortController()
  const late = sleep(most, undefined, { signal: done.signal }).catch(() => undefined)
  await Promise.race([work, late]).finally(() => done.abort())
}
