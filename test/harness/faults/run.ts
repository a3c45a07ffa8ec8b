import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { Program } from '../debs.ts'
import { type Bounds, checkHistory, type Verdict } from '../history-checker.ts'
import { createClients } from './clients.ts'
import { type FaultWorld, GRACE_MS, PROVIDER_TIMEOUT_MS, startFaultWorld } from './fault-world.ts'
import type { HistoryEvent } from './history.ts'
import { createInjector } from './injector.ts'
import { createRandom } from './random.ts'
import type { Topology } from './store-servers.ts'

export interface FaultRun {
  readonly program: Program
  /** One after the other over the same gateways, `operations` for each. */
  readonly seeds: readonly number[]
  readonly operations: number
  /** After so much time no more operations are begun, for all seeds together. */
  readonly withinMs: number
  /** But so many have to be, where that is possible at all: fewer show nothing. */
  readonly operationsMin?: number
  /** How many times the bounds of time it may take on a machine that has other things to do; 1 unless given. */
  readonly slack?: number
  readonly offsetsMin: readonly number[]
  /** `one` unless given. */
  readonly topology?: Topology
  readonly entry?: string
  /** false: none are injected. */
  readonly faults?: boolean
  /** Between two requests of one tab, so that few operations meet many faults; 0 unless given. */
  readonly thinkMs?: number
  /** The history as JSON lines. */
  readonly file?: string | undefined
  readonly progress?: (operations: number, seconds: number) => void
}

export interface FaultRunResult extends Verdict {
  readonly operations: number
  readonly seconds: number
  readonly history: readonly HistoryEvent[]
}

export const BOUNDS: Bounds = {
  liveMs: 2_000,
  cutOffMs: GRACE_MS + 2_000,
  recoveryMs: 5_000,
  providerTimeoutMs: PROVIDER_TIMEOUT_MS,
}
const boundsWith = (slack: number): Bounds => ({
  liveMs: BOUNDS.liveMs * slack,
  cutOffMs: BOUNDS.cutOffMs * slack,
  recoveryMs: BOUNDS.recoveryMs * slack,
  providerTimeoutMs: BOUNDS.providerTimeoutMs,
})
/** Every replica finds back to its store, and what was kept in memory is stored. */
const HEALING_MS = 4_000

export const runFaults = async (run: FaultRun): Promise<FaultRunResult> => {
  const begun = performance.now()
  const now = (): number => Math.round((performance.now() - begun) * 10) / 10
  const history: HistoryEvent[] = []
  const record = (event: HistoryEvent): void => void history.push(event)
  const worldRandom = createRandom(run.seeds[0] ?? 0)
  const { program, offsetsMin, topology = 'one', entry } = run
  const world = await startFaultWorld({ program, random: worldRandom, record, now, offsetsMin, topology, entry })
  try {
    const clientsOf = createClients({ world, record, now, thinkMs: run.thinkMs })
    const since = now()
    let operations = 0
    const ticking = setInterval(() => run.progress?.(history.filter(({ kind }) => kind === 'op').length, (now() - since) / 1000), 10_000)
    for (const [at, seed] of run.seeds.entries()) {
      const deadline = since + (run.withinMs * (at + 1)) / run.seeds.length
      const random = createRandom(seed)
      const injector = createInjector({ world, record, now })
      const injecting = run.faults === false ? undefined : injector.run(random.fork())
      operations += await clientsOf(random.fork()).run(run.operations, deadline, (run.operationsMin ?? 0) / run.seeds.length)
      injector.stop()
      await injecting
    }
    clearInterval(ticking)
    const seconds = (now() - since) / 1000
    if (run.faults !== false) await wait(HEALING_MS)
    record({ kind: 'healed', at: now() })
    await clientsOf(createRandom(0)).askAll()
    for (const key of await keysOf(world)) record(key)
    for (const ended of world.ended()) record(ended)
    if (run.file) write(run.file, history)
    return { ...checkHistory(history, boundsWith(run.slack ?? 1)), operations, seconds, history }
  } finally {
    await world.stop()
  }
}

const keysOf = async ({ store }: FaultWorld): Promise<HistoryEvent[]> => {
  const client = new Redis((await store.primary()).port, '127.0.0.1')
  try {
    const keys: HistoryEvent[] = []
    for await (const batch of client.scanStream({ count: 500 }) as AsyncIterable<readonly string[]>)
      for (const key of batch) keys.push({ kind: 'key', key, ttl: await client.pttl(key) })
    return keys.filter((key) => key.kind === 'key' && key.ttl !== -2)
  } finally {
    client.disconnect()
  }
}

const write = (file: string, history: readonly HistoryEvent[]): void => {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, '')
  for (let at = 0; at < history.length; at += 1_000)
    appendFileSync(
      file,
      history
        .slice(at, at + 1_000)
        .map((event) => `${JSON.stringify(event)}\n`)
        .join(''),
    )
}
