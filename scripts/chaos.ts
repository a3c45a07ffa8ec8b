import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runFaults } from '../test/harness/faults/run.ts'
import { findProgram } from '../test/harness/redis.setup.ts'

/** `npm run chaos -- --operations 100000 --seed 7 --minutes 30`: the fault suite at length. Exit code 1 when the history breaks a rule. */
const { values } = parseArgs({
  options: {
    operations: { type: 'string', default: process.env['CHAOS_OPERATIONS'] ?? '100000' },
    seed: { type: 'string', default: process.env['CHAOS_SEED'] ?? String(Date.now() % 1_000_000) },
    minutes: { type: 'string', default: process.env['CHAOS_MINUTES'] ?? '30' },
    /** Minutes by which clocks may be off, for instance `-3,0,3`. */
    offsets: { type: 'string', default: '0' },
  },
})
const say = (line: string): void => void process.stdout.write(`${line}\n`)

const seed = Number(values.seed)
const program = await findProgram()
if (!program) throw new Error('no Redis program here: install redis-server')
const file = join(tmpdir(), `sallyport-chaos-${seed}.jsonl`)
say(`seed ${seed}, ${values.operations} operations; history: ${file}`)
const result = await runFaults({
  program,
  seeds: [seed],
  operations: Number(values.operations),
  withinMs: Number(values.minutes) * 60_000,
  offsetsMin: values.offsets.split(',').map(Number),
  file,
  progress: (operations, seconds) => say(`${operations} operations in ${Math.round(seconds)} s`),
})
say(`${result.operations} operations in ${Math.round(result.seconds)} s: ${Math.round(result.operations / result.seconds)} a second`)
for (const [name, count] of Object.entries(result.counts).toSorted(([a], [b]) => a.localeCompare(b))) say(`  ${name}: ${count}`)
for (const { rule, at, what } of result.violations) say(`VIOLATION ${rule} at ${Math.round(at)} ms: ${what}`)
say(result.violations.length === 0 ? 'no rule was broken' : `${result.violations.length} violations; again with --seed ${seed}`)
process.exitCode = result.violations.length === 0 ? 0 : 1
