import { createSecretKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { Instant, Millis } from '../kernel/time.ts'
import { after, instant } from '../kernel/time.ts'
import { randomKey, randomSuffix } from './random.ts'

/** A key of the ring. Node prints a KeyObject without its bytes. */
export interface SealingKey {
  /** `20261120T101500Z-x1y2z3`: sorts by creation. */
  readonly kid: string
  readonly key: KeyObject
}

/** A key with the moment since when this process has seen it. */
export interface PresentKey extends SealingKey {
  readonly since: Instant
}

export interface Keyring {
  /** The one key that seals now. */
  sealing(): SealingKey
  /**
   * `key-unknown`: newer than every key here, so another replica has it already. `key-removed`: it sorts among or before ours, so we had it or
   * started after it was taken away.
   */
  find(kid: string): SealingKey | 'key-unknown' | 'key-removed'
  /** Names the indexes; does not rotate with the ring. */
  indexKey(): KeyObject
  /** Looks for new keys; rate-limited, never rejects. */
  reload(): Promise<void>
}

/** For those who look at the keys rather than use them. */
export interface VisibleKeyring extends Keyring {
  /** In the order of creation; never empty. */
  present(): readonly PresentKey[]
}

export type KeyringChange = { readonly kind: 'activated'; readonly kid: string } | { readonly kind: 'removed'; readonly kid: string }

const KID = /^\d{8}T\d{6}Z-[a-z0-9]{6}$/
export const isKid = (text: string): boolean => KID.test(text)

/** A key id for a key made at `now`; sorts after `newest` even if this machine's clock is behind the one that made that. */
export const newKid = (now: Instant, newest: string | undefined): string => {
  const at = newest === undefined ? now : instant(Math.max(now, madeAt(newest) + 1000))
  const stamp = new Date(at).toISOString().replace(/[-:]|\.\d+/g, '')
  return `${stamp}-${randomSuffix()}`
}

const madeAt = (kid: string): Instant => {
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z/.exec(kid) ?? []
  return instant(Date.UTC(Number(y), Number(mo) - 1, Number(d), Number(h), Number(mi), Number(s)))
}

const byCreation = (a: SealingKey, b: SealingKey): number => (a.kid < b.kid ? -1 : a.kid > b.kid ? 1 : 0)

/**
 * Replicas see a swapped file at different times: a key that seals before all of them can open it would sign users out there. So the newest key
 * that has been here for `settleMs` seals. While none has (a fresh ring, a fresh mount), it is the oldest, the one that others most likely have.
 * @param keys sorted by creation, not empty
 */
export const sealingKey = (keys: readonly PresentKey[], settleMs: Millis, now: Instant): PresentKey => {
  const settled = keys.findLast((key) => after(key.since, settleMs) <= now) ?? keys[0]
  if (!settled) throw new Error('the keyring is empty')
  return settled
}

/** @param keys sorted by creation, not empty */
export const findKey = (keys: readonly PresentKey[], kid: string): PresentKey | 'key-unknown' | 'key-removed' => {
  const found = keys.find((key) => key.kid === kid)
  if (found) return found
  const newest = keys.at(-1)
  return newest === undefined || kid > newest.kid ? 'key-unknown' : 'key-removed'
}

/** What a directory held, by key id. */
export type ReadKeys = ReadonlyMap<string, { readonly key: KeyObject; readonly mtime: Instant }>

/**
 * The ring after a look into the directory.
 * @param held undefined at the first look, when the file's mtime counts as the time since when the key has been present
 * @param unreadable ids whose files are there but not (yet) readable: a key we hold stays, it was not taken away
 */
export const nextRing = (
  held: readonly PresentKey[] | undefined,
  read: ReadKeys,
  unreadable: ReadonlySet<string>,
  now: Instant,
): { readonly ring: readonly PresentKey[]; readonly added: readonly string[]; readonly removed: readonly string[] } => {
  const kept = (held ?? []).filter((key) => read.has(key.kid) || unreadable.has(key.kid))
  const heldIds = new Set(kept.map((key) => key.kid))
  const fresh = [...read]
    .filter(([kid]) => !heldIds.has(kid))
    .map(([kid, { key, mtime }]) => ({ kid, key, since: held ? now : instant(Math.min(mtime, now)) }))
  return {
    ring: [...kept, ...fresh].sort(byCreation),
    added: fresh.map((key) => key.kid),
    removed: (held ?? []).filter((key) => !heldIds.has(key.kid)).map((key) => key.kid),
  }
}

/** One key that lives as long as the process: for the memory store, whose sessions do as well. */
export const ephemeralKeyring = (now: Instant): VisibleKeyring => {
  const only: PresentKey = { kid: newKid(now, undefined), key: createSecretKey(randomKey()), since: now }
  const index = createSecretKey(randomKey())
  return {
    sealing: () => only,
    present: () => [only],
    find: (kid) => findKey([only], kid),
    indexKey: () => index,
    reload: async () => {},
  }
}
