import type { Millis } from '../kernel/time.ts'
import type { CallerKind } from './caller.ts'
import type { Ask, Json } from './token.ts'

/** Who may use a route; evaluated against the newest ID token's claims and the granted scopes. */
export type Allow =
  | { readonly kind: 'signed-in' }
  | { readonly kind: 'claim'; readonly name: string; readonly anyOf: readonly Json[] }
  | { readonly kind: 'role'; readonly anyOf: readonly string[] }
  | { readonly kind: 'group'; readonly anyOf: readonly string[] }
  | { readonly kind: 'scope'; readonly anyOf: readonly string[] }
  | { readonly kind: 'tenant'; readonly anyOf: readonly string[] }
  /** The application that a bearer caller's token was issued to, by its client id. A session came through none. */
  | { readonly kind: 'client'; readonly anyOf: readonly string[] }
  | { readonly kind: 'any-of'; readonly rules: readonly Allow[] }
  | { readonly kind: 'all-of'; readonly rules: readonly Allow[] }

/** As whom the upstream is called. The two kinds of token are never mixed up: there is no fallback from one to the other. */
export type RouteToken =
  | {
      readonly principal: 'user'
      readonly ask: UserAsk
      /** For callers that bring a token of their own; absent: the route has none such. */
      readonly bearerAsk?: BearerAsk
    }
  | { readonly principal: 'app'; readonly ask: AppAsk; readonly attach?: TokenHeader }
  | { readonly principal: 'none' }

/** Grants that yield a token of the session's user. */
export type UserAsk = Ask & { readonly grant: 'refresh' | 'exchange' | 'on_behalf_of' | 'service_account' }
/** Grants that yield a token of the user whose token the caller brought. */
export type BearerAsk = Ask & { readonly grant: 'exchange' | 'on_behalf_of' | 'pass_through' }
/** Grants that yield what the application itself may do. */
export type AppAsk = Ask & { readonly grant: 'client_credentials' | 'static' }

/** Where an API key goes; a token goes into `Authorization: Bearer` always. */
export interface TokenHeader {
  /** Lower case. */
  readonly name: string
  /** In front of the key, the blank after a scheme included; may be empty. */
  readonly prefix: string
}

/** One entry of the compiled route table. */
export interface Route {
  /** Closed set: the label of metrics and logs. By default the path without its leading slash. */
  readonly name: string
  /** Canonical prefix, no trailing slash; matches itself and what follows after a slash. */
  readonly path: string
  /** Origin of the upstream. */
  readonly upstream: URL
  /** What replaces `path` in the forwarded path; `path` itself unless the route strips or rewrites. No trailing slash; '' for the root. */
  readonly upstreamPath: string
  readonly methods: readonly string[]
  readonly token: RouteToken
  /** Who may present what; absent: sessions only. */
  readonly callers?: readonly CallerKind[]
  /** For `none`, undefined: everybody, without a session. */
  readonly allow: Allow | undefined
  /** The audience of the signed user context that goes along; absent: none does. */
  readonly userContext?: string
  readonly limits: {
    readonly bodyBytesMax: number
    readonly headersTimeoutMs: Millis
    readonly bodyTimeoutMs: Millis
    readonly connectTimeoutMs: Millis
    readonly inFlightMax: number
  }
  readonly headers: {
    /** undefined: all end-to-end headers but those never passed; a list: only these, lower case. */
    readonly requestOnly: readonly string[] | undefined
    readonly requestCookies: readonly string[]
    /** Unsigned: who calls, in headers that only the gateway writes. Lower-case names. */
    readonly requestIdentity?: readonly { readonly header: string; readonly claim: string }[]
    readonly responseSetCookie: readonly string[]
  }
  readonly tls: {
    readonly caFile: string | undefined
    readonly serverName: string | undefined
    /** What the gateway proves itself with to this upstream; watched. Absolute paths. */
    readonly client?: { readonly certificateFile: string; readonly privateKeyFile: string } | undefined
  }
}
