import { expect, it } from 'vitest'
import type { Secret } from '../../../src/kernel/secret.ts'
import { runMixedCalls } from '../../harness/mixed-calls.ts'

// A million of them: npm run mixed-calls.
it.each(['strict', 'none'] as const)('of five thousand mixed calls with rotation %s none gets another’s token', async (rotation) => {
  const result = await runMixedCalls({ calls: 5000, seed: 7, rotation })
  expect(result.crossed).toEqual([])
  // They were what they are meant to be: mostly answered from memory, many renewed, some refused, some sessions gone.
  expect(result.issued).toBeGreaterThan(4500)
  expect(result.peeked).toBeGreaterThan(2000)
  expect(result.tokenCalls).toBeGreaterThan(500)
})

it('test of the test: a provider that now and then takes one caller for the one before is found out', async () => {
  const result = await runMixedCalls({
    calls: 5000,
    seed: 7,
    rotation: 'strict',
    provider: (real) => {
      let before: Secret<'access-token'> | undefined
      let count = 0
      return {
        ...real,
        exchange: (subject, ask, actor) => {
          const mistaken = (count += 1) % 50 === 0 ? (before ?? subject) : subject
          before = subject
          return real.exchange(mistaken, ask, actor)
        },
      }
    },
  })
  expect(result.crossed.length).toBeGreaterThan(0)
})
