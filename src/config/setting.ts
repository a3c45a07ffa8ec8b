import { isIP } from 'node:net'
import * as z from 'zod'
import type { ConfigCode } from './codes.ts'
import { parseBytes, parseDuration, parseRate, type Rate } from './units.ts'

/** What a setting says about itself; docs/settings.md, `config schema` and the masking of findings come from here. */
export interface SettingMeta {
  readonly doc: string
  /** `live`: taken over without a restart. */
  readonly reload?: 'live' | 'restart'
  readonly since?: string
  /** The value itself is secret: only a reference may stand in the file, and it is masked everywhere. */
  readonly secret?: boolean
  readonly example?: string
}

/** Always outermost: zod hangs metadata on one instance, and `.optional()` or `.prefault()` make a new one. */
export const setting = <T extends z.ZodType>(schema: T, meta: SettingMeta): T =>
  schema.meta({
    description: meta.doc,
    'x-reload': meta.reload ?? 'restart',
    'x-since': meta.since ?? '0.1',
    ...(meta.secret && { 'x-secret': true }),
    ...(meta.example !== undefined && { examples: [meta.example] }),
  })

/** Carried by an issue of ours through zod to the finding. */
export interface Refused {
  readonly code: ConfigCode
  readonly reason?: string
  readonly fix?: string
}

/** A string with a rule. `parse` answers the value, or what is wrong with it; it must never repeat the input. */
export const text = <T>(expects: string, parse: (value: string) => { readonly ok: T } | Refused) =>
  z
    .string()
    .transform((value, ctx): T => {
      const parsed = parse(value)
      if ('ok' in parsed) return parsed.ok
      ctx.issues.push({ code: 'custom', input: value, params: { ...parsed } })
      return z.NEVER
    })
    .meta({ 'x-expects': expects })

const invalid = (reason: string, fix?: string): Refused => ({ code: 'config.value-invalid', reason, ...(fix !== undefined && { fix }) })

/** Numbers may come as text, because a reference always yields text. */
const quantity = <T extends number>(expects: string, parse: (value: string) => T | undefined, min: number, max: number) =>
  z
    .union([z.string(), z.number()])
    .transform((value, ctx): T => {
      const parsed = parse(String(value))
      const reason = parsed === undefined ? `expected ${expects}` : parsed < min || parsed > max ? 'the value is out of range' : undefined
      if (parsed !== undefined && reason === undefined) return parsed
      ctx.issues.push({ code: 'custom', input: value, params: { ...invalid(reason ?? '', `Expected: ${expects}.`) } })
      return z.NEVER
    })
    .meta({ 'x-expects': expects })

const HOUR = 3_600_000
export const duration = (min = 0, max = 366 * 24 * HOUR) =>
  quantity(`a duration such as 500ms, 30s, 10m or 1h30m${min > 0 ? '' : ', or 0'}`, parseDuration, min, Math.min(max, 2 ** 31 - 1))
export const bytes = (min = 0, max = 2 ** 40) => quantity('a size such as 64KiB, 10MiB or 1GiB', parseBytes, min, max)
export const count = (min: number, max: number) =>
  quantity(`a whole number from ${min} to ${max}`, (value) => (/^\d{1,12}$/.test(value) ? Number(value) : undefined), min, max)

export const rate = () =>
  text<Rate | 'off'>('a rate such as 5/s, 30/m or 1000/h, or off', (value) => {
    const parsed = value === 'off' ? value : parseRate(value)
    return parsed === undefined ? invalid('not a rate', 'Write a rate such as `5/s`, `60/m` or `1000/h`, or `off`.') : { ok: parsed }
  })

/** A reference yields text, and a text is not taken for a decision. */
export const flag = () => z.boolean().meta({ 'x-expects': 'true or false, written out and without quotes' })

/** Any text without control characters. */
export const plainText = (expects = 'a text', longest = 512) =>
  text<string>(expects, (value) =>
    value.length > 0 && value.length <= longest && !/\p{Cc}/u.test(value)
      ? { ok: value }
      : invalid(`expected ${expects} of 1 to ${longest} characters`),
  )

/** Relative to the folder of the configuration file; made absolute by build.ts. */
export const filePath = () =>
  text<string>('a path of a file or folder', (value) =>
    value.length > 0 && value.length <= 4096 && !/\p{Cc}/u.test(value) ? { ok: value } : invalid('expected a path'),
  )

