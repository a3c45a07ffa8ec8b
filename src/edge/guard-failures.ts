import type { FailureLimit } from '../flows/bearer-callers.ts'
import type { Instant } from '../kernel/time.ts'
import { after, between, instant, millis } from '../kernel/time.ts'
import { networkOf, type Rate } from './guard-rate.ts'

const ENTRIES_MAX = 10_000

/**
 * What one address may get wrong: so much at once, and evenly so much again in `perMs` (GCRA: one moment per address, when it will have nothing wrong any
 * more). Only failures count, so that nobody who brings what is right is ever slowed down by it, save behind one address with those who do not.
 */
export const createFailureLimit = ({ count, perMs }: Rate): FailureLimit => {
  const forgivenAt = new Map<string, Instant>()
  const each = perMs / count
  return {
    waitOf: (address, now) => {
      const missing = between(now, forgivenAt.get(networkOf(address) ?? address) ?? instant(0))
      // More than can ever be missing was noted before the clock was set back.
      if (missing <= perMs - each || missing > perMs + each) return undefined
      return millis(Math.ceil(missing - (perMs - each)))
    },
    note: (address, now) => {
      const network = networkOf(address) ?? address
      const known = forgivenAt.get(network)
      const from = known !== undefined && known > now && between(now, known) <= perMs + each ? known : now
      forgivenAt.delete(network) // to the young end
      forgivenAt.set(network, after(from, millis(each)))
      for (const oldest of forgivenAt.keys()) {
        if (forgivenAt.size <= ENTRIES_MAX) return
        forgivenAt.delete(oldest)
      }
    },
  }
}
