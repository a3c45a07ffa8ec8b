import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Instant } from '../../../src/kernel/time.ts'

export type Json = Record<string, unknown>

/** What a fault plan and a record speak about; an emulator says which of its paths is which. */
export type EndpointName =
  | 'discovery'
  | 'jwks'
  | 'authorize'
  | 'token'
  | 'userinfo'
  | 'logout'
  | 'revocation'
  | 'introspection'
  | 'par'
  | 'device'
  | 'admin'
  | 'other'

/** One request to an emulator, read whole. */
export interface Exchange {
  readonly endpoint: EndpointName
  readonly method: string
  /** As the client sees it, origin included. */
  readonly url: URL
  readonly query: URLSearchParams
  /** Empty unless the body was a form. */
  readonly form: URLSearchParams
  readonly body: string
  readonly headers: IncomingHttpHeaders
  readonly cookies: ReadonlyMap<string, string>
  /** The emulator's time for this request, skew included: handlers read no other clock. */
  readonly now: Instant
  /** Counts every request to this emulator, from 1. */
  readonly serial: number
  /** Into the record of this call: who the client turned out to be, what for, under which code. Never a token. */
  note(facts: Readonly<Record<string, string | number | boolean | undefined>>): void
}

/** `json` stays an object until it is sent, so that a fault can change one member of it. */
export interface Reply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly json?: Json
  readonly text?: string
}

const NO_STORE = { 'cache-control': 'no-store', pragma: 'no-cache' }

export const jsonReply = (json: Json, status = 200, headers: NonNullable<Reply['headers']> = {}): Reply => ({
  status,
  json,
  headers: { ...NO_STORE, ...headers },
})
export const htmlReply = (text: string, status = 200, headers: NonNullable<Reply['headers']> = {}): Reply => ({
  status,
  text,
  headers: { 'content-type': 'text/html; charset=utf-8', ...NO_STORE, ...headers },
})
export const redirectReply = (location: string | URL, headers: NonNullable<Reply['headers']> = {}): Reply => ({
  status: 302,
  text: '',
  headers: { location: String(location), ...NO_STORE, ...headers },
})

/** What stands in records for a token: enough to say "this one again", nothing to use. */
export const digestOf = (value: string): string => `sha256:${createHash('sha256').update(value).digest('base64url')}`

export const cookiesOf = (header: string | undefined): ReadonlyMap<string, string> =>
  new Map(
    (header ?? '')
      .split(';')
      .map((pair) => pair.trim())
      .filter((pair) => pair.includes('='))
      .map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)] as const),
  )

export interface BasicCredentials {
  readonly id: string
  readonly secret: string
}
/** RFC 6749 §2.3.1: both parts form-encoded before they are joined. */
export const basicOf = (header: string | undefined): BasicCredentials | undefined => {
  const encoded = /^basic ([A-Za-z0-9+/=]+)$/i.exec(header ?? '')?.[1]
  if (encoded === undefined) return undefined
  const joined = Buffer.from(encoded, 'base64').toString('utf8')
  const at = joined.indexOf(':')
  if (at < 0) return undefined
  const decode = (part: string): string => decodeURIComponent(part.replaceAll('+', ' '))
  try {
    return { id: decode(joined.slice(0, at)), secret: decode(joined.slice(at + 1)) }
  } catch {
    return undefined
  }
}

export const escapeHtml = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
