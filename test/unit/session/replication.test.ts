import type { Redis } from 'ioredis'
import { expect, it } from 'vitest'
import { instant } from '../../../src/kernel/time.ts'
import { watchReplication } from '../../../src/session/replication-redis.ts'

/** A primary as far as replication goes. */
const world = (replicas: number, answers: readonly (number | Error)[]) => {
  let now = 1_000
  let waits = 0
  const outcomes: string[] = []
  const primary = {
    info: async () => `# Replication\r\nrole:master\r\nconnected_slaves:${replicas}\r\n`,
    wait: async () => {
      const answer = answers[waits] ?? 1
      waits += 1
      if (answer instanceof Error) throw answer
      return answer
    },
  } as unknown as Redis
  const replication = watchReplication({
    clock: { now: () => instant(now), sleep: async () => {} },
    metrics: { count: (_name, labels) => void outcomes.push(Object.values(labels).join()), gauge: () => {}, observe: () => {} },
  })
  const confirm = () => replication.confirm(primary)
  return { confirm, outcomes, waits: () => waits, pass: (ms: number) => void (now += ms) }
}

it('is not waited for where there are no replicas: it could only run out', async () => {
  const { confirm, outcomes, waits } = world(0, [])
  await confirm()
  expect([waits(), outcomes]).toEqual([0, []])
})
it('is waited for at each write while replicas keep up', async () => {
  const { confirm, outcomes } = world(2, [2, 1])
  await confirm()
  await confirm()
  expect(outcomes).toEqual(['confirmed', 'confirmed'])
})
it('is not waited for again within a second of a replica’s silence, because a wait holds up its connection', async () => {
  const { confirm, outcomes, waits, pass } = world(1, [0, 1])
  for (let i = 0; i < 5; i += 1) await confirm()
  expect([waits(), outcomes]).toEqual([1, ['unconfirmed', 'held-off', 'held-off', 'held-off', 'held-off']])
  pass(1_000)
  await confirm()
  expect(outcomes.at(-1)).toBe('confirmed')
})
it('that gives no answer undoes nothing and is counted', async () => {
  const { confirm, outcomes } = world(1, [new Error('Command timed out')])
  await confirm()
  expect(outcomes).toEqual(['failed'])
})
