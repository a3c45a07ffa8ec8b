import { randomBytes } from 'node:crypto'
import type { CredentialId, CredentialWord } from '../domain/credential.ts'
import { between, countdown } from '../kernel/time.ts'
import type { Clock, Instant } from '../kernel/time.ts'
import type { Rotation } from './rotation.ts'
import { FOLLOWED_WITHIN, FOLLOWER_MS, FOLLOWS_EVERY, HURRIED_EVERY } from './settings.ts'
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
const nameOf = ({ kind, id, at }: Pick<CredentialWord, 'kind' | 'id' | 'at'>): string => `${kind}.${id}.${at}`

/**
 * Which replicas there are, and which orders each of them follows. Each says so under the seal of all words: what an attacker says again has been true, and stays
 * so, because an order that was followed is followed until a later one.
 */
export const createFollowers = ({ words, clock, name, signal }: FollowersDeps) => {
  const id = randomBytes(16).toString('base64url') as CredentialId
  let said: { readonly text: string; readonly at: Instant } | undefined
  let wake = (): void => undefined
  words.onSaid((kind) => kind === 'follows' && wake())

  const others = async (): Promise<readonly CredentialWord[] | 'unavailable'> => {
    const heard = await words.heard()
    if (heard === 'unavailable') return heard
    const isThere = ({ kind, id: whose, at }: CredentialWord): boolean =>
      kind === 'follows' && whose !== id && Math.abs(between(at, clock.now())) < FOLLOWER_MS
    return heard.filter(isThere)
  }

  return {
    /**
     * That this replica is there, and what it follows; nothing if that was said a moment ago. To be called before the words of others are read, too: who gives an order
     * later than that read finds it, and waits for it.
     */
    present: async ({ withdrawn, restored }: Rotation): Promise<void> => {
      const orders = [
        ...[...withdrawn].map(([of, at]) => ({ kind: 'withdrawn', id: of, at }) as const),
        ...[...restored].map(([of, at]) => ({ kind: 'promoted', id: of, at }) as const),
      ]
      const last = orders.toSorted((a, b) => b.at - a.at).slice(0, ORDERS_MAX)
      const text = JSON.stringify({ name, orders: last.map(nameOf) })
      const now = clock.now()
      if (signal.aborted) return
      if (said?.text === text && Math.abs(between(said.at, now)) < FOLLOWS_EVERY) return
      const done = await words.say({ kind: 'follows', id, at: now, text })
      said = done === 'stored' ? { text, at: now } : undefined
    },

    /** When all replicas that are there follow it, or after five seconds. `isHeard`: the store said who is there. */
    followedBy: async (order: Pick<CredentialWord, 'kind' | 'id' | 'at'>) => {
      const left = countdown(clock, FOLLOWED_WITHIN)
      for (;;) {
        const told = new Promise<void>((resolve) => (wake = resolve)) // before the read, or what is said during it would be waited for
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

/** Sealed, so one of ours wrote it; of a later release perhaps. */
const parse = ({ id, text = '' }: CredentialWord): { readonly name: string; readonly orders: readonly unknown[] } => {
  try {
    const { name, orders } = JSON.parse(text) as Readonly<Record<string, unknown>>
    return { name: typeof name === 'string' ? name : id, orders: Array.isArray(orders) ? orders : [] }
  } catch {
    return { name: id, orders: [] }
  }
}
