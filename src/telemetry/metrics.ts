import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { MetricDefinition, MetricName, Metrics } from '../domain/metric.ts'
import { METRICS } from '../domain/metric.ts'
import { assertNever } from '../kernel/assert.ts'
import { createBoundedLabels } from './bounded-labels.ts'
import type { RequestDurations } from './request-durations.ts'
import { createRequestDurations } from './request-durations.ts'

export interface MetricsRegistry extends Metrics {
  /** For the access log. */
  readonly requests: RequestDurations
  readonly contentType: string
  /** The body of `/metrics`. */
  render(): Promise<string>
}

type Labels = Readonly<Record<string, string>>
type Recorder = (value: number, labels: Labels) => void

/** Every metric of domain/metric.ts, and those of the process (memory, event loop, garbage collection). */
export const createMetrics = (): MetricsRegistry => {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const requests = createRequestDurations()
  const recorders = new Map<MetricName, Recorder>()
  for (const name of Object.keys(METRICS).filter((key): key is MetricName => key in METRICS)) {
    recorders.set(
      name,
      name === 'http_server_request_duration_seconds'
        ? (seconds, labels) =>
            requests.observe(
              labels['http_request_method'] ?? '',
              labels['http_route'] ?? '',
              Number(labels['http_response_status_code']),
              seconds,
            )
        : recorderFor(registry, name, METRICS[name]),
    )
  }
  return {
    requests,
    contentType: registry.contentType,
    count: (name, labels) => recorders.get(name)?.(1, labels),
    gauge: (name, value, labels) => recorders.get(name)?.(value, labels),
    observe: (name, seconds, labels) => recorders.get(name)?.(seconds, labels),
    render: async () => `${await registry.metrics()}\n${requests.text()}`,
  }
}

const recorderFor = (registry: Registry, name: string, definition: MetricDefinition): Recorder => {
  const { kind, help, labels, buckets } = definition
  const bounded = createBoundedLabels(labels)
  const base = { name, help, labelNames: [...labels], registers: [registry] }
  switch (kind) {
    case 'counter': {
      const counter = new Counter(base)
      return (value, given) => counter.inc(bounded(given), value)
    }
    case 'gauge': {
      const gauge = new Gauge(base)
      return (value, given) => gauge.set(bounded(given), value)
    }
    case 'histogram': {
      const histogram = new Histogram({ ...base, ...(buckets && { buckets: [...buckets] }) })
      // prom-client throws on NaN: a measurement that went wrong is not worth a request.
      return (value, given) => {
        if (Number.isFinite(value)) histogram.observe(bounded(given), value)
      }
    }
    default:
      return assertNever(kind)
  }
}