export const isLoopback = (hostname: string): boolean =>
  hostname === 'localhost' ||
  hostname.endsWith('.localhost') ||
  hostname === '[::1]' ||
  hostname === '::1' ||
  /^127(\.\d{1,3}){3}$/.test(hostname)

/** Why a text is no http or https URL without userinfo, query and fragment; undefined when it is one. */
export const refuseUrl = (value: string, expects: string, path: boolean): Refused | undefined => {
  const url = URL.parse(value)
  if (!url || !/^https?:$/.test(url.protocol) || url.hostname === '') return invalid(`expected ${expects}`)
  if (url.username !== '' || url.password !== '') return { code: 'config.url-credentials' }
  if (value.includes('?') || value.includes('#')) return invalid('the URL has a query or a fragment', 'Remove what follows the path.')
  return !path && url.pathname !== '/' ? invalid('the URL has a path', 'Keep scheme, host and port.') : undefined
}
export const httpUrl = (expects: string, options: { readonly path: boolean }) =>
  text<URL>(expects, (value) => refuseUrl(value, expects, options.path) ?? { ok: new URL(value) })

/** Unreserved characters only, no dot segments: no escape can then spell the same path a second way. */
const CANONICAL_PATH = /^(?:\/\.?[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$/
export const isCanonicalPath = (path: string): boolean => path.length <= 512 && CANONICAL_PATH.test(path)
export const canonicalPath = (code: ConfigCode, root = false) =>
  text<string>('a path such as /api/orders', (value) => {
    if (isCanonicalPath(value) || (root && value === '/')) return { ok: value }
    const wanted = value.replace(/\/?\*+$/, '').replace(/\/+$/, '')
    return isCanonicalPath(wanted)
      ? { code, reason: 'the path is not in canonical form', fix: `Write \`${wanted}\`: a path stands for itself and everything below it.` }
      : { code }
  })

export const cidr = () =>
  text<string>('a network such as 10.0.0.0/8', (value) => {
    const [address = '', bits = '', ...more] = value.split('/')
    const family = isIP(address)
    if (family !== 0 && bits === '' && more.length === 0)
      return invalid('the address has no prefix length', `Write \`${address}/${family === 4 ? 32 : 128}\` for one address.`)
    if (family === 0 || more.length > 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > (family === 4 ? 32 : 128))
      return invalid('expected a network such as 10.0.0.0/8')
    return { ok: value }
  })

export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

/** `0.0.0.0:8080`, `[::1]:8080`, `localhost:8080`, or `unix:/path`. */
export const parseListenAddress = (value: string): ListenAddress | undefined => {
  if (value.startsWith('unix:')) {
    const path = value.slice(5)
    // sun_path holds 108 bytes on Linux, one of them the terminator.
    return path !== '' && Buffer.byteLength(path) < 108 && !/\p{Cc}/u.test(path) ? { kind: 'unix', path } : undefined
  }
  const match = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})$/.exec(value)
  const host = match?.[1]?.replace(/^\[|\]$/g, '')
  const port = Number(match?.[2])
  if (host === undefined || port > 65_535 || (match?.[1]?.startsWith('[') && isIP(host) !== 6)) return undefined
  return { kind: 'tcp', host, port }
}
export const listenAddress = () =>
  text<ListenAddress>('an address such as 0.0.0.0:8080 or unix:/path', (value) => {
    const address = parseListenAddress(value)
    return address ? { ok: address } : invalid('expected an address such as 0.0.0.0:8080, [::]:8080 or unix:/path')
  })

/** RFC 6749 §3.3. */
export const scopeName = () =>
  text<string>('a scope', (value) =>
    /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/.test(value)
      ? { ok: value }
      : invalid('a scope has no spaces, quotes or backslashes', 'Write one scope per entry of the list.'),
  )
/** RFC 9110 §5.1, and only names that the proxy ever passes. */
export const headerName = () =>
  text<string>('a header name', (value) =>
    /^[A-Za-z0-9-]{1,64}$/.test(value) ? { ok: value.toLowerCase() } : invalid('a header name has letters, digits and hyphens only'),
  )
/** RFC 6265 §4.1.1. The gateway's own cookies never pass, whoever lists them. */
export const cookieName = () =>
  text<string>('a cookie name', (value) => {
    if (/^__(host|http|host-http|secure)-(http-)?sallyport/i.test(value)) return { code: 'config.cookie-of-gateway' }
    return /^[!#$%&'*+.^_`|~A-Za-z0-9-]{1,128}$/.test(value) ? { ok: value } : invalid('not a cookie name')
  })
