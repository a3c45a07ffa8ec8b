import type { SessionRef } from '../domain/session.ts'
import type { IndexName } from './index-names.ts'

/** Names of all Redis keys; docs/storage.md lists them with shape, TTL and writer. What stands in braces decides the Cluster slot. */
export interface RedisKeys {
  record(ref: SessionRef): string
  idle(ref: SessionRef): string
  lease(ref: SessionRef): string
  tombstone(ref: SessionRef): string
  index(index: IndexName): string
  indexTombstone(index: IndexName): string
  once(purpose: string, digest: string): string
  oneUse(purpose: string, name: string): string
  /** Pattern of SCAN that all records match; no name contains a character that means something in one. */
  readonly records: string
  /** Of the key of a record. */
  refOf(key: string): SessionRef | undefined
  readonly sealingKeys: string
  /** What replicas tell each other of client credentials. */
  readonly credentials: string
  readonly channel: string
}

const REF = /^[\w-]{22}$/
const PART = /^[A-Za-z0-9._-]+$/

/** @throws when prefix or app could change the slot or run into another's keys */
export const redisKeys = (prefix: string, app: string): RedisKeys => {
  if (!PART.test(prefix) || !PART.test(app))
    throw new Error('key_prefix and app names are made of letters, digits, dot, hyphen and underscore')
  const at = (kind: string, tag: string): string => `${prefix}:${kind}:{${app}.${tag}}`
  return {
    record: (ref) => at('session', ref),
    idle: (ref) => at('idle', ref),
    lease: (ref) => at('lease', ref),
    tombstone: (ref) => at('ended', ref),
    index: ({ kind, name }) => at(`by-${kind}`, name),
    indexTombstone: ({ kind, name }) => at(`out-${kind}`, name),
    once: (purpose, digest) => at(`once-${purpose}`, digest),
    oneUse: (purpose, name) => at(`one-use-${purpose}`, name),
    records: at('session', '*'),
    refOf: (key) => {
      const [head = '', tail = ''] = at('session', '*').split('*')
      const ref = key.slice(head.length, key.length - tail.length)
      return key.startsWith(head) && key.endsWith(tail) && REF.test(ref) ? (ref as SessionRef) : undefined
    },
    sealingKeys: at('keys', 'keyring'),
    credentials: at('credentials', 'words'),
    channel: `${prefix}:events:${app}`,
  }
}
