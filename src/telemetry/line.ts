/** Strings of a fact, an audit field or a path are cut to this many UTF-16 units. */
const TEXT_MAX = 256

export const cut = (text: string): string => (text.length > TEXT_MAX ? text.slice(0, TEXT_MAX) : text)

/** Printable ASCII without quote and backslash: what stands in JSON as it is. */
const PLAIN = /^[ !#-[\]-~]*$/

/** A JSON string. Nearly every value of a line is plain already; only the others pay for `JSON.stringify`. */
export const quoted = (text: string): string => (PLAIN.test(text) ? `"${text}"` : JSON.stringify(text))

const BEYOND_ASCII = /[\u007f-\uffff]/
const BEYOND_ASCII_ALL = /[\u007f-\uffff]/g

/**
 * The same JSON in ASCII. JSON escapes line ends, but not U+2028, U+0085 and the marks that turn the direction of writing: with them a value could
 * look like another line in a viewer. Outside of strings JSON has nothing beyond ASCII.
 */
export const asciiJson = (line: string): string =>
  BEYOND_ASCII.test(line) ? line.replace(BEYOND_ASCII_ALL, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`) : line
