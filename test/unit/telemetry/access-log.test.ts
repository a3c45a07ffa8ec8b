import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { AccessEntry } from '../../../src/kernel/ports.ts'
import { instant } from '../../../src/kernel/time.ts'
import { createAccessLog } from '../../../src/telemetry/access-log.ts'
import { asciiJson } from '../../../src/telemetry/line.ts'
import { createRequestDurations } from '../../../src/telemetry/request-durations.ts'

const clock = { now: () => instant(1_795_000_000_000) }
const logging = (level: 'debug' | 'info' | 'warn' | 'error' = 'info') => {
  const lines: string[] = []
  const requests = createRequestDurations()
  return { lines, requests, access: createAccessLog({ write: (line) => lines.push(line), requests, clock, level }) }
}
const anEntry = (change: Partial<AccessEntry> = {}): AccessEntry => ({
  requestId: 'r1',
  method: 'GET',
  route: 'orders',
  path: '/api/orders/7',
  status: 200,
  ms: 12.345678,
  bytes: 1024,
  address: '10.1.2.3',
  sessionRef: 'ref',
  principal: 'user',
  cut: false,
  ...change,
})

it('writes what a JSON library would write', () => {
  const { lines, access } = logging()
  access.record(anEntry())
  access.record(anEntry({ sessionRef: undefined, principal: undefined, cut: true }))
  const common = {
    level: 30,
    time: 1_795_000_000_000,
    requestId: 'r1',
    method: 'GET',
    route: 'orders',
    path: '/api/orders/7',
    status: 200,
    ms: 12.35,
    bytes: 1024,
    address: '10.1.2.3',
  }
  expect(lines).toEqual([
    `${JSON.stringify({ ...common, sessionRef: 'ref', principal: 'user', msg: 'request answered' })}\n`,
    `${JSON.stringify({ ...common, cut: true, msg: 'request answered' })}\n`,
  ])
})

it('never becomes two lines or other fields, whatever a browser sends', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('\r\n{"level":50}', '","status":999,"x":"', '\u2028', '\\', '\ud800'),
  )
  fc.assert(
    fc.property(text, text, text, text, (method, path, address, requestId) => {
      const { lines, access } = logging()
      access.record(anEntry({ method, path, address, requestId }))
      const line = asciiJson(lines[0] ?? '')
      expect(line).toMatch(/^[\x20-\x7e]*\n$/)
      expect(JSON.parse(line)).toMatchObject({ method, address, requestId, path: path.split('?')[0], status: 200 })
      expect(Object.keys(JSON.parse(line))).toHaveLength(13)
    }),
    { numRuns: 300 },
  )
})

it('never writes a query, should one come in the path, and cuts what is long', () => {
  const { lines, access } = logging()
  access.record(anEntry({ path: '/bff/callback?code=canary-code&state=canary-state' }))
  access.record(anEntry({ path: `/${'a'.repeat(5000)}` }))
  expect(JSON.parse(lines[0] ?? '').path).toBe('/bff/callback')
  expect(lines.join('')).not.toContain('canary')
  expect(JSON.parse(lines[1] ?? '').path).toHaveLength(256)
})

it('stays JSON when a measurement went wrong', () => {
  const { lines, access, requests } = logging()
  access.record(anEntry({ ms: Number.NaN, bytes: Number.POSITIVE_INFINITY }))
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ ms: 0, bytes: 0 })
  expect(requests.text()).not.toContain('NaN')
})

it.each`
  level      | lines
  ${'debug'} | ${1}
  ${'info'}  | ${1}
  ${'warn'}  | ${0}
  ${'error'} | ${0}
`('at level $level writes $lines lines, and counts in any case', ({ level, lines }) => {
  const { lines: written, access, requests } = logging(level)
  access.record(anEntry())
  expect(written).toHaveLength(lines)
  expect(requests.text()).toContain('_count{http_request_method="GET",http_route="orders",http_response_status_code="200"} 1')
})
