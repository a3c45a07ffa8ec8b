import { expect, it } from 'vitest'
import { BUDGET_SECONDS, busyness, groupLines, overBudget } from '../../harness/tally.ts'

it('fails a group that took longer than its budget, and only that one', () => {
  const times = [
    { group: 'unit', ms: 61_000, files: 3 },
    { group: 'flow', ms: 61_000, files: 3 },
  ]
  expect(overBudget(times, 70_000)).toEqual([expect.stringContaining('unit took 61.0 s of 60 s')])
})

it('fails the suite beyond eight minutes', () => {
  expect(overBudget([], 481_000)).toEqual([expect.stringContaining('the suite took 481 s')])
  expect(overBudget([], 479_000)).toEqual([])
})

it('gives more time in proportion where others use the machine too, and none for its own load', () => {
  expect(busyness([3, 5], 2)).toBe(1)
  expect(busyness([], 2)).toBe(1)
  expect(busyness([8, 12], 2)).toBe(2.5)
  const unit = [{ group: 'unit', ms: BUDGET_SECONDS['unit']! * 1500, files: 3 }]
  expect(overBudget(unit, 700_000, 2)).toEqual([])
  expect(overBudget(unit, 970_000, 1.2)).toHaveLength(2)
})

it('gives a group without a budget no time at all', () => {
  expect(overBudget([{ group: 'new', ms: 1, files: 1 }], 1)).toHaveLength(1)
})

it('leaves two workers within eight minutes when every group spends its budget', () => {
  const work = Object.values(BUDGET_SECONDS).reduce((sum, seconds) => sum + seconds, 0)
  expect(work / 2).toBeLessThanOrEqual(480)
})

it('prints what each group cost', () => {
  expect(groupLines([{ group: 'unit', ms: 1234, files: 2 }])).toEqual(['  unit         1.2 s of 60 s, 2 files'])
})
