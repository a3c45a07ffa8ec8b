import type { SessionRef, SpendingMark } from '../domain/session.ts'
import type { TokenKey } from '../domain/token.ts'
import { instant, millis } from '../kernel/time.ts'
import type { Instant, Millis } from '../kernel/time.ts'
import type { RedisConnection } from './connection-redis.ts'
import type { IndexName } from './index-names.ts'
import type { RedisKeys } from './keys-redis.ts'
import { RECORD_VERSION, TOMBSTONE_MS, endReason } from './records.ts'
import type { SealedFields, SessionRecords, StoredSession } from './records.ts'
import { SCRIPTS } from './scripts-redis.ts'
import type { Scripts } from './scripts-redis.ts'

export interface RedisRecordsDeps {
  readonly connection: RedisConnection
  readonly keys: RedisKeys
  readonly scripts?: Scripts
}

type Reply = readonly unknown[]

/** Every method is one script or one command on the keys of one slot. docs/storage.md describes what they leave behind. */
export const createRedisRecords = ({ connection, keys, scripts = SCRIPTS }: RedisRecordsDeps): SessionRecords => {
  const run = async (script: Scripts[keyof Scripts], names: readonly string[], args: readonly (string | number)[]): Promise<Reply> => {
    // A fraction of a millisecond would stop a script at its PEXPIREAT, behind what it has written by then.
    const whole = args.map((arg) => (typeof arg === 'number' ? Math.round(arg) : arg))
    const reply = await connection.run(script, names, whole)
    return Array.isArray(reply) ? reply : [reply]
  }
  const recordOf = (ref: SessionRef): [string, string] => [keys.record(ref), keys.tombstone(ref)]

  return {
    read: async (ref) => {
      const [kind, first, now, fields] = await run(scripts.read, [...recordOf(ref), keys.idle(ref)], [])
      if (kind === 'ended') return { kind, reason: endReason(text(first)) }
      if (kind === 'absent') return { kind }
      if (kind !== 'found') return { kind: 'unavailable' }
      const stored = storedOf(fields)
      return stored ? { kind, stored, idleForMs: idleFor(first, now) } : { kind: 'unreadable' }
    },
    check: async (ref) => {
      const [kind, first, now, gen] = await run(scripts.check, [...recordOf(ref), keys.idle(ref)], [])
      if (kind === 'ended') return { kind, reason: endReason(text(first)) }
      if (kind === 'absent') return { kind }
      return kind === 'found' ? { kind, gen: Number(gen), idleForMs: idleFor(first, now) } : { kind: 'unavailable' }
    },
    card: async (ref) => {
      const [kind, first, now, card] = await run(scripts.card, [...recordOf(ref), keys.idle(ref)], [])
      if (kind === 'ended') return { kind, reason: endReason(text(first)) }
      if (kind === 'absent') return { kind }
      return kind === 'found' ? { kind, card: text(card), idleForMs: idleFor(first, now) } : { kind: 'unavailable' }
    },
    scan: async (cursor) => {
      const step = await connection.scan(keys.records, cursor)
      if (step === 'unavailable') return { kind: 'unavailable' }
      const refs = step.keys.map((key) => keys.refOf(key)).filter((ref) => ref !== undefined)
      return { kind: 'refs', refs, next: step.next }
    },
    create: async (record) => {
      const { ref, card, grant, tokens, endsAt, idleTimeoutMs, indexes } = record
      const fields = ['v', RECORD_VERSION, 'indexes', indexes.map(({ kind, name }) => `${kind}:${name}`).join(' ')]
      const [kind] = await run(
        scripts.create,
        [...recordOf(ref), keys.idle(ref)],
        [keys.channel, ref, endsAt, idleTimeoutMs, ...fields, ...pairsOf({ card, grant, tokens })],
      )
      return kind === 'created' || kind === 'taken' ? kind : 'unavailable'
    },
    touch: async (ref, idleTimeoutMs) => {
      const [done] = await run(scripts.touch, [keys.idle(ref)], [idleTimeoutMs])
      return done === 1 ? 'touched' : done === 0 ? 'gone' : 'unavailable'
    },
    save: async (ref, fields, spent) => {
      const [kind, first, rtGen, before] = await run(scripts.save, recordOf(ref), [keys.channel, ref, spent ?? '', ...pairsOf(fields)])
      if (kind === 'saved') {
        // A refresh token that was rotated away is worth nothing any more: its successor should survive the loss of this server.
        if (spent !== undefined) await connection.confirm(keys.record(ref))
        return { kind, gen: Number(first), rtGen: Number(rtGen), before: Number(before) }
      }
      if (kind === 'absent') return { kind, reason: typeof first === 'string' ? endReason(first) : undefined }
      return kind === 'superseded' ? { kind } : { kind: 'unavailable' }
    },
    restore: async (ref, fields, rtGen) => {
      const [kind] = await run(scripts.restore, recordOf(ref), [keys.channel, ref, rtGen, ...pairsOf(fields)])
      if (kind === 'restored') await connection.confirm(keys.record(ref))
      return kind === 'restored' || kind === 'kept' || kind === 'absent' ? kind : 'unavailable'
    },
    end: async (ref, reason, onlyRtGen) => {
      const [kind, indexes, isFirst] = await run(
        scripts.end,
        [...recordOf(ref), keys.idle(ref), keys.lease(ref)],
        [keys.channel, ref, reason, TOMBSTONE_MS, onlyRtGen ?? ''],
      )
      if (kind !== 'ended' && kind !== 'absent' && kind !== 'superseded') return { kind: 'unavailable' }
      if (kind === 'ended') await connection.confirm(keys.record(ref))
      return { kind, indexes: indexesOf(text(indexes)), isFirst: isFirst === 1 }
    },

    lease: async (ref, fence, length) => {
      const done = await connection.call('lease', (redis) => redis.set(keys.lease(ref), fence, 'PX', length, 'NX'))
      return done === 'OK' ? 'leased' : done === null ? 'held' : 'unavailable'
    },
    renew: async (ref, fence, length) => {
      const [done] = await run(scripts.renew, [keys.lease(ref)], [fence, length])
      return done === 1 ? 'renewed' : done === 0 ? 'lost' : 'unavailable'
    },
    release: async (ref, fence) => {
      await run(scripts.release, [keys.lease(ref)], [fence])
    },
    mark: async ({ ref, fence, rtGen, replica, timeoutMs }) => {
      const [kind, found, now] = await run(scripts.mark, [...recordOf(ref), keys.lease(ref)], [fence, rtGen, replica, timeoutMs])
      if (kind === 'found') return { kind, mark: markOf(text(found), rtGen), now: instant(Number(now)) }
      return kind === 'marked' || kind === 'superseded' || kind === 'lease-lost' || kind === 'absent' ? { kind } : { kind: 'unavailable' }
    },
    clearMark: async (ref, fence, rtGen, replaced) => {
      await run(scripts.clearMark, [keys.record(ref)], [fence, rtGen, replaced ? withoutFence(replaced) : ''])
    },
    takeMark: async ({ ref, fence, rtGen, replica, timeoutMs }, found, forgives = false) => {
      const [kind] = await run(
        scripts.takeMark,
        [...recordOf(ref), keys.lease(ref)],
        [fence, rtGen, replica, timeoutMs, withoutFence(found), forgives ? 1 : 0],
      )
      const known = kind === 'taken' || kind === 'recovered-before' || kind === 'superseded' || kind === 'lease-lost' || kind === 'absent'
      return known ? kind : 'unavailable'
    },

    addToIndex: async (index, ref, endsAt) => {
      const [done] = await run(scripts.addToIndex, [keys.index(index)], [ref, endsAt])
      return done === 1 ? 'stored' : 'unavailable'
    },
    dropFromIndex: async (index, ref) => {
      await connection.call('drop-from-index', (redis) => redis.zrem(keys.index(index), ref))
    },
    refsOf: async (index, most = 0) => {
      const refs = await connection.call('refs-of', (redis) => redis.zrange(keys.index(index), 0, String(most - 1)))
      return refs === 'unavailable' ? refs : (refs as SessionRef[])
    },
    isInIndex: async (index, ref) => {
      const score = await connection.call('is-in-index', (redis) => redis.zscore(keys.index(index), ref))
      return score === 'unavailable' ? score : score !== null
    },
    entomb: async (index, at, length = TOMBSTONE_MS) => {
      const [done] = await run(scripts.entomb, [keys.indexTombstone(index)], [at, length])
      return done === 1 ? 'stored' : 'unavailable'
    },
    entombedAt: async (index) => {
      const at = await connection.call('entombed-at', (redis) => redis.get(keys.indexTombstone(index)))
      if (at === 'unavailable') return at
      return at === null ? undefined : instant(Number(at))
    },

    noteKey: async (kid, endsAt) => {
      const [done] = await run(scripts.noteKey, [keys.sealingKeys], [kid, endsAt])
      return done === 1 ? 'stored' : 'unavailable'
    },
    keyUsage: async () => {
      const usage = await connection.call('key-usage', (redis) => redis.hgetall(keys.sealingKeys))
      return usage === 'unavailable'
        ? usage
        : new Map(Object.entries(usage).map(([kid, at]): [string, Instant] => [kid, instant(Number(at))]))
    },
  }
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '')

