import type { AuditSink } from '../domain/audit-event.ts'
import type { CredentialId, CredentialVerdict } from '../domain/credential.ts'
import type { Metrics } from '../domain/metric.ts'
import type { Log } from '../kernel/ports.ts'
import { between, minutes } from '../kernel/time.ts'
import type { Instant } from '../kernel/time.ts'
import { FAULTS } from './faults.ts'
import type { Faulty, Loaded } from './loaded.ts'
import type { Entry, Phase, Rotation } from './rotation.ts'
import { daysLeft, warningDay } from './status.ts'

export interface ReporterDeps {
  readonly provider: string
  readonly log: Log
  readonly metrics: Metrics
  readonly audit: AuditSink
}

/** A provider that takes it and rejects it by turns is one piece of news, not one with every request. */
const SAY_AGAIN_MS = minutes(1)
const STATE: Readonly<Record<Phase, number>> = { candidate: 1, probing: 2, active: 3, retiring: 4, retired: 5 }

/** Tells the log, the metrics and the audit trail what changed from one step to the next; each thing once. */
export const createReporter = ({ provider, log, metrics, audit }: ReporterDeps) => {
  const told = new Map<string, string>()
  const warned = new Map<CredentialId, number>()
  const gauged = new Map<CredentialId, string>()

  const gauges = (entry: Entry, now: Instant): void => {
    const isOver = entry.withdrawnAt !== undefined || (entry.notAfter !== undefined && now >= entry.notAfter)
    const state = isOver ? 0 : STATE[entry.phase]
    const line = `${state} ${entry.notAfter ?? 0} ${entry.acceptedAt ?? 0}`
    if (gauged.get(entry.id) === line) return // asked with every request
    gauged.set(entry.id, line)
    const labels = { provider, credential: entry.id }
    metrics.gauge('sallyport_credentials_state', state, labels)
    metrics.gauge('sallyport_credentials_not_after_timestamp_seconds', Math.round((entry.notAfter ?? 0) / 1000), labels)
    metrics.gauge('sallyport_credentials_last_used_timestamp_seconds', Math.round((entry.acceptedAt ?? 0) / 1000), labels)
  }

  const changed = (entry: Entry, before: Entry | undefined, loaded: Loaded | undefined): void => {
    const facts = { provider, kid: entry.id, ...(loaded?.file && { file: loaded.file }) }
    if (entry.withdrawnAt !== undefined && before?.withdrawnAt === undefined) {
      log.warn(facts, 'client credential withdrawn')
      audit.record({ event: 'credential.withdrawn', provider, credential: entry.id })
    }
    const isNews = before?.rejectedAt === undefined || between(before.rejectedAt, entry.rejectedAt ?? before.rejectedAt) >= SAY_AGAIN_MS
    if (entry.rejection !== undefined && before?.rejection === undefined && isNews) {
      const rejected = { ...facts, providerCode: entry.rejection }
      if (entry.phase === 'active') log.error(rejected, 'provider rejects the client credential in use')
      else log.info({ ...rejected, hint: 'normal until it is registered there' }, 'client credential waits for its registration')
    }
    if (entry.phase === before?.phase) return
    if (!before) log.info({ ...facts, mode: entry.phase }, 'client credential found')
    else if (entry.phase !== 'active') log.info({ ...facts, mode: entry.phase }, 'client credential changed its state')
    if (before?.phase === 'active' && entry.phase === 'probing')
      log.warn({ ...facts, ...(entry.rejection !== undefined && { providerCode: entry.rejection }) }, 'client credential put aside')
    if (entry.phase === 'active') {
      log.info(facts, 'client credential in use')
      audit.record({ event: 'credential.activated', provider, credential: entry.id })
    }
  }

  return {
    stepped: (before: Rotation, state: Rotation, held: ReadonlyMap<CredentialId, Loaded>, now: Instant): void => {
      if (before === state) return
      const old = new Map(before.entries.map((entry) => [entry.id, entry]))
      for (const entry of state.entries) {
        const was = old.get(entry.id)
        old.delete(entry.id)
        if (was !== entry) changed(entry, was, held.get(entry.id))
        gauges(entry, now)
        const days = entry.phase === 'active' || entry.phase === 'probing' ? warningDay(entry.notAfter, now) : undefined
        if (days === undefined || entry.notAfter === undefined || warned.get(entry.id) === days) continue
        warned.set(entry.id, days)
        log.warn({ provider, kid: entry.id, count: daysLeft(entry.notAfter, now) }, 'client credential ends soon; count is in days')
      }
      for (const [id] of old) {
        log.info({ provider, kid: id }, 'client credential let go')
        gauged.delete(id)
        warned.delete(id)
        const labels = { provider, credential: id }
        metrics.gauge('sallyport_credentials_state', 0, labels)
        metrics.gauge('sallyport_credentials_not_after_timestamp_seconds', 0, labels)
      }
    },
    faults: (faults: readonly Faulty[]): void => {
      for (const { file, fault } of faults) {
        if (told.get(file) === fault) continue
        told.set(file, fault)
        log.warn({ file, code: fault, hint: FAULTS[fault] }, 'client credential not usable')
      }
      for (const file of told.keys()) if (!faults.some((one) => one.file === file)) told.delete(file)
    },
    probed: ({ kind }: CredentialVerdict): void => metrics.count('sallyport_credentials_probes_total', { provider, outcome: kind }),
  }
}
