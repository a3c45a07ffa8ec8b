import type { ConfigCode } from './codes.ts'
import type { Excerpt } from './excerpt.ts'

/** Line and column count from 1; the column counts UTF-16 units, as editors do. */
export interface Place {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** One thing that is wrong, where, why, and what to do. Never holds a secret or an interpolated value. */
export interface Finding {
  readonly code: ConfigCode
  readonly severity: 'error' | 'warning'
  /** The setting, such as `routes[0].token`; '' for the file itself. */
  readonly path: string
  readonly reason: string
  readonly fix: string
  readonly place: Place
  /** The source line with everything masked that might be secret; absent when there is no line to show. */
  readonly excerpt: Excerpt | undefined
  /** The other half of a contradiction. */
  readonly also: Place | undefined
}

export const placeText = (place: Place): string => `${place.file}:${place.line}:${place.column}`

/** As a compiler would say it: code, place, line, caret, fix. */
export const formatFinding = (
  finding: Finding,
  paint: (style: 'bad' | 'warn' | 'dim', text: string) => string = (_, text) => text,
): string => {
  const gutter = ' '.repeat(String(finding.place.line).length)
  const head = paint(finding.severity === 'error' ? 'bad' : 'warn', `${finding.severity}[${finding.code}]`)
  const lines = [`${head}: ${finding.reason}`, ` --> ${placeText(finding.place)}`]
  if (finding.also) lines.push(`     ${placeText(finding.also)} is the other one`)
  if (finding.excerpt) {
    const { text, column, length } = finding.excerpt
    lines.push(`${gutter} |`, `${finding.place.line} | ${text}`)
    lines.push(`${gutter} | ${' '.repeat(column - 1)}${paint('bad', '^'.repeat(length))}`)
  }
  lines.push(paint('dim', `${gutter} = fix: ${finding.fix}`))
  return lines.join('\n')
}
