import type { LineCounter } from 'yaml'
import { CONFIG_CODES, type ConfigCode } from './codes.ts'
import { excerptOf, type Span } from './excerpt.ts'
import type { Finding, Place } from './finding.ts'
import { isPrintableKey, knownAt, settingNames } from './known.ts'
import { pathText, type SettingPath } from './path.ts'
import type { Range, SourceSpan, Tree } from './tree.ts'
import { nearest } from './suggest.ts'

/** What a check says; code alone is enough where the catalogue's words fit. */
export interface Remark {
  readonly code: ConfigCode
  readonly path: SettingPath
  readonly reason?: string
  readonly fix?: string
  /** Caret on the key instead of the value. */
  readonly onKey?: boolean
  /** Exact place, where the path has none of its own. */
  readonly at?: Range
  readonly also?: SettingPath | Range
}
export type Report = (remark: Remark) => void

export interface Source {
  readonly file: string
  readonly text: string
  readonly lines: LineCounter
  /** The YAML itself is broken: what looks like a key may be anything. */
  readonly broken: boolean
}

/** A file that is wrong from end to end is the wrong file; more lines would not help. */
const FINDINGS_MAX = 100

const SECRET_NAMES = ['client_secret', 'password', 'secret', 'passphrase', 'token', 'api_key', 'private_key']

/** A secret, below a secret, or below what was probably meant to be one. */
const isSecretive = (path: SettingPath): boolean =>
  knownAt(path)?.secret === true ||
  path.some(
    (step, i) => typeof step === 'string' && knownAt(path.slice(0, i + 1)) === undefined && nearest(step, SECRET_NAMES) !== undefined,
  )

/** Masking by allow-list: shown are setting names and the values of known settings that are no secrets. */
const isShown = (span: SourceSpan, source: Source): boolean => {
  const name = span.path.at(-1)
  if (span.role === 'key') {
    if (typeof name !== 'string') return false
    if (source.broken) return settingNames().has(name)
    if (isSecretive(span.path.slice(0, -1))) return false
    return knownAt(span.path) !== undefined ? isPrintableKey(name) || /^[\w:/.@-]{1,128}$/.test(name) : isPrintableKey(name)
  }
  if (span.text === 'hidden' || source.broken) return false
  if (span.text === 'reference') return true
  const known = knownAt(span.path)
  if (span.text === 'mixed' || known === undefined || known.secret || !known.scalar) return false
  // `client_secret_file: hunter2` is a mistake people make.
  const isPath = typeof name === 'string' && /_(file|dir)$/.test(name)
  return !isPath || source.text.slice(span.start, span.end).includes('/')
}

/** Turns remarks into findings: place, masked excerpt, the catalogue's words where the remark brings none. */
export const reporter = (source: Source, tree: Pick<Tree, 'entries' | 'spans'>, findings: Finding[]): Report => {
  let spans: readonly Span[] | undefined
  const told = new Set<string>()
  const placeAt = (offset: number): Place => {
    const { line, col } = source.lines.linePos(Math.max(0, Math.min(offset, source.text.length)))
    return { file: source.file, line: Math.max(1, line), column: Math.max(1, col) }
  }
  /** Of the setting itself, or of the nearest mapping around it that is written in the file. */
  const rangeOf = (path: SettingPath, onKey: boolean): Range => {
    for (let depth = path.length; depth >= 0; depth -= 1) {
      const entry = tree.entries.get(pathText(path.slice(0, depth)))
      if (!entry) continue
      // A key with nothing behind it has an empty value: the key is what can be seen.
      const whole = depth < path.length || entry.raw === undefined || entry.value.end === entry.value.start
      return ((onKey || whole) && entry.key) || (whole ? { start: entry.value.start, end: entry.value.start + 1 } : entry.value)
    }
    return { start: 0, end: 1 }
  }
  return (remark) => {
    if (findings.length >= FINDINGS_MAX) return
    spans ??= tree.spans.map((span) => ({ start: span.start, end: span.end, shown: isShown(span, source) }))
    const definition = CONFIG_CODES[remark.code]
    const range = remark.at ?? rangeOf(remark.path, remark.onKey ?? false)
    const also = remark.also && ('start' in remark.also ? remark.also : rangeOf(remark.also, false))
    // The source and the schema may both notice the same thing.
    const said = `${remark.code} ${pathText(remark.path)} ${remark.at?.start ?? ''}`
    if (told.has(said)) return
    told.add(said)
    findings.push({
      code: remark.code,
      severity: definition.severity,
      path: printablePath(remark.path),
      reason: remark.reason ?? definition.title.replace(/\.$/, ''),
      fix: remark.fix ?? definition.fix,
      place: placeAt(range.start),
      excerpt: source.text === '' ? undefined : excerptOf(source.text, spans, range.start, Math.max(range.end, range.start + 1)),
      also: also && placeAt(also.start),
    })
  }
}

/** A path as it may be printed: unknown keys that could be anything are masked here too. */
export const printablePath = (path: SettingPath): string =>
  pathText(
    path.map((step, i) => (typeof step === 'number' || knownAt(path.slice(0, i + 1)) !== undefined || isPrintableKey(step) ? step : '***')),
  )
