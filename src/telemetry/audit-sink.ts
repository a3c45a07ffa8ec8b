import { closeSync, openSync } from 'node:fs'
import type { AuditEvent, AuditSink, AuditWho } from '../domain/audit-event.ts'
import type { Metrics } from '../domain/metric.ts'
import type { Log } from '../kernel/ports.ts'
import { StartError } from '../kernel/start-error.ts'
import type { Clock } from '../kernel/time.ts'
import { cut } from './line.ts'
import type { FdSink } from './sink-fd.ts'
import { createFdSink } from './sink-fd.ts'

const SCHEMA = 'sallyport.audit/1'

type EventName = AuditEvent['event']
/** `keyof` of each member: what that event has of its own. */
type Own<E extends EventName> = Exclude<keyof Extract<AuditEvent, { readonly event: E }>, keyof AuditWho | 'event'>

const WHO: Readonly<Record<keyof AuditWho, true>> = {
  requestId: true,
  sessionRef: true,
  provider: true,
  subject: true,
  tenant: true,
  address: true,
}
/** The compiler demands each field of the union here, and lets none pass that the union does not have. docs/audit.md lists them. */
export const AUDIT_FIELDS: { readonly [E in EventName]: Readonly<Record<Own<E>, true>> } = {
  'sign-in.started': {},
  'sign-in.succeeded': { replaced: true },
  'sign-in.failed': { code: true, check: true, providerCode: true },
  'sign-in.limited': { limit: true },
  'session.ended': { reason: true, stored: true },
  'backchannel-logout.received': { by: true, ended: true },
  'backchannel-logout.unfinished': { by: true, ended: true },
  'backchannel-logout.rejected': { check: true },
  'frontchannel-logout.received': { ended: true },
  'frontchannel-logout.rejected': { check: true },
  'session.refreshed': { audience: true },
  'token.issued': { principal: true, grant: true, audience: true },
  'token.failed': { principal: true, grant: true, audience: true, code: true, check: true, providerCode: true },
  'token.rejected-upstream': { route: true, principal: true, audience: true, outcome: true },
  'token.revoked': { outcome: true },
  'access.allowed': { route: true, principal: true },
  'access.denied': { route: true, principal: true, code: true, rule: true },
  'caller.accepted': { kind: true, client: true },
  'caller.refused': { check: true },
  'csrf.refused': { route: true, code: true },
  'admin.command': { command: true, outcome: true, count: true },
  'config.loaded': { version: true },
  'credential.activated': { credential: true },
  'credential.withdrawn': { credential: true },
  'key.removed': { kid: true },
  'key.activated': { kid: true },
}

const COUNTS: ReadonlySet<string> = new Set(['ended', 'count'])

/** The line of an event: fields in the order of the lists, nothing else, whatever the object carries besides. */
export const auditLine = (event: AuditEvent, now: number): string => {
  const line: Record<string, string | boolean | number> = { schema: SCHEMA, time: new Date(now).toISOString(), event: event.event }
  for (const name of [...Object.keys(WHO), ...Object.keys(AUDIT_FIELDS[event.event])]) {
    const value: unknown = Reflect.get(event, name)
    if (typeof value === 'string') line[name] = cut(value)
    else if (typeof value === 'boolean' || (typeof value === 'number' && COUNTS.has(name))) line[name] = value
  }
  return `${JSON.stringify(line)}\n`
}

export interface AuditSinkDeps {
  /** `telemetry.audit`: into the log's own stream, told apart by `schema`; or a file of its own, appended to. */
  readonly to: { readonly kind: 'stdout'; readonly write: (line: string) => void } | { readonly kind: 'file'; readonly file: string }
  readonly clock: Pick<Clock, 'now'>
  readonly log: Log
  readonly metrics: Pick<Metrics, 'count'>
}

export interface ClosableAuditSink extends AuditSink {
  /** After logrotate moved the file away: goes on in a new one. Keeps the old one when that cannot be opened. */
  reopen(): Promise<void>
  flushSync(): void
  close(): Promise<void>
}

/** @throws StartError, without the library's text, when the file cannot be opened at the start: a gateway that must keep an audit trail does not run without. */
export const createAuditSink = ({ to, clock, log, metrics }: AuditSinkDeps): ClosableAuditSink => {
  if (to.kind === 'stdout') {
    const record = (event: AuditEvent): void => to.write(auditLine(event, clock.now()))
    return { record, reopen: async () => {}, flushSync: () => {}, close: async () => {} }
  }
  const { file } = to
  let isFailing = false
  const onLost = (lines: number): void => {
    for (let n = 0; n < lines; n += 1) metrics.count('sallyport_audit_lost_events_total', {})
    // Once per failure, not once per event: the log must not drown in what the audit lacks.
    if (!isFailing) log.error({ file, count: lines }, 'audit events lost, the file cannot be written')
    isFailing = true
  }
  const opened = openFile(file, onLost)
  if (!opened) throw new StartError('audit.file-unusable', `telemetry.audit.file cannot be opened for appending: ${file}`)
  let target = opened
  return {
    record: (event) => target.sink.write(auditLine(event, clock.now())),
    reopen: async () => {
      const next = openFile(file, onLost)
      if (!next) {
        log.error({ file }, 'audit file cannot be reopened, the old one stays')
        return
      }
      const before = target
      target = next
      isFailing = false
      await before.sink.drained()
      closeSync(before.fd)
    },
    flushSync: () => target.sink.flushSync(),
    close: async () => {
      await target.sink.drained()
      closeSync(target.fd)
    },
  }
}

interface OpenFile {
  readonly fd: number
  readonly sink: FdSink
}

/** O_APPEND: two gateways on one file do not overwrite each other. Readable by the group for those who ship it. */
const openFile = (file: string, onLost: (lines: number) => void): OpenFile | undefined => {
  try {
    const fd = openSync(file, 'a', 0o640)
    return { fd, sink: createFdSink({ fd, onLost }) }
  } catch {
    return undefined
  }
}
