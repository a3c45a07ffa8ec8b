import { describe, expect, it } from 'vitest'
import { createLoginRate, networkOf, type Rate } from '../../../src/edge/guard-rate.ts'
import type { LoginRate } from '../../../src/flows/login.ts'
import { minutes as minutesOf } from '../../../src/kernel/time.ts'
import { manualClock } from '../../harness/clock.ts'
import { recordingLog } from '../../harness/provider-room.ts'

const aRate = (count: number, perMs = minutesOf(1)): Rate => ({ count, perMs })
const setUp = (perAddress: Rate | undefined, global: Rate | undefined, entriesMax?: number) => {
  const clock = manualClock()
  const { log, lines } = recordingLog()
  return { clock, lines, rate: createLoginRate({ perAddress, global, clock, log, ...(entriesMax !== undefined && { entriesMax }) }) }
}
/** How many of so many in a row are let in. */
const letIn = (rate: LoginRate, address: string, tries: number): number =>
  Array.from({ length: tries }, () => rate.refuse(address)).filter((refusal) => refusal === undefined).length

describe('one address', () => {
  it('may start so many at once, and no more', () => {
    const { rate } = setUp(aRate(30), undefined)
    expect(letIn(rate, '192.0.2.1', 100)).toBe(30)
    expect(letIn(rate, '192.0.2.2', 100)).toBe(30)
  })

  it('gets them back evenly, and is told when the next one is there', async () => {
    const { rate, clock } = setUp(aRate(30), undefined)
    letIn(rate, 'a', 0)
    expect(letIn(rate, '192.0.2.1', 31)).toBe(30)
    expect(rate.refuse('192.0.2.1')).toMatchObject({ limit: 'address', retryAfter: 2000 })
    await clock.advance(1.999 * 1000)
    expect(rate.refuse('192.0.2.1')).toMatchObject({ retryAfter: 1 })
    await clock.advance(1)
    expect(letIn(rate, '192.0.2.1', 5)).toBe(1)
    await clock.advance(20 * 1000)
    expect(letIn(rate, '192.0.2.1', 50)).toBe(10)
    await clock.advance(5 * 3_600_000)
    expect(letIn(rate, '192.0.2.1', 50)).toBe(30) // never more than one bucket full
  })

  it.each([1, 3, 7, 60, 1_000_000])('a bucket of %d is neither one short nor one over', (count) => {
    expect(letIn(setUp(aRate(count), undefined).rate, '192.0.2.1', Math.min(count, 100) + 1)).toBe(
      Math.min(count, count < 101 ? count : 101),
    )
  })

  it('is one line in the log and the audit stream per minute, however often it is refused', async () => {
    const { rate, clock, lines } = setUp(aRate(2), undefined)
    const firsts = (): number => Array.from({ length: 1000 }, () => rate.refuse('192.0.2.1')).filter((refusal) => refusal?.isFirst).length
    expect(firsts()).toBe(1)
    await clock.advance(59 * 1000)
    expect(firsts()).toBe(0)
    await clock.advance(2 * 1000)
    expect(firsts()).toBe(1)
    expect(lines.map(({ level, facts }) => [level, facts.reason])).toEqual([
      ['warn', 'address'],
      ['warn', 'address'],
    ])
    expect(JSON.stringify(lines)).toContain('listen.trusted_proxies')
  })

  it('a clock that is set back does not lock anybody out for as long', async () => {
    const clock = manualClock()
    let back = 0
    const rate = createLoginRate({
      perAddress: aRate(2),
      global: aRate(2),
      clock: { now: () => (clock.now() - back) as ReturnType<typeof clock.now> },
      log: recordingLog().log,
    })
    expect(letIn(rate, '192.0.2.1', 3)).toBe(2)
    back = 1 * 3_600_000
    expect(letIn(rate, '192.0.2.1', 3)).toBe(2)
  })
})

