import type { Redis } from 'ioredis'
import type { Metrics } from '../domain/metric.ts'
import type { Clock, Instant } from '../kernel/time.ts'
import { inTime } from './in-time-redis.ts'

/** Spec §4: one replica, a tenth of a second. */
const WAIT_REPLICAS = 1
const WAIT_MS = 100
/** While replicas are connected but do not keep up, a wait holds up everything behind it on its connection: one in a second at most. */
const HOLD_OFF_MS = 1_000

export interface Replication {
  /** Waits until one replica has what this connection wrote. Where there is none: not at all. What it yields undoes nothing; it is counted. */
  confirm(master: Redis): Promise<void>
  /** Looks whether there are replicas. @returns the role the server says it has */
  look(master: Redis): Promise<'master' | 'other' | 'unknown'>
}

interface Known {
  replicas: number
  notBefore: Instant
}

export const watchReplication = ({ clock, metrics }: { readonly clock: Clock; readonly metrics: Metrics }): Replication => {
  const known = new WeakMap<Redis, Known>()
  const counted = (outcome: 'confirmed' | 'unconfirmed' | 'failed' | 'held-off'): void =>
    metrics.count('sallyport_store_replica_waits_total', { outcome })

  const look: Replication['look'] = async (master) => {
    let info: string
    try {
      info = await inTime(master.info('replication'))
    } catch {
      return 'unknown'
    }
    const replicas = Number(/^connected_slaves:(\d+)/m.exec(info)?.[1] ?? 0)
    known.set(master, { replicas, notBefore: known.get(master)?.notBefore ?? clock.now() })
    return /^role:master/m.test(info) ? 'master' : 'other'
  }

  return {
    look,
    confirm: async (master) => {
      if (!known.has(master)) await look(master)
      const state = known.get(master)
      if (!state) return counted('failed')
      if (state.replicas === 0) return
      if (clock.now() < state.notBefore) return counted('held-off')
      try {
        const replicas = await inTime(master.wait(WAIT_REPLICAS, WAIT_MS))
        if (replicas >= WAIT_REPLICAS) return counted('confirmed')
        counted('unconfirmed')
        state.notBefore = (clock.now() + HOLD_OFF_MS) as Instant
        await look(master)
      } catch {
        counted('failed')
      }
    },
  }
}
