import type { IncomingMessage } from 'node:http'
import type { TokenHeader } from '../domain/route.ts'
import type { Secret } from '../kernel/secret.ts'
import { isDropped } from './dropped-names.ts'
import { isTraceparent, traceparentFrom } from './trace.ts'

/** What a route lets through, compiled once. */
export interface OutboundRules {
  readonly only: ReadonlySet<string> | undefined
  /** Names that identity goes by, on whatever route: nobody else can say them. */
  readonly identity?: ReadonlySet<string> | undefined
  readonly cookies: ReadonlySet<string>
  readonly isOwnCookie: (name: string) => boolean
  /** `;host=…;proto=…`, from public_url, never from the request. */
  readonly forwardedTail: string
  /** X-Forwarded-Host, -Proto, -Port and, where the route strips its path, -Prefix: names and values in turn. */
  readonly forwardedConstants: readonly string[]
  /** Where the token goes; a client's header of that name never passes. */
  readonly attach: TokenHeader
}

/**
 * What an upstream hears: names and values in turn, as they came and in their order, then what the gateway says itself, which nobody else can say.
 * @param chain of trusted-proxies.ts: client first, our peer last
 * @param hasBody content headers of a request without a body are not repeated
 */
export const outboundHeaders = (
  request: IncomingMessage,
  rules: OutboundRules,
  gateway: {
    readonly chain: readonly string[]
    readonly requestId: string
    readonly token: Secret<'access-token'> | undefined
    /** Names and values in turn. */
    readonly identity?: readonly string[] | undefined
    readonly hasBody: boolean
  },
): string[] => {
  const { rawHeaders, headers } = request
  const { only, identity } = rules
  let out: string[] = []
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = decided(rawHeaders[i] ?? '')
    if (
      name === '' ||
      name === rules.attach.name ||
      identity?.has(name) ||
      (only !== undefined && !only.has(name) && !BODY_HEADERS.has(name))
    )
      continue
    if (name === 'content-length' && !gateway.hasBody && (request.method === 'GET' || request.method === 'HEAD')) continue
    out.push(name, rawHeaders[i + 1] ?? '')
  }
  const { connection } = headers
  if (connection !== undefined && !ORDINARY_CONNECTION.test(connection)) out = withoutNamed(out, connection)
  // From here on our own: nothing the client lists in Connection can take these away (CVE-2026-33805).
  if (rules.cookies.size > 0 && headers.cookie !== undefined) pushCookies(out, headers.cookie, rules)
  pushForwarded(out, gateway.chain, rules)
  out.push('traceparent', traceparentFrom(headers['traceparent']))
  if (headers['tracestate'] !== undefined && isTraceparent(headers['traceparent'])) out.push('tracestate', String(headers['tracestate']))
  out.push('x-request-id', gateway.requestId)
  if (gateway.identity !== undefined) for (const text of gateway.identity) out.push(text)
  if (gateway.token !== undefined) out.push(rules.attach.name, `${rules.attach.prefix}${gateway.token.reveal()}`)
  return out
}

/** How the body is framed and read: an allow-list that forgot them must not change what the bytes mean. */
const BODY_HEADERS: ReadonlySet<string> = new Set(['content-length', 'content-type', 'content-encoding'])
const ORDINARY_CONNECTION = /^(?:keep-alive|close)$/i

/** Spelling as it came → lower-case name, or '' for dropped. Bounded: a client can invent names, but not make us keep them. */
const DECIDED_MAX = 1024
const DECIDED_LENGTH_MAX = 64
const decisions = new Map<string, string>()
const decided = (raw: string): string => {
  const known = decisions.get(raw)
  if (known !== undefined) return known
  const lower = raw.toLowerCase()
  const name = isDropped(lower) ? '' : lower
  if (decisions.size < DECIDED_MAX && raw.length <= DECIDED_LENGTH_MAX) decisions.set(raw, name)
  return name
}

/** RFC 9110 §7.6.1: what Connection names belongs to the connection. The framing is not the client's to remove. */
const withoutNamed = (headers: readonly string[], connection: string): string[] => {
  const named = new Set(
    connection
      .toLowerCase()
      .split(',')
      .map((name) => name.trim()),
  )
  const out: string[] = []
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? ''
    if (!named.has(name) || BODY_HEADERS.has(name)) out.push(name, headers[i + 1] ?? '')
  }
  return out
}

const pushCookies = (out: string[], header: string, rules: OutboundRules): void => {
  const kept = header
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => {
      const name = pair.slice(0, Math.max(0, pair.indexOf('='))).trim()
      return name !== '' && rules.cookies.has(name) && !rules.isOwnCookie(name)
    })
  if (kept.length > 0) out.push('cookie', kept.join('; '))
}

const pushForwarded = (out: string[], chain: readonly string[], rules: OutboundRules): void => {
  const first = chain[0] ?? 'unknown'
  if (chain.length === 1) out.push('x-forwarded-for', first, 'forwarded', `for=${node(first)}${rules.forwardedTail}`)
  else
    out.push(
      'x-forwarded-for',
      chain.join(', '),
      'forwarded',
      chain.map((hop, i) => `for=${node(hop)}${i === 0 ? rules.forwardedTail : ''}`).join(', '),
    )
  out.push('x-real-ip', first)
  for (const text of rules.forwardedConstants) out.push(text)
}

/** RFC 7239 §6: an IPv6 address is bracketed and therefore quoted. */
const node = (address: string): string => (address.includes(':') ? `"[${address}]"` : address)
