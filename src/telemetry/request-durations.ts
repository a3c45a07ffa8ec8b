import { METRICS } from '../domain/metric.ts'
import { MANY, OTHER } from './bounded-labels.ts'

const NAME = 'http_server_request_duration_seconds'
const { help: HELP, buckets: BOUNDS } = METRICS[NAME]
/** RFC 9110 §9.3 and RFC 5789; OpenTelemetry calls the rest `_OTHER`. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', '_OTHER'] as const
const METHOD_AT: ReadonlyMap<string, number> = new Map(METHODS.map((method, at) => [method, at]))
const OTHER_METHOD = METHODS.length - 1
/** Statuses have three digits; what has not (no answer was begun) counts as 0. */
const STATUSES = 600
/** One cell: a count per bucket, the count above the last bound, the sum. */
const ABOVE = BOUNDS.length
const SUM = ABOVE + 1

export interface RequestDurations {
  observe(method: string, route: string, status: number, seconds: number): void
  /** Prometheus text format of this one metric. */
  text(): string
}

/**
 * The histogram of the hot path, in cells of our own: prom-client validates and hashes the labels of every observation (proxy-transport.md §2), and
 * has no public way to hand over finished cells, so the text is made here as well.
 */
export const createRequestDurations = (): RequestDurations => {
  const routes = new Map<string, Map<number, Float64Array>>()

  const cellsOf = (route: string): Map<number, Float64Array> => {
    const known = routes.get(route)
    if (known) return known
    if (routes.size >= MANY && route !== OTHER) return cellsOf(OTHER)
    const cells = new Map<number, Float64Array>()
    routes.set(route, cells)
    return cells
  }

  return {
    observe: (method, route, status, seconds) => {
      if (!(seconds >= 0 && seconds < Number.POSITIVE_INFINITY)) return
      const cells = cellsOf(route)
      const at = (METHOD_AT.get(method) ?? OTHER_METHOD) * STATUSES + (status >= 100 && status < STATUSES ? Math.trunc(status) : 0)
      let cell = cells.get(at)
      if (!cell) {
        cell = new Float64Array(SUM + 1)
        cells.set(at, cell)
      }
      let bucket = 0
      while (bucket < ABOVE && seconds > (BOUNDS[bucket] ?? 0)) bucket += 1
      cell[bucket] = (cell[bucket] ?? 0) + 1
      cell[SUM] = (cell[SUM] ?? 0) + seconds
    },
    text: () => {
      const lines = [`# HELP ${NAME} ${HELP}`, `# TYPE ${NAME} histogram`]
      for (const [route, cells] of routes)
        for (const [at, cell] of cells) {
          const method = METHODS[Math.floor(at / STATUSES)] ?? ''
          const labels = `http_request_method="${method}",http_route="${escaped(route)}",http_response_status_code="${at % STATUSES}"`
          lines.push(...linesOf(cell, labels))
        }
      return `${lines.join('\n')}\n`
    },
  }
}

/** Buckets are cumulative in the text. */
const linesOf = (cell: Float64Array, labels: string): readonly string[] => {
  let count = 0
  const buckets = [...BOUNDS, '+Inf'].map((bound, at) => {
    count += cell[at] ?? 0
    return `${NAME}_bucket{le="${bound}",${labels}} ${count}`
  })
  return [...buckets, `${NAME}_sum{${labels}} ${cell[SUM] ?? 0}`, `${NAME}_count{${labels}} ${count}`]
}

const escaped = (value: string): string => value.replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/"/g, '\\"')
