/** A key or scalar of the source and whether it may be shown. */
export interface Span {
  readonly start: number
  readonly end: number
  readonly shown: boolean
}

/** One masked source line; column from 1 within `text`. */
export interface Excerpt {
  readonly text: string
  readonly column: number
  readonly length: number
}

const MASK = '***'
const WIDTH = 160
/** What may stand outside of keys and scalars. Anything else (comments, anchors, tags, broken text) is not copied. */
const STRUCTURE = /[\s:{}[\],?-]/
// Terminal escapes, bidirectional overrides and line separators would change what the reader sees.
const UNPRINTABLE = /[^\x20-\x7e\u00a0-\u1fff\u2030-\u205e\u2070-\ud7ff\uf900-\ufeff]/g

/**
 * Also in a shown value: the credentials of a URL, even of one that does not parse, for that is where passwords with a slash, a blank or no host behind
 * them are found. What follows a colon and is no port is taken for a password.
 */
const withoutUserinfo = (text: string): string =>
  text.replace(/:\/\/.*@/g, `://${MASK}@`).replace(/(:\/\/(?:\[[^\]]*\]|[^:/?#@]*):)(?!\d{1,5}(?:[/?#"'\s,]|$)).+/g, `$1${MASK}`)

/**
 * The line that holds `start`, copied by allow-list: the structure, known keys, and values of known settings that are no secrets. A mistyped
 * `client_secrt: hunter2` must not print hunter2, so what is not known is masked.
 */
export const excerptOf = (source: string, spans: readonly Span[], start: number, end: number): Excerpt => {
  const from = source.lastIndexOf('\n', start - 1) + 1
  const newline = source.indexOf('\n', from)
  const to = newline < 0 ? source.length : newline
  const here = spans.filter((span) => span.start < to && span.end > from && span.end > span.start)
  let text = ''
  let column = 1
  let caretEnd = 0
  for (let at = from; at < to; ) {
    const inside = here.filter((span) => span.start <= at && span.end > at)
    const stop = inside.length > 0 ? Math.min(to, ...inside.map((span) => span.end)) : at + 1
    if (start >= at && start < stop) column = text.length + 1
    if (inside.length > 0) text += inside.every((span) => span.shown) ? withoutUserinfo(source.slice(at, stop)) : MASK
    else if (source[at] === '#') break
    else text += STRUCTURE.test(source[at] ?? '') ? source[at] : text.endsWith('*') ? '' : '*'
    if (end > at && end <= stop) caretEnd = text.length + 1
    at = stop
  }
  if (start >= to) column = text.trimEnd().length + 1
  return clip(text.replace(UNPRINTABLE, ' ').trimEnd(), column, Math.max(1, (caretEnd || text.length + 1) - column))
}

/** A long line keeps the part around its caret. */
const clip = (text: string, column: number, length: number): Excerpt => {
  const cut = column > WIDTH - 40 ? column - 40 : 0
  const shown = text.slice(cut, cut + WIDTH)
  return { text: cut > 0 ? `…${shown}` : shown, column: column - cut + (cut > 0 ? 1 : 0), length: Math.min(length, WIDTH) }
}
