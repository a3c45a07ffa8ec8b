import type { Secret } from '../kernel/secret.ts'
import type { Instant, Millis } from '../kernel/time.ts'
import type { AccessToken, Claims, TokenKey } from './token.ts'

/** Printable name of a session: the first 128 bits of SHA-256 of the session id, 22 base64url characters. Safe to log. */
export type SessionRef = string & { readonly __sessionRef: true }

/** The 64 characters of the cookie: 16 bytes session id, 32 bytes data key. */
export type SessionCookie = Secret<'session-cookie'>

/** What admin and "my sessions" may read without the cookie: sealed under the keyring alone. */
export interface Card {
  readonly ref: SessionRef
  readonly app: string
  readonly provider: string
  readonly tenant: string | undefined
  readonly subject: string
  readonly createdAt: Instant
  /** The absolute end. */
  readonly endsAt: Instant
  /** For instance `Firefox on Linux`; never the whole User-Agent. */
  readonly browser: string
  /** /24 or /48 of the address. */
  readonly address: string
}

/** Opens only with the cookie; written by a save. `rt_gen` moves with it. */
export interface Grant {
  readonly issuer: string
  readonly refreshToken: Secret<'refresh-token'> | undefined
  readonly refreshEndsAt: Instant | undefined
  /** Of the newest verified ID token. */
  readonly claims: Claims
  /** Kept only for profiles whose logout needs `id_token_hint`. */
  readonly idToken: Secret<'id-token'> | undefined
  readonly providerSessionId: string | undefined
  /** Scopes granted at login, for `allow: { scopes: … }`. */
  readonly scopes: readonly string[]
  /** When the provider last confirmed this user: login or a successful refresh. `session.recheck` counts from here. */
  readonly confirmedAt: Instant
}

/** A session as opened with its cookie. Immutable: every write yields a new one. */
export interface Session {
  readonly ref: SessionRef
  readonly cookie: SessionCookie
  readonly card: Card
  readonly grant: Grant
  readonly tokens: ReadonlyMap<TokenKey, AccessToken>
  /** Moves with every write but touches; what L1 and events compare. The moment of the write, and always more than the one before. */
  readonly gen: number
  /** Moves only with `grant`: names the refresh token that may be spent. A moment as well. */
  readonly rtGen: number
}

/** The session that `open` or `peek` yielded, with the idle end as this replica knows it. */
export interface HeldSession {
  readonly session: Session
  readonly lastSeenAt: Instant
  /** The store was not reachable when it was last looked at (mode grace): serve, but start no refresh. */
  readonly stale: boolean
}

/** All sessions of one session at the provider (`sid`), or of one subject (`sub`), at one issuer. */
export type SessionsOf =
  | { readonly kind: 'provider-session'; readonly issuer: string; readonly providerSessionId: string }
  | { readonly kind: 'subject'; readonly issuer: string; readonly subject: string }

export type EndReason =
  | 'user' // POST /bff/logout
  | 'local' // POST /bff/logout/local
  | 'idle'
  | 'absolute'
  | 'provider' // back-channel logout
  | 'front-channel' // a frame on the provider's sign-out page; the provider is never told anything because of one
  | 'admin'
  | 'replaced'
  | 'refresh-refused'
  | 'refresh-lost'
  | 'identity-changed'
  | 'recheck-failed'
  | 'key-removed'
  | 'login-raced' // a logout landed while the login was under way

export type SessionChange =
  | { readonly kind: 'written'; readonly ref: SessionRef; readonly gen: number }
  | { readonly kind: 'ended'; readonly ref: SessionRef; readonly reason: EndReason }

/** An end as this replica hears of it, once, whoever brought it about. `session`: if it was held open here; then its refresh token is at hand. */
export interface SessionEnd {
  readonly ref: SessionRef
  readonly reason: EndReason
  readonly session: Session | undefined
}

export type Opened =
  | { readonly kind: 'found'; readonly held: HeldSession }
  /** Never existed here, or so long ago that nobody remembers. */
  | { readonly kind: 'absent' }
  | { readonly kind: 'ended'; readonly reason: EndReason }
  /** Sealed with a key newer than any here: 503, cookie untouched. */
  | { readonly kind: 'key-unknown' }
  | { readonly kind: 'unavailable' }

/** Left in the record before a refresh token is sent: whoever finds it knows that the token of `rtGen` may be spent. */
export interface SpendingMark {
  readonly rtGen: number
  readonly replica: string
  /** By the store's clock. */
  readonly sentAt: Instant
  readonly timeoutMs: Millis
}

/** Exclusion across replicas, with an expiry; `fence` is unique to this holding. */
export interface Lease {
  readonly ref: SessionRef
  readonly fence: string
}