describe('all together', () => {
  it('are limited over all addresses, also those that are none', () => {
    const { rate, lines } = setUp(aRate(30), aRate(100))
    const started = Array.from({ length: 50 }, (_, n) => letIn(rate, `192.0.2.${n}`, 10)).reduce((a, b) => a + b)
    expect(started).toBe(100)
    expect(rate.refuse('unknown')).toMatchObject({ limit: 'global', isFirst: false })
    expect(lines.map(({ facts }) => facts.reason)).toEqual(['global'])
  })

  it('one address that is refused draws nothing of what is everybody’s', () => {
    const { rate } = setUp(aRate(10), aRate(100))
    letIn(rate, '192.0.2.1', 100_000)
    expect(Array.from({ length: 20 }, (_, n) => letIn(rate, `198.51.100.${n}`, 10)).reduce((a, b) => a + b)).toBe(90)
  })

  it('and who is refused for everybody’s sake keeps what is their own', async () => {
    const { rate, clock } = setUp(aRate(2), aRate(2))
    letIn(rate, '192.0.2.1', 2)
    expect(letIn(rate, '192.0.2.2', 5)).toBe(0)
    await clock.advance(minutesOf(1))
    expect(letIn(rate, '192.0.2.2', 5)).toBe(2)
  })

  it('what is no address has no bucket of its own: behind a socket that tells nothing, nobody is taken for everybody', () => {
    const { rate } = setUp(aRate(2), aRate(50))
    expect(letIn(rate, 'unknown', 100)).toBe(50)
  })

  it.each([
    [undefined, undefined, 100],
    [undefined, aRate(7), 7],
  ])('off means off', (perAddress, global, most) => {
    expect(letIn(setUp(perAddress, global).rate, '192.0.2.1', 100)).toBe(most)
  })
})

describe('memory', () => {
  it('is bounded: past the most, the address that drew longest ago is forgotten, and nobody else', () => {
    const { rate } = setUp(aRate(2), undefined, 3)
    for (const last of [1, 2, 3]) letIn(rate, `192.0.2.${last}`, 2)
    expect(letIn(rate, '192.0.2.4', 3)).toBe(2) // in place of .1
    expect([2, 3].map((last) => letIn(rate, `192.0.2.${last}`, 1))).toEqual([0, 0])
    expect(letIn(rate, '192.0.2.1', 3)).toBe(2)
  })

  it('of a hundred thousand addresses only those whose bucket is not full take any: a refusal adds none', () => {
    const { rate } = setUp(aRate(2), aRate(10))
    const before = process.memoryUsage().heapUsed
    for (let n = 0; n < 100_000; n += 1) rate.refuse(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`)
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1024 * 1024)
    expect(letIn(rate, '10.0.0.0', 1)).toBe(0)
  })
})

it.each`
  address                               | bucket            | because
  ${'192.0.2.7'}                        | ${'192.0.2.7'}    | ${'IPv4 as it is'}
  ${'::ffff:192.0.2.7'}                 | ${'192.0.2.7'}    | ${'IPv4 in IPv6'}
  ${'::ffff:c000:207'}                  | ${'192.0.2.7'}    | ${'the same in hexadecimal'}
  ${'2001:db8:1:2:3:4:5:6'}             | ${'2001:db8:1:2'} | ${'a /64'}
  ${'2001:0db8:0001:0002::9'}           | ${'2001:db8:1:2'} | ${'the same /64, spelled out'}
  ${'2001:db8:1:2:ffff:ffff:ffff:ffff'} | ${'2001:db8:1:2'} | ${'its last address'}
  ${'2001:db8:1:3::'}                   | ${'2001:db8:1:3'} | ${'the next /64'}
  ${'2001:db8::1'}                      | ${'2001:db8:0:0'} | ${'zeros in the middle'}
  ${'::1'}                              | ${'0:0:0:0'}      | ${'loopback'}
  ${'fe80::1%eth0'}                     | ${'fe80:0:0:0'}   | ${'a zone is no part of it'}
  ${'64:ff9b::192.0.2.7'}               | ${'64:ff9b:0:0'}  | ${'decimal bytes at the end'}
  ${'unknown'}                          | ${undefined}      | ${'a Unix socket'}
  ${''}                                 | ${undefined}      | ${'nothing'}
  ${'192.0.2.7, 10.0.0.1'}              | ${undefined}      | ${'two are none'}
`('$address counts as $bucket: $because', ({ address, bucket }) => {
  expect(networkOf(address)).toBe(bucket)
})
