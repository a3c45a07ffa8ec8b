import { hash } from 'node:crypto'
import type { Millis } from '../kernel/time.ts'
import { millis } from '../kernel/time.ts'

/**
 * Whether the servers that answer are the ones that answered before. A server names itself anew at each start (`run_id`) and whenever it becomes the primary
 * of a history of its own (`master_replid`). After either, what the store has acknowledged last may be missing.
 */
export interface ServerIdentity {
  /** A connection to this place stands anew: until it is known who answers there, it may be anybody. */
  doubt(place: string): void
  /** @param info the answer to INFO @returns true when it is another server than before; never for the first */
  met(place: string, info: string): boolean
  /** Forgets all other places. @returns those of which it is not known who answers there */
  keep(places: readonly string[]): readonly string[]
  /** Of all servers together, as they are now: a text of hexadecimal digits that no others have. */
  name(): string
  /** For how long they have been the ones they are; 0 while one of them is not known. By no clock that can be set. */
  age(): Millis
}

/**
 * @param trustsUptime one server, which has been itself for as long as it runs; elsewhere the one we meet first may have been made the primary a moment ago
 * @param ticks milliseconds of a clock that only goes forward
 */
export const watchIdentity = (trustsUptime: boolean, ticks: () => number = () => performance.now()): ServerIdentity => {
  const known = new Map<string, string>()
  const doubted = new Set<string>()
  let since = ticks()
  let isFirst = true
  return {
    doubt: (place) => void doubted.add(place),
    keep: (places) => {
      const now = new Set(places)
      for (const place of [...known.keys(), ...doubted])
        if (!now.has(place)) {
          known.delete(place)
          doubted.delete(place)
        }
      return places.filter((place) => doubted.has(place) || !known.has(place))
    },
    met: (place, info) => {
      doubted.delete(place)
      const id = `${factOf(info, 'run_id')} ${factOf(info, 'master_replid')}`
      const before = known.get(place)
      if (before === id) return false
      known.set(place, id)
      since = isFirst && trustsUptime ? ticks() - 1_000 * Number(factOf(info, 'uptime_in_seconds') ?? 0) : ticks()
      const isAnother = !isFirst
      isFirst = false
      return isAnother
    },
    name: () => {
      const all = [...known].map(([place, id]) => `${place} ${id}`).toSorted()
      return hash('sha256', all.join('\n')).slice(0, 16)
    },
    age: () => millis(doubted.size > 0 || isFirst ? 0 : ticks() - since),
  }
}

const factOf = (info: string, name: string): string | undefined => new RegExp(`^${name}:(.+?)\\r?$`, 'm').exec(info)?.[1]
