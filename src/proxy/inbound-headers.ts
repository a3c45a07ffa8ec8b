/** As undici parses them: lower-case names, latin1 values, repeated lines as an array. */
export type UpstreamHeaders = Readonly<Record<string, string | string[] | undefined>>

export interface InboundRules {
  readonly setCookie: ReadonlySet<string>
  readonly isOwnCookie: (name: string) => boolean
  /** Rewrites what points to the upstream's origin; undefined: drop the header. */
  readonly location: (value: string) => string | undefined
  /** Set by the gateway on every answer, names and values in turn; the upstream's own of that name are dropped. */
  readonly constants: readonly string[]
}

const DROP = 0
const PASS = 1
const SET_COOKIE = 2
const LOCATION = 3
const CACHE_CONTROL = 4
const SHARED_CACHE = 5
const CLEAR_SITE_DATA = 6

/**
 * Of an upstream's answer: never to the browser. `WWW-Authenticate` speaks of the token that the gateway attached, which is nothing the caller could change,
 * and may name scopes and authorization servers; `Basic` in it would open the browser's own password window.
 */
export const DROPPED_ANSWERS: readonly string[] = (
  'connection keep-alive proxy-connection te trailer transfer-encoding upgrade proxy-authenticate proxy-authorization proxy-authentication-info ' +
  'authorization www-authenticate authentication-info set-cookie2 x-request-id x-content-type-options alt-svc x-sendfile x-reproxy-url x-lighttpd-send-file'
).split(' ')
/** CORS is the gateway's business; x-accel-* would be obeyed by an nginx in front of us. */
export const DROPPED_ANSWER_FAMILIES: readonly string[] = ['access-control-', 'x-accel-']

const CODES: ReadonlyMap<string, number> = new Map([
  ...DROPPED_ANSWERS.map((name) => [name, DROP] as const),
  ['set-cookie', SET_COOKIE],
  ['location', LOCATION],
  ['content-location', LOCATION],
  ['cache-control', CACHE_CONTROL],
  ['clear-site-data', CLEAR_SITE_DATA],
  ...'age surrogate-control edge-control'.split(' ').map((name) => [name, SHARED_CACHE] as const),
])

const familyOf = (name: string): number => {
  for (const family of DROPPED_ANSWER_FAMILIES) if (name.startsWith(family)) return DROP
  return name.endsWith('cdn-cache-control') ? SHARED_CACHE : PASS
}

/**
 * What the browser hears of an upstream's answer: names and values in turn for `writeHead`. Bytes stay as they came.
 * @param isAuthenticated the answer was made for one session: no shared cache may keep it, whatever the upstream thought of its audience
 * @param keepsNoPages an HTML answer is kept by nobody at all
 */
export const inboundHeaders = (headers: UpstreamHeaders, rules: InboundRules, isAuthenticated: boolean, keepsNoPages = false): string[] => {
  const isUnkept = keepsNoPages && HTML.test(String(headers['content-type'] ?? ''))
  const named = namedByConnection(headers['connection'])
  const out: string[] = []
  let cacheControl: string | undefined
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined || named?.has(name) || isConstant(rules.constants, name)) continue
    switch (CODES.get(name) ?? familyOf(name)) {
      case DROP:
        break
      case SET_COOKIE:
        for (const line of typeof value === 'string' ? [value] : value) if (mayBeSet(line, rules)) out.push(name, line)
        break
      case LOCATION: {
        const rewritten = rules.location(typeof value === 'string' ? value : (value[0] ?? ''))
        if (rewritten !== undefined) out.push(name, rewritten)
        break
      }
      case CACHE_CONTROL:
        cacheControl = typeof value === 'string' ? value : value.join(', ')
        break
      case SHARED_CACHE:
        if (!isAuthenticated && !isUnkept) push(out, name, value)
        break
      case CLEAR_SITE_DATA:
        // `"cookies"` and `"*"` would sign the user out here.
        if (!/cookies|\*/i.test(String(value))) push(out, name, value)
        break
      default:
        push(out, name, value)
    }
  }
  if (isUnkept) out.push('cache-control', 'no-store')
  else if (isAuthenticated) out.push('cache-control', privately(cacheControl, headers['expires'] !== undefined))
  else if (cacheControl !== undefined) out.push('cache-control', cacheControl)
  out.push('x-content-type-options', 'nosniff')
  for (const text of rules.constants) out.push(text)
  return out
}

/** For what has no body and must not announce one. */
export const withoutLength = (head: readonly string[]): string[] => {
  const at = head.indexOf('content-length')
  return at < 0 ? [...head] : [...head.slice(0, at), ...head.slice(at + 2)]
}

export const isEventStream = (type: string | string[] | undefined): boolean =>
  typeof type === 'string' && /^text\/event-stream\s*(?:;|$)/i.test(type)
const HTML = /^\s*(?:text\/html|application\/xhtml\+xml)\s*(?:;|$)/i

const push = (out: string[], name: string, value: string | string[]): void => {
  if (typeof value === 'string') out.push(name, value)
  else for (const one of value) out.push(name, one)
}

const isConstant = (constants: readonly string[], name: string): boolean => {
  for (let i = 0; i < constants.length; i += 2) if (constants[i] === name) return true
  return false
}

/** Content-Length, named here by an upstream, still frames its body. */
const namedByConnection = (connection: string | string[] | undefined): ReadonlySet<string> | undefined => {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return undefined
  const named = new Set(
    String(connection)
      .toLowerCase()
      .split(',')
      .map((name) => name.trim()),
  )
  named.delete('content-length')
  named.delete('content-type')
  return named
}

/** Listed by the route, not the gateway's, for this host alone. A nameless cookie (`=__Host-x=1`) is listed by nobody. */
const mayBeSet = (line: string, rules: InboundRules): boolean => {
  const end = line.indexOf(';')
  const pair = end < 0 ? line : line.slice(0, end)
  const name = pair.slice(0, Math.max(0, pair.indexOf('='))).trim()
  return name !== '' && rules.setCookie.has(name) && !rules.isOwnCookie(name) && !/;\s*domain/i.test(line)
}

const ALREADY_PRIVATE = /^(?:private|no-store)(?:\s*,\s*(?:private|no-cache|no-store|must-revalidate|no-transform|max-age=\d+))*$/i

/** RFC 9111 §5.2.2: a cookie does not stop a shared cache, only `private` and `no-store` do; `private="field"` hides that field alone. */
const privately = (given: string | undefined, hasExpires: boolean): string => {
  if (given === undefined || given.trim() === '') return hasExpires ? 'private' : 'no-store'
  if (given.length > CACHE_CONTROL_CHARS_MAX) return 'no-store'
  if (ALREADY_PRIVATE.test(given)) return given
  const kept = (given.match(DIRECTIVE) ?? [])
    .map((directive) => directive.trim())
    .filter((directive) => directive !== '' && !SHARED.test(directive))
  return ['private', ...kept].join(', ')
}
/** Whoever writes more wants to see how long it takes to read. */
const CACHE_CONTROL_CHARS_MAX = 2048
/** Between commas, quoted strings kept whole; one that does not end is the rest. */
const DIRECTIVE = /(?:"(?:[^"\\]|\\.)*(?:"|\\?$)|[^,"])+/g
const SHARED = /^(?:public|private|s-maxage|proxy-revalidate)\s*(?:=|$)/i
