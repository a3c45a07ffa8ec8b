import { pino } from 'pino'
import type { Facts, Log } from '../kernel/ports.ts'
import { cut } from './line.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export interface LogDeps {
  readonly level: LogLevel
  /** Takes one line of JSON with its line end (sink-fd.ts). */
  readonly write: (line: string) => void
}

/**
 * What may stand beside a message, again at run time: types are gone by then, and an object that carries a token more than its type says must not
 * bring it here. A path-based redaction misses what lies one level deeper (stack.md); a list of names cannot.
 */
const FACTS: { readonly [Name in keyof Facts]-?: Exclude<Facts[Name], undefined> extends number ? 'number' : 'string' } = {
  requestId: 'string',
  sessionRef: 'string',
  route: 'string',
  audience: 'string',
  provider: 'string',
  code: 'string',
  reason: 'string',
  providerCode: 'string',
  upstreamCode: 'string',
  cause: 'string',
  grant: 'string',
  principal: 'string',
  scopes: 'string',
  expiresInSeconds: 'number',
  status: 'number',
  method: 'string',
  path: 'string',
  ms: 'number',
  bytes: 'number',
  count: 'number',
  attempt: 'number',
  kid: 'string',
  mode: 'string',
  listener: 'string',
  address: 'string',
  file: 'string',
  hint: 'string',
  signal: 'string',
  version: 'string',
}
const NAMES = Object.keys(FACTS).filter((name): name is keyof Facts => name in FACTS)

/** A log of constant messages with facts from a closed list, as JSON lines with pino's keys. */
export const createLog = ({ level, write }: LogDeps): Log => {
  const logger = pino({ level, base: null, serializers: {} }, { write })
  const at =
    (name: LogLevel): Log[LogLevel] =>
    (facts, message) => {
      if (logger.isLevelEnabled(name)) logger[name](allowed(facts), message)
    }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** For the sink under the log, which knows no log (sink-fd.ts). */
export const lostLine = (lines: number, now: number): string =>
  `{"level":40,"time":${now},"count":${lines},"msg":"log lines lost, the reader stood still"}\n`

const allowed = (facts: Facts): Readonly<Record<string, string | number>> => {
  const kept: Record<string, string | number> = {}
  for (const name of NAMES) {
    const value: unknown = facts[name]
    if (typeof value === 'string' && FACTS[name] === 'string') kept[name] = cut(value)
    else if (typeof value === 'number' && FACTS[name] === 'number') kept[name] = value
  }
  return kept
}
