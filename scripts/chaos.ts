import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runRefreshStorm } from '../test/harness/faults/refresh-storm.ts'
import { runFaults } from '../test/harness/faults/run.ts'
import { startRedisServer } from '../test/harness/redis-server.ts'
import { findProgram } from '../test/harness/redis.setup.ts'
import { runRotations } from '../test/harness/rotations/run.ts'

/** `npm run chaos -- --operations 100000 --seed 7 --minutes 30`: the fault suite at length. Exit code 1 when the history breaks a rule. */
const { values } = parseArgs({
  options: {
    operations: { type: 'string', default: process.env['CHAOS_OPERATIONS'] ?? '100000' },
    seed: { type: 'string', default: process.env['CHAOS_SEED'] ?? String(Date.now() % 1_000_000) },
    minutes: { type: 'string', default: process.env['CHAOS_MINUTES'] ?? '30' },
    /** `one`, `sentinel`, or `both`: half of the operations each. */
    topology: { type: 'string', default: 'both' },
    /** Minutes by which clocks of gateways may be off. More than half a minute behind the provider no ID token is believed: nobody can sign in there. */
    offsets: { type: 'string', default: '-3,0,3' },
    /** How long fifty sessions refresh at a provider that loses answers; 0: not at all. */
    'refresh-seconds': { type: 'string', default: '60' },
    /** How many rotations of the client credential; `--operations 0 --refresh-seconds 0 --rotations 100`: nothing else, in about a quarter of an hour. */
    rotations: { type: 'string', default: '100' },
  },
})
const say = (line: string): void => void process.stdout.write(`${line}\n`)

const seed = Number(values.seed)
const topologies: readonly ('one' | 'sentinel')[] =
  values.topology === 'both' ? ['one', 'sentinel'] : [values.topology === 'sentinel' ? 'sentinel' : 'one']
const program = await findProgram()
if (!program) throw new Error('no Redis program here: install redis-server')
for (const topology of Number(values.operations) > 0 ? topologies : []) {
  const operations = Math.ceil(Number(values.operations) / topologies.length)
  const file = join(tmpdir(), `sallyport-chaos-${seed}-${topology}.jsonl`)
  say(`seed ${seed}, Redis: ${topology}, ${operations} operations; history: ${file}`)
  const result = await runFaults({
    program,
    seeds: [seed],
    operations,
    topology,
    withinMs: (Number(values.minutes) * 60_000) / topologies.length,
    offsetsMin: values.offsets.split(',').map(Number),
    file,
    progress: (done, seconds) => say(`${done} operations in ${Math.round(seconds)} s`),
  })
  say(`${result.operations} operations in ${Math.round(result.seconds)} s: ${Math.round(result.operations / result.seconds)} a second`)
  for (const [name, count] of Object.entries(result.counts).toSorted(([a], [b]) => a.localeCompare(b))) say(`  ${name}: ${count}`)
  for (const { rule, at, what } of result.violations) say(`VIOLATION ${rule} at ${Math.round(at)} ms: ${what}`)
  if (result.operations < operations) say(`${operations - result.operations} operations fewer than asked for: give it more --minutes`)
  say(
    result.violations.length === 0
      ? 'no rule was broken'
      : `${result.violations.length} violations; again with --seed ${seed} --topology ${topology}`,
  )
  if (result.violations.length > 0) process.exitCode = 1
}

const refreshMs = Number(values['refresh-seconds']) * 1_000
if (refreshMs > 0) {
  const { counts, crossed, requests, violations } = await runRefreshStorm({ program, seed, forMs: refreshMs })
  say(`refresh: ${requests} requests`)
  for (const [name, count] of Object.entries(counts)) say(`  ${name}: ${count}`)
  for (const what of [...violations, ...crossed]) say(`VIOLATION ${what}`)
  if (violations.length + crossed.length > 0) process.exitCode = 1
}

const rotations = Number(values.rotations)
if (rotations > 0) say(`seed ${seed}, ${rotations} rotations`)
const shares = {
  entra: Math.ceil(rotations * 0.6),
  keycloak: Math.floor(rotations * 0.2),
  'keycloak-jwks': Math.floor(rotations * 0.2),
} as const
for (const provider of ['entra', 'keycloak', 'keycloak-jwks'] as const) {
  if (shares[provider] === 0) continue
  const redis = await startRedisServer(program, { args: ['--appendonly', 'no'] })
  try {
    const progress = (done: number, order: string, seconds: number): void =>
      say(`rotation ${done} at ${provider}: ${order}, ${seconds.toFixed(1)} s`)
    const result = await runRotations({ provider, redisUrl: redis.url, orders: shares[provider], seed, progress })
    say(`${result.rotations} rotations at ${provider}; requests served: ${JSON.stringify(result.served)}`)
    say(`  ${result.excused} failed while nothing was accepted, ${result.starved} because Redis did not answer in time`)
    for (const failure of result.failures) say(`VIOLATION failed request: ${JSON.stringify(failure)}`)
    if (result.failures.length > 0) process.exitCode = 1
  } finally {
    await redis.stop()
  }
}
