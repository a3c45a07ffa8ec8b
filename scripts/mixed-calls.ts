import { parseArgs } from 'node:util'
import { runMixedCalls } from '../test/harness/mixed-calls.ts'

/** `npm run mixed-calls -- --calls 1000000 --seed 7`: every strategy, many users, one process. Exit code 1 when one token reached the wrong call. */
const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
})
const say = (line: string): void => void process.stdout.write(`${line}\n`)
const calls = Number(values.calls)
const seed = Number(values.seed)

let crossed = 0
for (const rotation of ['strict', 'none'] as const) {
  const began = performance.now()
  const result = await runMixedCalls({ calls: Math.ceil(calls / 2), seed, rotation })
  crossed += result.crossed.length
  say(`seed ${seed}, rotation ${rotation}, ${((performance.now() - began) / 1000).toFixed(1)} s: ${JSON.stringify(result)}`)
}
say(`${crossed} tokens crossed`)
process.exitCode = crossed === 0 ? 0 : 1
