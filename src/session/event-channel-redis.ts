import { causeOf } from './cause-redis.ts'
import { keepConnected, openClient, openNode } from './client-redis.ts'
import type { RedisDeps } from './connection-redis.ts'
import { parseEvent } from './event-message.ts'
import type { ChannelListener, EventChannel } from './records.ts'
import { ticks } from '../kernel/time.ts'
import type { RedisAddress } from './settings-redis.ts'

const HEARTBEAT_MS = 1_000
const COMMAND_TIMEOUT_MS = 900

/**
 * One server, or one of a Cluster. A connection of its own, subscribed to the channel of the app. A PING each second on that same connection: its answer stands behind every message
 * that was published before it, so it proves that none of them is missing; without an answer nothing is proven, and the channel counts as lost.
 */
export const createRedisChannel = (deps: RedisDeps, channel: string, at?: RedisAddress): EventChannel => {
  // RESP2: a subscriber may PING there on every server we support.
  const extra = { protocol: 2, commandTimeout: COMMAND_TIMEOUT_MS } as const
  const client = at ? openNode(deps, at, extra) : openClient(deps, extra)
  let listener: ChannelListener | undefined
  let armed = false
  let connection = 0
  let complained = false

  const lose = (): void => {
    if (!armed) return
    armed = false
    deps.log.warn({}, 'the event channel of the store is down')
    listener?.lost()
  }
  const arm = async (): Promise<void> => {
    connection += 1
    const mine = connection
    try {
      await client.subscribe(channel)
    } catch (error) {
      // Denied or cut: without a subscription the copies in memory are compared at each use. Tried again with the next connection or heartbeat.
      if (!complained) deps.log.warn({ cause: causeOf(error) }, 'the event channel of the store cannot be subscribed to')
      complained = true
      return
    }
    if (mine !== connection || client.status !== 'ready') return
    armed = true
    complained = false
    deps.log.info({}, 'the event channel of the store is up')
    listener?.armed()
  }
  const beat = async (): Promise<void> => {
    const mine = connection
    const sentAt = ticks(deps.clock)
    try {
      await client.ping()
    } catch {
      if (mine === connection) lose()
      return
    }
    if (mine !== connection) return
    // A PING that was answered late after a freeze: nothing was missed on this connection, but we stopped believing it, so arm anew.
    if (armed) listener?.beat(sentAt)
    else await arm()
  }

  client.on('ready', () => void arm())
  client.on('close', () => {
    connection += 1
    lose()
  })
  client.on('message', (_channel: string, message: string) => {
    const event = parseEvent(message)
    if (event?.kind === 'word') listener?.word?.(event.field)
    else if (event) listener?.change(event)
    else deps.log.warn({}, 'a message on the event channel of the store is not ours')
  })
  const leave = (): void => {
    if (client.status === 'ready') client.disconnect(true)
  }
  deps.failovers?.onSwitch(leave)
  const heart = setInterval(() => void beat(), HEARTBEAT_MS).unref()
  let stop = (): void => client.disconnect()

  return {
    beatMs: HEARTBEAT_MS,
    leave,
    start: (heard) => {
      listener = heard
      stop = keepConnected(client)
    },
    close: async () => {
      clearInterval(heart)
      connection += 1
      armed = false
      stop()
    },
  }
}
