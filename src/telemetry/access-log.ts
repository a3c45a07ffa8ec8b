import type { AccessEntry, AccessLog } from '../kernel/ports.ts'
import type { Clock } from '../kernel/time.ts'
import { cut, quoted } from './line.ts'
import type { LogLevel } from './log.ts'
import type { RequestDurations } from './request-durations.ts'

export interface AccessLogDeps {
  readonly write: (line: string) => void
  readonly requests: RequestDurations
  readonly clock: Pick<Clock, 'now'>
  /** Lines are `info`; above it there is only the histogram. */
  readonly level: LogLevel
}

/** One line and one observation per request. The line has pino's keys and is put together by hand: half the price on the hot path (proxy-transport.md §2). */
export const createAccessLog = ({ write, requests, clock, level }: AccessLogDeps): AccessLog => {
  const isWritten = level === 'debug' || level === 'info'
  return {
    record: (entry) => {
      requests.observe(entry.method, entry.route, entry.status, entry.ms / 1000)
      if (isWritten) write(lineOf(entry, clock.now()))
    },
  }
}

const lineOf = (entry: AccessEntry, now: number): string => {
  const { requestId, method, route, path, status, ms, bytes, address, sessionRef, principal, cut: wasCut } = entry
  return `{"level":30,"time":${now},"requestId":${text(requestId)},"method":${text(method)},"route":${text(route)},"path":${text(pathOf(path))},"status":${number(
    status,
  )},"ms":${number(Math.round(ms * 100) / 100)},"bytes":${number(bytes)},"address":${text(address)}${
    sessionRef === undefined ? '' : `,"sessionRef":${text(sessionRef)}`
  }${principal === undefined ? '' : `,"principal":"${principal}"`}${wasCut ? ',"cut":true' : ''},"msg":"request answered"}\n`
}

/** Codes, states and hints travel in the query. An entry has none, and this makes sure. */
const pathOf = (path: string): string => {
  const query = path.indexOf('?')
  return query < 0 ? path : path.slice(0, query)
}
const text = (value: string): string => quoted(cut(value))
const number = (value: number): number => (Number.isFinite(value) ? value : 0)
