import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Secret } from '../../../src/kernel/secret.ts'
import type { Facts } from '../../../src/kernel/ports.ts'
import { asciiJson, quoted } from '../../../src/telemetry/line.ts'
import { createLog, lostLine } from '../../../src/telemetry/log.ts'

const CANARY = 'canary-5f2c9e'
const logging = (level: 'debug' | 'info' | 'warn' | 'error' = 'debug') => {
  const lines: string[] = []
  return { lines, log: createLog({ level, write: (line) => lines.push(line) }) }
}
/** Facts as code without types would pass them. */
const loose = (facts: Record<string, unknown>): Facts => facts

it('writes one JSON line with level, time, facts and the constant message, and no host name', () => {
  const { lines, log } = logging()
  log.info({ route: 'orders', ms: 12, status: 200 }, 'access token issued')
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatch(/^\{"level":30,"time":\d+,.*\}\n$/)
  expect(JSON.parse(lines[0] ?? '')).toEqual({
    level: 30,
    time: expect.any(Number),
    route: 'orders',
    ms: 12,
    status: 200,
    msg: 'access token issued',
  })
})

it.each`
  name               | value
  ${'accessToken'}   | ${CANARY}
  ${'authorization'} | ${`Bearer ${CANARY}`}
  ${'cookie'}        | ${CANARY}
  ${'err'}           | ${new Error(CANARY, { cause: { body: CANARY } })}
  ${'error'}         | ${new Error(CANARY)}
  ${'msg'}           | ${CANARY}
  ${'level'}         | ${CANARY}
  ${'time'}          | ${CANARY}
  ${'__proto__'}     | ${{ route: CANARY }}
  ${'constructor'}   | ${CANARY}
  ${'code'}          | ${{ access_token: CANARY }}
  ${'code'}          | ${[CANARY]}
  ${'code'}          | ${Secret.of('access-token', CANARY)}
  ${'cause'}         | ${new Error(CANARY)}
  ${'reason'}        | ${{ toJSON: () => CANARY }}
  ${'reason'}        | ${{ toString: () => CANARY }}
  ${'hint'}          | ${() => CANARY}
  ${'ms'}            | ${CANARY}
  ${'status'}        | ${{ valueOf: () => CANARY }}
`('does not let $name = $value pass', ({ name, value }) => {
  const { lines, log } = logging()
  log.error(loose({ [name]: value, route: 'orders' }), 'constant')
  log.error(loose(Object.assign(Object.create({ [name]: value }), { route: 'orders' })), 'constant')
  expect(lines).toHaveLength(2)
  for (const line of lines) {
    expect(line).not.toContain(CANARY)
    expect(JSON.parse(line)).toEqual({ level: 50, time: expect.any(Number), route: 'orders', msg: 'constant' })
  }
})

it('cuts a fact to 256 characters', () => {
  const { lines, log } = logging()
  log.warn({ hint: 'x'.repeat(10_000) }, 'constant')
  expect(JSON.parse(lines[0] ?? '').hint).toHaveLength(256)
})

it.each`
  level      | written
  ${'debug'} | ${[20, 30, 40, 50]}
  ${'info'}  | ${[30, 40, 50]}
  ${'warn'}  | ${[40, 50]}
  ${'error'} | ${[50]}
`('at $level writes $written', ({ level, written }) => {
  const { lines, log } = logging(level)
  log.debug({}, 'a')
  log.info({}, 'b')
  log.warn({}, 'c')
  log.error({}, 'd')
  expect(lines.map((line) => JSON.parse(line).level)).toEqual(written)
})

it('never becomes two lines, whatever a fact contains', () => {
  const breaker = fc.string({
    unit: fc.constantFrom('\r', '\n', '\u2028', '\u2029', '\u0085', '\u001b', '\u202e', '"', '\\', '}', '{', 'a', '\ud800', '\u0000', 'é'),
  })
  fc.assert(
    fc.property(breaker, (hint) => {
      const { lines, log } = logging()
      log.info({ hint }, 'constant')
      const line = asciiJson(lines[0] ?? '')
      expect(line).toMatch(/^[\x20-\x7e]*\n$/)
      expect(JSON.parse(line).hint).toBe(hint.slice(0, 256))
    }),
  )
})

it('quotes as JSON does', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' })), (text) => {
      expect(JSON.parse(quoted(text))).toBe(text)
    }),
  )
})

it('says how many lines were lost in the shape of a line', () => {
  expect(JSON.parse(lostLine(7, 1))).toEqual({ level: 40, time: 1, count: 7, msg: 'log lines lost, the reader stood still' })
})
