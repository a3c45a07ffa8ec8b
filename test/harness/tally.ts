import { cpus, loadavg } from 'node:os'
import type { Reporter, TestModule, TestRunEndReason } from 'vitest/node'

/** Seconds of work a group may take, summed over its files; two workers share them. Together they stay under the eight minutes of the whole suite. */
export const BUDGET_SECONDS: Readonly<Record<string, number>> = {
  unit: 60,
  contract: 140,
  flow: 185,
  attack: 100,
  chaos: 275,
  browser: 200,
}
/** Of groups that run by themselves and not with the suite. */
const APART_SECONDS: Readonly<Record<string, number>> = { interop: 300 }
/** On the wall, two cores, everything; the first download of a browser comes on top. */
const SUITE_SECONDS = 480

export interface GroupTime {
  readonly group: string
  readonly ms: number
  readonly files: number
}

/** One line for each group that ran, in the order of the budget. */
export const groupLines = (times: readonly GroupTime[]): string[] =>
  times.map(
    ({ group, ms, files }) => `  ${group.padEnd(9)} ${(ms / 1000).toFixed(1).padStart(6)} s of ${budgetOf(group)} s, ${files} files`,
  )

/**
 * One line for each budget that was broken: every one counts as a failed test. A group nobody gave a budget has none left.
 * @param times what the groups took @param busy `busyness` of the machine meanwhile: the same work takes so many times as long there
 */
export const overBudget = (times: readonly GroupTime[], wallMs: number, busy = 1): string[] => [
  ...times
    .filter(({ group, ms }) => ms > budgetOf(group) * 1000 * busy)
    .map(
      ({ group, ms }) =>
        `OVER BUDGET: ${group} took ${(ms / 1000).toFixed(1)} s of ${budgetOf(group)} s. Make it cheaper; the budget stays.`,
    ),
  ...(wallMs > SUITE_SECONDS * 1000 * busy ? [`OVER BUDGET: the suite took ${(wallMs / 1000).toFixed(0)} s of ${SUITE_SECONDS} s.`] : []),
]

/** What the suite itself brings along for each processor, its gateways, servers and browsers included. */
const OWN_LOAD = 2
/** How many times as long things take because others use the machine too; 1 where the suite is alone. @param loads load averages, as `uptime` shows them */
export const busyness = (loads: readonly number[], processors: number): number => {
  const mean = loads.reduce((sum, load) => sum + load, 0) / Math.max(1, loads.length)
  return Math.max(1, mean / (OWN_LOAD * processors))
}

const busyLines = (busy: number): string[] =>
  busy > 1 ? [`  The machine had other things to do: budgets count ${busy.toFixed(1)} times.`] : []

const budgetOf = (group: string): number => BUDGET_SECONDS[group] ?? APART_SECONDS[group] ?? 0

const groupTimes = (modules: readonly TestModule[]): GroupTime[] => {
  const times = new Map<string, GroupTime>()
  for (const module of modules) {
    const { environmentSetupDuration, prepareDuration, collectDuration, setupDuration, duration } = module.diagnostic()
    const before = times.get(module.project.name) ?? { group: module.project.name, ms: 0, files: 0 }
    const ms = before.ms + environmentSetupDuration + prepareDuration + collectDuration + setupDuration + duration
    times.set(before.group, { ...before, ms, files: before.files + 1 })
  }
  const order = Object.keys(BUDGET_SECONDS)
  return [...times.values()].sort((a, b) => order.indexOf(a.group) - order.indexOf(b.group))
}

/** Prints what each group cost, and as the last line the one that any CI can read: `N passed, N failed, N skipped`. A skip is not a pass. */
export default class Tally implements Reporter {
  #startedAt = performance.now()
  #loads: number[] = []

  onTestRunStart(): void {
    this.#startedAt = performance.now()
    this.#loads = []
  }

  onTestModuleEnd(): void {
    this.#loads.push(loadavg()[0] ?? 0)
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[], reason: TestRunEndReason): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()])
    const count = (state: string): number => tests.filter((test) => test.result().state === state).length
    // A file that failed before or beside its tests has no failed test to count.
    const broken = modules.filter((module) => module.state() === 'failed' && [...module.children.allTests('failed')].length === 0).length
    const times = groupTimes(modules)
    const busy = busyness(this.#loads, cpus().length)
    const over = overBudget(times, performance.now() - this.#startedAt, busy)
    if (over.length > 0) process.exitCode = 1
    const counted = count('failed') + broken + unhandled.length + over.length
    // A global set-up that threw leaves nothing to count, and nothing that was tried.
    const failed = counted === 0 && (reason !== 'passed' || tests.length === 0) ? 1 : counted
    const totals = `${count('passed')} passed, ${failed} failed, ${count('skipped')} skipped`
    const again = tests
      .filter((test) => (test.diagnostic()?.retryCount ?? 0) > 0)
      .map(({ fullName }) => `  Only when tried again: ${fullName}`)
    process.stdout.write(`\n${[...groupLines(times), ...busyLines(busy), ...again, ...over, totals].join('\n')}\n`)
  }
}
