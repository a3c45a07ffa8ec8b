/** Plain text for terminals: wrapped cells and labelled blocks. Widths count UTF-16 units; what we print is ASCII but for quotes and names of the settings. */

const GAP = 2
const NARROWEST = 8

/** Nothing that a terminal would obey gets out, whoever wrote it into a claim name. */
export const visible = (text: string): string => text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?')

/** At blanks; a word that is too long breaks behind `/`, `,`, `.`, `-` or `:`, else where it must. */
export const wrapped = (text: string, width: number): readonly string[] => {
  const lines: string[] = []
  let line = ''
  for (const word of visible(text).split(' ')) {
    const glued = line === '' ? word : `${line} ${word}`
    if (glued.length <= width) {
      line = glued
      continue
    }
    if (line !== '') lines.push(line)
    line = word
    while (line.length > width) {
      const soft = line.slice(0, width).search(/[/,.:-](?=[^/,.:-]*$)/) + 1
      const at = soft > width / 3 ? soft : width
      lines.push(line.slice(0, at))
      line = line.slice(at)
    }
  }
  return [...lines, line]
}

/** Columns as wide as they need be, the widest ones narrowed until all fit; cells wrap. A blank line between rows where any wrapped. */
export const table = (head: readonly string[], rows: readonly (readonly string[])[], width: number): string => {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => (row[i] ?? '').length)))
  const room = width - GAP * (head.length - 1)
  while (sum(widths) > room) {
    const widest = widths.indexOf(Math.max(...widths))
    const now = widths[widest] ?? 0
    if (now <= NARROWEST) break
    widths[widest] = now - 1
  }
  const blocks = [head, ...rows].map((row) => rowLines(row, widths))
  const isSpaced = blocks.some((lines) => lines.length > 1)
  return `${blocks.map((lines) => lines.join('\n')).join(isSpaced ? '\n\n' : '\n')}\n`
}

const rowLines = (row: readonly string[], widths: readonly number[]): readonly string[] => {
  const cells = widths.map((width, i) => wrapped(row[i] ?? '', width))
  const height = Math.max(...cells.map((lines) => lines.length))
  return Array.from({ length: height }, (_none, n) =>
    cells
      .map((lines, i) => (lines[n] ?? '').padEnd(widths[i] ?? 0))
      .join(' '.repeat(GAP))
      .trimEnd(),
  )
}
const sum = (numbers: readonly number[]): number => numbers.reduce((total, n) => total + n, 0)

/** `label   text`, the text wrapped beside it. A label of '' continues the one above. */
export const labelled = (entries: readonly (readonly [string, string])[], width: number, margin = GAP): string => {
  const indent = margin + Math.max(...entries.map(([label]) => label.length)) + GAP
  return entries
    .flatMap(([label, text]) => {
      const lead = /^ */.exec(text)?.[0] ?? ''
      return wrapped(text.slice(lead.length), Math.max(NARROWEST, width - indent - lead.length)).map((line, i) =>
        `${' '.repeat(margin)}${(i === 0 ? label : '').padEnd(indent - margin)}${lead}${line}`.trimEnd(),
      )
    })
    .map((line) => `${line}\n`)
    .join('')
}
