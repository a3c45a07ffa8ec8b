import { LRUCache } from 'lru-cache'
import type { SessionChange } from '../domain/session.ts'
import type { RedisConnection, RedisDeps } from './connection-redis.ts'
import { createRedisChannel } from './event-channel-redis.ts'
import type { ChannelListener, EventChannel } from './records.ts'
import type { RedisAddress } from './settings-redis.ts'

const LOOK_MS = 1_000
const RECENT_MAX = 1_000

type Topology = Pick<RedisConnection, 'masters' | 'onMasters'>

interface Ear {
  readonly channel: EventChannel
  armed: boolean
  beatAt: number | undefined
}

/**
 * The channel of a Cluster. Every node hears every PUBLISH, but over links between the nodes that may lose some, and no PING of ours would notice.
 * So each primary is listened to by a connection of its own: what it published stands before its PONG there, and all of them together miss nothing.
 * The copies that come the other way are dropped.
 */
export const createClusterChannel = (deps: RedisDeps, channel: string, { masters, onMasters }: Topology): EventChannel => {
  const ears = new Map<string, Ear>()
  const recent = new LRUCache<string, true>({ max: RECENT_MAX })
  let listener: ChannelListener | undefined
  let armed = false
  let closed = false

  const allArmed = (): boolean => {
    const now = masters()
    return now.length > 0 && now.length === ears.size && now.every((at) => ears.get(nameOf(at))?.armed)
  }
  const judge = (): void => {
    const whole = allArmed()
    if (whole === armed) return
    armed = whole
    recent.clear()
    if (whole) listener?.armed()
    else listener?.lost()
  }
  const hear = (change: SessionChange): void => {
    const said = change.kind === 'ended' ? `ended ${change.ref}` : `written ${change.ref} ${change.gen}`
    if (recent.has(said)) return
    recent.set(said, true)
    listener?.change(change)
  }
  const open = (at: RedisAddress): void => {
    const ear: Ear = { channel: createRedisChannel(deps, channel, at), armed: false, beatAt: undefined }
    ears.set(nameOf(at), ear)
    const isOurs = (): boolean => ears.get(nameOf(at)) === ear
    ear.channel.start({
      change: hear,
      // As often as there are primaries: whoever is told looks once.
      word: (field) => listener?.word?.(field),
      armed: () => {
        // Whoever armed anew may have missed something in between, so all begin anew together.
        ear.armed = true
        ear.beatAt = undefined
        if (isOurs()) judge()
      },
      lost: () => {
        ear.armed = false
        if (isOurs()) judge()
      },
      beat: (sentAt) => {
        ear.beatAt = sentAt
        const beats = [...ears.values()].map(({ beatAt }) => beatAt)
        if (armed && isOurs() && beats.every((beat) => beat !== undefined)) listener?.beat(Math.min(...beats.map((beat) => beat ?? 0)))
      },
    })
  }
  const look = (): void => {
    if (closed) return
    const now = new Map(masters().map((at) => [nameOf(at), at]))
    for (const [name, ear] of ears)
      if (!now.has(name)) {
        ears.delete(name)
        void ear.channel.close()
      }
    for (const [name, at] of now) if (!ears.has(name)) open(at)
    judge()
  }
  let timer: NodeJS.Timeout | undefined

  return {
    beatMs: LOOK_MS,
    start: (heard) => {
      listener = heard
      timer = setInterval(look, LOOK_MS).unref()
      // The list is put together in several steps; looked at once they are done.
      onMasters(() => void setImmediate(look))
      look()
    },
    close: async () => {
      clearInterval(timer)
      closed = true
      armed = false
      for (const ear of ears.values()) await ear.channel.close()
      ears.clear()
    },
  }
}

const nameOf = ({ host, port }: RedisAddress): string => `${host} ${port}`
