import type { Settings } from '../config/settings.ts'
import type { Clock } from '../kernel/time.ts'
import { createAccessLog } from '../telemetry/access-log.ts'
import { createAuditSink } from '../telemetry/audit-sink.ts'
import { createLog, lostLine } from '../telemetry/log.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { createFdSink } from '../telemetry/sink-fd.ts'

export type Telemetry = ReturnType<typeof wireTelemetry>

/** Log, access log and, unless it has a file of its own, the audit stream leave by one sink: whole lines, in order, on stdout. */
export const wireTelemetry = (settings: Settings['telemetry'], clock: Clock) => {
  const sink = createFdSink({ fd: 1, lostLine: (lines) => lostLine(lines, clock.now()) })
  const log = createLog({ level: settings.logLevel, write: sink.write })
  const metrics = createMetrics()
  const access = createAccessLog({ write: sink.write, requests: metrics.requests, clock, level: settings.logLevel })
  const to = settings.audit.kind === 'file' ? settings.audit : { kind: 'stdout' as const, write: sink.write }
  const audit = createAuditSink({ to, clock, log, metrics })
  return { sink, log, metrics, access, audit }
}