const TOKEN = 't:'
const pairsOf = ({ card, grant, tokens }: SealedFields): readonly string[] => [
  ...(card === undefined ? [] : ['card', card]),
  ...(grant === undefined ? [] : ['grant', grant]),
  ...[...tokens].flatMap(([key, sealed]) => [`${TOKEN}${key}`, sealed]),
]

const idleFor = (stamp: unknown, now: unknown): Millis | undefined =>
  typeof stamp === 'string' ? millis(Math.max(0, Number(now) - Number(stamp))) : undefined

/** @returns undefined for what no release of ours wrote */
const storedOf = (reply: unknown): StoredSession | undefined => {
  if (!Array.isArray(reply)) return undefined
  const fields = new Map<string, string>()
  for (let i = 0; i + 1 < reply.length; i += 2) fields.set(text(reply[i]), text(reply[i + 1]))
  const [card, grant] = [fields.get('card'), fields.get('grant')]
  const [version, gen, rtGen] = ['v', 'gen', 'rt_gen'].map((name) => Number(fields.get(name) ?? Number.NaN)) as [number, number, number]
  if (card === undefined || grant === undefined || ![version, gen, rtGen].every(Number.isSafeInteger)) return undefined
  const tokens = new Map(
    [...fields].flatMap(([name, sealed]) => (name.startsWith(TOKEN) ? [[name.slice(TOKEN.length) as TokenKey, sealed]] : [])),
  )
  return { version, gen, rtGen, card, grant, tokens }
}

const indexesOf = (stored: string): readonly IndexName[] =>
  stored.split(' ').flatMap((part) => {
    const [kind, name] = part.split(':')
    return (kind === 'provider-session' || kind === 'subject') && name ? [{ kind, name }] : []
  })

const withoutFence = ({ sentAt, timeoutMs, replica }: SpendingMark): string => `${sentAt} ${timeoutMs} ${replica}`

const markOf = (stored: string, rtGen: number): SpendingMark => {
  const [, sentAt, timeoutMs, replica] = /^\S+ (\d+) (\d+) (.*)$/s.exec(stored) ?? []
  return { rtGen, replica: replica ?? '', sentAt: instant(Number(sentAt ?? 0)), timeoutMs: millis(Number(timeoutMs ?? 0)) }
}
