import { DEFAULT_BASE_PATH } from '../contract/paths.ts'

const BYTES_MAX = 1024
/** Printable ASCII without blank and backslash: what is cut, folded or trimmed on the way to a browser's address bar is not let in at all. */
const PLAIN = /^\/(?![/])[!-[\]-~]*$/
/** An encoded slash, backslash, dot, semicolon or control character, however often it was encoded; a percent sign that encodes nothing; path parameters. */
const AMBIGUOUS = /%(?:25)*(?:2f|5c|2e|3b|[01][0-9a-f]|7f)|%(?![0-9a-f]{2})|;/i
const DOT_SEGMENT = /\/\.{1,2}(?:\/|$)/

/**
 * Where the browser goes after the login: a path on our own origin, with query and fragment, or `/` for everything else (RFC 9700 §4.11: no open
 * redirector). Own endpoints are not a place to land: `/bff/logout/callback` as a return-to would be somebody's joke.
 * @param raw as the query parameter was decoded
 * @param origin of `public_url`
 */
export const returnTo = (raw: string | undefined, origin: URL, basePath: string = DEFAULT_BASE_PATH): string => {
  // 1. Refuse what any two parsers could read in two ways.
  if (raw === undefined || raw.length > BYTES_MAX || !PLAIN.test(raw)) return '/'
  const path = raw.slice(0, endOfPath(raw))
  if (AMBIGUOUS.test(path) || DOT_SEGMENT.test(path)) return '/'
  // 2. Let the parser that browsers have say where it leads, and go on with its spelling.
  const url = URL.parse(raw, origin.origin)
  if (url === null || url.origin !== origin.origin) return '/'
  const lands = `${url.pathname}${url.search}${url.hash}`
  if (!PLAIN.test(lands) || lands.length > BYTES_MAX) return '/'
  return isBelow(url.pathname, basePath) ? '/' : lands
}

const endOfPath = (raw: string): number => {
  const end = raw.search(/[?#]/)
  return end < 0 ? raw.length : end
}

/** By what a router may make of the path: decoded, without regard to case or doubled slashes. */
const isBelow = (pathname: string, basePath: string): boolean => {
  const path = decodedOf(pathname)
    .toLowerCase()
    .replace(/\/{2,}/g, '/')
  const base = basePath.toLowerCase()
  return path === base || path.startsWith(`${base}/`)
}

/** ASCII letters and signs only: more is not needed to recognise a base path. */
const decodedOf = (pathname: string): string =>
  pathname.replace(/%([2-7][0-9a-f])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
