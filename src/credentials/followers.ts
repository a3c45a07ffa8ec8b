import { randomBytes } from 'node:crypto'
import type { CredentialId, CredentialWord } from '../domain/credential.ts'
import { between, countdown, instant } from '../kernel/time.ts'
import type { Clock, Instant } from '../kernel/time.ts'
import { isProven } from './choice.ts'
import type { Entry, Rotation } from './rotation.ts'
import { FOLLOWED_WITHIN, FOLLOWER_MS, FOLLOWS_EVERY, HURRIED_EVERY, WORD_MS } from './settings.ts'
import type { Words } from './words.ts'

export interface FollowersDeps {
  readonly words: Words
  readonly clock: Clock
  /** Of this replica, for operators. */
  readonly name: string
  readonly signal: AbortSignal
}

/** The last ones; an order is waited for while it is the newest. */
const ORDERS_MAX = 20
/** Reads at once where somebody says that a replica has answered; then every so often. A flood of such announcements is no flood of reads. */
const HURRIED_MAX = 50
const nameOf = ({ kind, id, at }: Pick<CredentialWord, 'kind' | 'id' | 'at'>): string => `${kind}.${id}.${at}`

/**
 * Which replicas there are, which orders each of them follows, and what it works with. Each says so under the seal of all words: what an attacker says again has been true, and stays
 * so, because an order that was followed is followed until a later one.
 */
export const createFollowers = ({ words, clock, name, signal }: FollowersDeps) => {
  const id = randomBytes(16).toString('base64url') as CredentialId
  let said: { readonly text: string; readonly at: Instant } | undefined
  let wake = (): void => undefined
  words.onSaid((kind) => kind === 'follows' && wake())

  const isThere = ({ kind, id: whose, at }: CredentialWord): boolean =>
    kind === 'follows' && whose !== id && Math.abs(between(at, clock.now())) < FOLLOWER_MS
  const others = async (): Promise<readonly CredentialWord[] | 'unavailable'> => {
    const heard = await words.heard()
    return heard === 'unavailable' ? heard : heard.filter(isThere)
  }

  return {
    /**
     * That this replica is there, and what it follows; nothing if that was said a moment ago. To be called before the words of others are read, too: who gives an order
     * later than that read finds it, and waits for it.
     */
    present: async ({ entries, withdrawn, restored }: Rotation): Promise<void> => {
      const now = clock.now()
      const works = entries.find((entry) => entry.phase === 'active' && isWorking(entry, now))?.id
      const orders = [
        ...[...withdrawn].map(([of, at]) => ({ kind: 'withdrawn', id: of, at }) as const),
        ...[...restored].map(([of, at]) => ({ kind: 'promoted', id: of, at }) as const),
      ]
      const last = orders.toSorted((a, b) => b.at - a.at).slice(0, ORDERS_MAX)
      const text = JSON.stringify({ name, orders: last.map(nameOf), works })
      if (signal.aborted) return
      if (said?.text === text && Math.abs(between(said.at, now)) < FOLLOWS_EVERY) return
      const done = await words.say({ kind: 'follows', id, at: now, text })
      said = done === 'stored' ? { text, at: now } : undefined
    },

    /** What the store lost of this replica is said again at once: until its turn comes nobody would wait for it. */
    heard: (all: readonly CredentialWord[]): void => {
      if (!all.some((word) => word.kind === 'follows' && word.id === id)) said = undefined
    },

    /** What the others that are there work with. */
    working: (heard: readonly CredentialWord[]): readonly CredentialId[] =>
      heard.filter(isThere).flatMap((word) => parse(word).works ?? []),

    /** When all replicas that are there follow it, or after five seconds. `isHeard`: the store said who is there. */
    followedBy: async (order: Pick<CredentialWord, 'kind' | 'id' | 'at'>) => {
      const left = countdown(clock, FOLLOWED_WITHIN)
      for (let reads = 1; ; reads += 1) {
        const told = new Promise<void>((resolve) => {
          wake = reads < HURRIED_MAX ? resolve : () => undefined // before the read, or what is said during it would be waited for
        })
        const there = await others()
        const all = there === 'unavailable' ? [] : there.map(parse)
        const missing = all.filter(({ orders }) => !orders.includes(nameOf(order))).map((one) => one.name)
        const isHeard = there !== 'unavailable'
        if ((isHeard && missing.length === 0) || left() <= 0) return { isHeard, replicas: all.length + 1, missing }
        const woken = new AbortController()
        await Promise.race([told, clock.sleep(HURRIED_EVERY, AbortSignal.any([signal, woken.signal])).catch(() => undefined)])
        woken.abort()
        if (signal.aborted) return { isHeard: false, replicas: all.length + 1, missing }
      }
    },

    /** Nobody is to wait for a replica that has stopped. */
    leave: (): Promise<void> => words.unsay('follows', id),
  }
}

/** A provider that takes it and rejects it by turns has not given it up. */
const isWorking = (entry: Entry, now: Instant): boolean =>
  isProven(entry) || between(instant(Math.max(entry.acceptedAt ?? 0, entry.toldAt ?? 0)), now) < WORD_MS

interface Follower {
  readonly name: string
  readonly orders: readonly unknown[]
  readonly works: CredentialId | undefined
}
/** Sealed, so one of ours wrote it; of a later release perhaps. */
const parse = ({ id, text = '' }: CredentialWord): Follower => {
  try {
    const { name, orders, works } = JSON.parse(text) as Readonly<Record<string, unknown>>
    return {
      name: typeof name === 'string' ? name : id,
      orders: Array.isArray(orders) ? orders : [],
      works: typeof works === 'string' ? (works as CredentialId) : undefined,
    }
  } catch {
    return { name: id, orders: [], works: undefined }
  }
}
