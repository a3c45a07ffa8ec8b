import { fileURLToPath } from 'node:url'
import { describe, expect, inject, it } from 'vitest'
import { runRefreshStorm } from '../harness/faults/refresh-storm.ts'
import '../harness/provided.ts'

const program = inject('redisProgram')

/** Issue 5, "shown by" 2. */
describe.skipIf(!program)(
  'fifty sessions with four audiences each, at a provider that takes a second use of a refresh token for theft',
  { timeout: 90_000 },
  () => {
    it('spends each refresh token once, recovers at most once from what it cannot know, and asks for nothing that is at hand', async () => {
      if (!program) return
      const result = await runRefreshStorm({ program, seed: 2026, forMs: 10_000 })
      expect(result.violations).toEqual([])
      expect(result.crossed).toEqual([])
      // Nothing would be shown by a run in which nothing happened.
      expect(result.counts.refreshes).toBeGreaterThan(100)
      expect(result.counts.unknown).toBeGreaterThan(2)
      expect(result.counts.recoveries).toBeGreaterThan(0)
      // Served, held up by a fault, cut off by a gateway's fall, or signed out by a loss that was counted: nothing else.
      expect(Object.keys(result.statuses).filter((status) => !['0', '200', '401', '503'].includes(status))).toEqual([])
    })

    it('test of the test: gateways without lease and mark are found out', async () => {
      if (!program) return
      const entry = fileURLToPath(new URL('../harness/gateway-without-lease.child.ts', import.meta.url))
      const { violations } = await runRefreshStorm({ program, seed: 2026, forMs: 5_500, faults: false, entry })
      expect(violations.length).toBeGreaterThan(0)
    })
  },
)
