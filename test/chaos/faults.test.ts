import { describe, expect, inject, it } from 'vitest'
import { runFaults } from '../harness/faults/run.ts'
import '../harness/provided.ts'

const program = inject('redisProgram')

/** The short form of `npm run chaos`: the same gateways, faults and rules for as long as a test may take. */
describe.skipIf(!program)('three gateways over one Redis, with faults on every wire', () => {
  it('sessions stay whose they are, end when they were ended, and no refresh token is spent twice', { timeout: 90_000 }, async () => {
    if (!program) return
    const result = await runFaults({ program, seeds: [11, 47], operations: 1_500, thinkMs: 120, withinMs: 10_000, offsetsMin: [0] })
    expect(result.violations).toEqual([])
    // Nothing would be shown by a run in which nothing happened.
    expect(result.operations).toBeGreaterThan(300)
    expect(result.history.filter(({ kind }) => kind === 'fault').length).toBeGreaterThan(3)
    expect(result.counts['refreshes']).toBeGreaterThan(0)
    expect(result.counts['logouts acknowledged']).toBeGreaterThan(0)
  })
})
