import { daysLeft, warningDay } from '../credentials/status.ts'
import type { Metrics } from '../domain/metric.ts'
import { createFileWatch } from '../kernel/file-watch.ts'
import type { FileWatch } from '../kernel/file-watch.ts'
import type { Log } from '../kernel/ports.ts'
import { systemClock } from '../kernel/time.ts'
import type { Clock } from '../kernel/time.ts'

export interface FileWatchTelemetry {
  readonly log: Log
  readonly metrics: Metrics
  /** Of this machine: certificates are not made by the store's. */
  readonly clock?: Clock
}

/** The one watch of every file, with what operators learn of it: each look counted, certificates by the day they end, and a warning while that comes near. */
export const wireFileWatch = ({ log, metrics, clock = systemClock }: FileWatchTelemetry): FileWatch => {
  const warned = new Map<string, number>()
  return createFileWatch({
    clock,
    log,
    onLook: (setting, outcome, notAfter) => {
      metrics.count('sallyport_files_looks_total', { setting, outcome })
      if (notAfter === undefined) return
      metrics.gauge('sallyport_files_certificate_not_after_timestamp_seconds', Math.round(notAfter / 1000), { setting })
      const now = clock.now()
      // Ended: nothing else says it before connections fail.
      const days = now >= notAfter ? 0 : warningDay(notAfter, now)
      if (days === undefined) return void warned.delete(setting)
      if (warned.get(setting) === days) return
      warned.set(setting, days)
      log.warn({ mode: setting, count: daysLeft(notAfter, now) }, 'certificate of TLS connections ends soon; count is in days')
    },
  })
}
