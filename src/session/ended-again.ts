import type { Metrics } from '../domain/metric.ts'
import type { EndReason, SessionRef } from '../domain/session.ts'
import type { Log } from '../kernel/ports.ts'
import type { SessionRecords } from './records.ts'

const BATCH = 100

export interface EndedAgainDeps {
  readonly records: Pick<SessionRecords, 'end' | 'dropFromIndex'>
  /** What this replica remembers to have ended, by whomever, newest first: a failover loses the newest. */
  readonly remembered: () => Iterable<readonly [SessionRef, EndReason]>
  readonly metrics: Metrics
  readonly log: Log
}

/**
 * Ends everything again that this replica remembers as ended (spec §4). After a failover another server speaks for the store, and what the lost one
 * had acknowledged last may be missing there. Where nothing is missing, a script finds the tombstone and writes nothing.
 */
export class EndedAgain {
  readonly #deps: EndedAgainDeps
  #running = false
  #again = false

  constructor(deps: EndedAgainDeps) {
    this.#deps = deps
  }

  /** At each return of the store. One that comes while it runs makes it begin anew: the server may have been replaced in between. */
  async run(): Promise<void> {
    this.#again = true
    if (this.#running) return
    this.#running = true
    try {
      while (this.#again) {
        this.#again = false
        await this.#once()
      }
    } finally {
      this.#running = false
    }
  }

  async #once(): Promise<void> {
    // A copy: what ends meanwhile is told to the server that is there now.
    const ends = [...this.#deps.remembered()]
    let count = 0
    for (let i = 0; i < ends.length && !this.#again; i += BATCH) {
      const done = await Promise.all(ends.slice(i, i + BATCH).map(([ref, reason]) => this.#end(ref, reason)))
      count += done.filter((kind) => kind === 'ended').length
      if (done.includes('unavailable')) break // the next return begins anew
    }
    if (count > 0) this.#deps.log.warn({ count }, 'sessions came back with another server of the store, and were ended again')
  }

  async #end(ref: SessionRef, reason: EndReason): Promise<'ended' | 'absent' | 'superseded' | 'unavailable'> {
    const { records, metrics } = this.#deps
    const result = await records.end(ref, reason)
    if (result.kind !== 'ended') return result.kind
    metrics.count('sallyport_session_ended_again_total', {})
    await Promise.all(result.indexes.map((index) => records.dropFromIndex(index, ref)))
    return result.kind
  }
}
