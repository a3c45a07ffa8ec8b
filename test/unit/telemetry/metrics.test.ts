import { Histogram, Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { METRICS } from '../../../src/domain/metric.ts'
import { createMetrics } from '../../../src/telemetry/metrics.ts'
import { createRequestDurations } from '../../../src/telemetry/request-durations.ts'

const DURATION = 'http_server_request_duration_seconds'

it('offers every metric of the table, with its help and kind, and those of the process', async () => {
  const metrics = createMetrics()
  const text = await metrics.render()
  for (const [name, { help, kind }] of Object.entries(METRICS)) {
    expect(text).toContain(`# HELP ${name} ${help}\n`)
    expect(text).toContain(`# TYPE ${name} ${kind}\n`)
  }
  expect(text).toContain('process_resident_memory_bytes')
  expect(text).toContain('nodejs_eventloop_lag_seconds')
  expect(text.endsWith('\n')).toBe(true)
  expect(metrics.contentType).toMatch(/^text\/plain; version=0\.0\.4/)
})

it('counts, sets and observes under the labels given', async () => {
  const metrics = createMetrics()
  metrics.count('sallyport_session_ended_total', { reason: 'idle' })
  metrics.count('sallyport_session_ended_total', { reason: 'idle' })
  metrics.count('sallyport_session_created_total', {})
  metrics.gauge('sallyport_session_l1_entries', 7, {})
  metrics.observe('sallyport_store_call_seconds', 0.002, { command: 'open', outcome: 'found' })
  metrics.observe(DURATION, 0.02, { http_request_method: 'GET', http_route: 'user', http_response_status_code: '200' })
  const text = await metrics.render()
  expect(text).toContain('sallyport_session_ended_total{reason="idle"} 2\n')
  expect(text).toContain('sallyport_session_created_total 1\n')
  expect(text).toContain('sallyport_session_l1_entries 7\n')
  expect(text).toContain('sallyport_store_call_seconds_bucket{le="0.0025",command="open",outcome="found"} 1\n')
  expect(text).toContain(`${DURATION}_count{http_request_method="GET",http_route="user",http_response_status_code="200"} 1\n`)
})

it('keeps two registries apart', async () => {
  const [a, b] = [createMetrics(), createMetrics()]
  a.count('sallyport_session_created_total', {})
  expect(await b.render()).toContain('sallyport_session_created_total 0\n')
})

it('never grows beyond 200 values of a label: the rest is other', async () => {
  const metrics = createMetrics()
  for (let n = 0; n < 1000; n += 1) {
    metrics.count('sallyport_problem_answers_total', { code: `hostile-${n}` })
    metrics.requests.observe('GET', `/hostile/${n}`, 200, 0.01)
  }
  metrics.count('sallyport_problem_answers_total', { code: 'hostile-7' })
  const text = await metrics.render()
  expect(text.match(/^sallyport_problem_answers_total\{/gm)).toHaveLength(201)
  expect(text).toContain('sallyport_problem_answers_total{code="other"} 800\n')
  expect(text).toContain('sallyport_problem_answers_total{code="hostile-7"} 2\n')
  expect(text.match(new RegExp(`^${DURATION}_count`, 'gm'))).toHaveLength(201)
  expect(text).toMatch(new RegExp(`^${DURATION}_count\\{.*http_route="other".*\\} 800$`, 'm'))
})

it('cannot be made to throw or to write another line by a label or a value', async () => {
  const metrics = createMetrics()
  metrics.count('sallyport_problem_answers_total', { code: 'a"} 1\nforged 9\n' })
  metrics.requests.observe('GET', 'a"} 1\nforged 9\n\\', 200, 0.01)
  metrics.observe('sallyport_store_call_seconds', Number.NaN, { command: 'open', outcome: 'found' })
  const unknown: Record<string, string> = { code: 'x', stranger: 'canary' }
  metrics.count('sallyport_problem_answers_total', unknown as { code: string })
  const text = await metrics.render()
  expect(text).not.toMatch(/^forged/m)
  expect(text).not.toContain('canary')
  expect(text).not.toContain('NaN')
})

describe('the histogram of requests', () => {
  const rounds: [string, string, number, number][] = [
    ['GET', 'orders', 200, 0],
    ['GET', 'orders', 200, 0.005],
    ['GET', 'orders', 200, 0.0050001],
    ['GET', 'orders', 200, 10],
    ['GET', 'orders', 200, 10.5],
    ['GET', 'orders', 503, 0.3],
    ['POST', 'orders', 200, 0.07],
    ['DELETE', 'a"b\\c', 404, 2.5],
  ]

  it('has the very text of a prom-client histogram', async () => {
    const registry = new Registry()
    const { help, labels, buckets } = METRICS[DURATION]
    const plain = new Histogram({ name: DURATION, help, labelNames: [...labels], buckets: [...buckets], registers: [registry] })
    const own = createRequestDurations()
    for (const [method, route, status, seconds] of rounds) {
      plain.observe({ http_request_method: method, http_route: route, http_response_status_code: String(status) }, seconds)
      own.observe(method, route, status, seconds)
    }
    const sorted = (text: string) => text.trim().split('\n').sort()
    expect(sorted(own.text())).toEqual(sorted(await registry.metrics()))
  })

  it('knows the methods of HTTP and calls the others _OTHER; a status that is none is 0', () => {
    const own = createRequestDurations()
    for (const method of ['get', 'BREW', '', '__proto__']) own.observe(method, 'x', 200, 0.1)
    own.observe('GET', 'x', 0, 0.1)
    own.observe('GET', 'x', 1000, 0.1)
    expect(own.text()).toContain('_count{http_request_method="_OTHER",http_route="x",http_response_status_code="200"} 4')
    expect(own.text()).toContain('_count{http_request_method="GET",http_route="x",http_response_status_code="0"} 2')
  })
})
