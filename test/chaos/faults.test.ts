import { fileURLToPath } from 'node:url'
import { describe, expect, inject, it } from 'vitest'
import { type FaultRun, runFaults } from '../harness/faults/run.ts'
import '../harness/provided.ts'

const program = inject('redisProgram')
const SHORT = { operations: 1_500, thinkMs: 120, withinMs: 7_000, offsetsMin: [-3, 0, 3], slack: 2 } as const satisfies Partial<FaultRun>

/** The short form of `npm run chaos`: the same gateways, faults and rules for as long as a test may take. */
describe.skipIf(!program)('three gateways over one Redis, with faults on every wire', { timeout: 120_000 }, () => {
  it('sessions stay whose they are, end when they were ended, and no refresh token is spent twice', async () => {
    if (!program) return
    const result = await runFaults({ ...SHORT, program, seeds: [11, 47], operationsMin: 250 })
    expect(result.violations).toEqual([])
    // Nothing would be shown by a run in which nothing happened.
    expect(result.operations).toBeGreaterThan(240)
    expect(result.history.filter(({ kind }) => kind === 'fault').length).toBeGreaterThan(3)
    expect(result.counts['refreshes']).toBeGreaterThan(0)
    expect(result.counts['logouts acknowledged']).toBeGreaterThan(0)
    // Clocks minutes apart: no sign-in and no token is refused for what a machine takes for the time.
    expect(result.counts['status 400'] ?? 0).toBe(0)
    expect(result.counts['status 502'] ?? 0).toBe(0)
  })

  it('test of the test: gateways without lease and mark are found out', async () => {
    if (!program) return
    const entry = fileURLToPath(new URL('../harness/gateway-without-lease.child.ts', import.meta.url))
    const { violations } = await runFaults({
      ...SHORT,
      program,
      entry,
      seeds: [11],
      thinkMs: 20,
      withinMs: 5_000,
      operations: 1_000,
      faults: false,
    })
    expect(violations.map(({ rule }) => rule)).toContain('sent-again')
  })
})
