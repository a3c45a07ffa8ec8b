/** A request target that can be read in one way only; the bytes are the client's own and are forwarded as they are. */
export interface CanonicalTarget {
  readonly path: string
  /** With its question mark; '' when there is none. */
  readonly query: string
}

/** The usual request: unreserved characters, no segment that starts with a dot. Everything else takes the slow look. */
const USUAL = /^\/(?:[A-Za-z0-9_~-][A-Za-z0-9_~.-]*(?:\/[A-Za-z0-9_~-][A-Za-z0-9_~.-]*)*\/?)?(?:\?[\x21\x22\x24-\x7e]*)?$/
/** RFC 3986 pchar without `;` (path parameters: `/..;/` is a dot segment to servlet containers), and the four that browsers do not encode. */
const PATH = /^\/[A-Za-z0-9._~!$&'()*+,=:@%/[\]|^-]*$/
const QUERY = /^(?:\?[\x21\x22\x24-\x7e]*)?$/
const BAD_ESCAPE = /%(?![0-9A-Fa-f]{2})/
const ESCAPES = /(?:%[0-9A-Fa-f]{2})+/g
const ESCAPE = /%[0-9A-Fa-f]{2}/
/** Also `.. ` and `..?`: Windows trims the one, a second parser cuts the other. A segment of three dots is odd enough to refuse. */
const DOT_SEGMENT = /(?:^|\/)\s*\.[.\s]*(?:[/?#]|$)/
const C1_CONTROL = /[\u0080-\u009f]/
const DECODES_MAX = 3

/**
 * The one form in which a path is matched and forwarded, or undefined where two parsers could read it differently: encoded slashes, backslashes, dots
 * or letters, dot segments in any spelling, empty segments, semicolons, control characters, raw non-ASCII, fragments, absolute-form, broken or overlong
 * UTF-8. Escapes of unreserved characters are refused rather than decoded (RFC 3986 §6.2.2.2 makes them equal, a prefix match does not): `/api/%61dmin`
 * would pass a route for `/api` and reach what `/api/admin` guards. Escapes of escapes are judged by what up to three decodes make of them.
 */
export const canonicalPath = (rawUrl: string): CanonicalTarget | undefined => {
  const at = rawUrl.indexOf('?')
  const path = at < 0 ? rawUrl : rawUrl.slice(0, at)
  const query = at < 0 ? '' : rawUrl.slice(at)
  if (USUAL.test(rawUrl) || (QUERY.test(query) && isUnambiguous(path))) return { path, query }
  return undefined
}

const isUnambiguous = (path: string): boolean => {
  if (!PATH.test(path) || path.includes('//') || BAD_ESCAPE.test(path)) return false
  let text = path
  for (let decodes = 0; ESCAPE.test(text); decodes += 1) {
    if (decodes === DECODES_MAX) return false
    const decoded = decodeOnce(text)
    if (decoded === undefined) return false
    text = decoded
  }
  return !DOT_SEGMENT.test(text)
}

const decodeOnce = (text: string): string | undefined => {
  let isSafe = true
  const decoded = text.replace(ESCAPES, (run) => {
    const bytes = Buffer.from(run.replaceAll('%', ''), 'hex')
    const part = bytes.every(isHarmless) ? utf8(bytes) : undefined
    if (part === undefined || C1_CONTROL.test(part)) isSafe = false
    return part ?? ''
  })
  return isSafe ? decoded : undefined
}

/** Neither a separator nor a control character nor something that needed no escape. */
const isHarmless = (byte: number): boolean => byte >= 0x20 && byte !== 0x7f && !NEVER_ESCAPED.has(byte)
const NEVER_ESCAPED: ReadonlySet<number> = new Set(
  Buffer.from('/\\;-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz', 'latin1'),
)

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const utf8 = (bytes: Buffer): string | undefined => {
  try {
    return strict.decode(bytes)
  } catch {
    return undefined
  }
}
