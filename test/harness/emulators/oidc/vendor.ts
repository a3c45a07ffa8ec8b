import type { JWK } from 'jose'
import type { Exchange, Json } from '../core-exchange.ts'
import type { SigningKeys } from '../core-keys.ts'

/** Seconds since 1970, as tokens have them. */
export type Seconds = number

export interface User {
  /** What a test calls them. */
  readonly key: string
  /** `sub` of ID tokens. */
  readonly subject: string
  /** Beside `sub`, in ID tokens. */
  readonly claims: Json
  enabled: boolean
}

export interface Client {
  readonly id: string
  readonly secret: string
  /** With keys it proves itself by an assertion, and by nothing else. */
  jwks: readonly JWK[] | undefined
  readonly redirectUris: readonly string[]
  readonly postLogoutUris: readonly string[]
  readonly backchannelUri: string | undefined
}

/** One sign-in and all that came of it: a family of refresh tokens. */
export interface Login {
  readonly client: Client
  readonly user: User
  readonly sid: string
  readonly authTime: Seconds
  readonly scopes: readonly string[]
  /** For whom the first token was; undefined: for nobody that could be named. */
  readonly audience: string | undefined
  readonly offline: boolean
  ended: boolean
}

/** An access token that was handed out. */
export interface Issued {
  readonly user: User | undefined
  readonly client: string
  readonly audience: string | undefined
  readonly scopes: readonly string[]
  readonly login: Login | undefined
  readonly endsAt: Seconds
}

/** For whom and what for one access token is to be. */
export interface Target {
  readonly audience: string | undefined
  readonly scopes: readonly string[]
}

export interface GrantAsk {
  readonly exchange: Exchange
  readonly client: Client
  readonly vendor: Vendor
  readonly state: State
}

/** What one provider is, over what providers have in common. Nothing else tells them apart. */
export interface Vendor {
  /** After the origin: `/oauth2/default`, `/`, or nothing. */
  readonly issuerPath: string
  readonly paths: {
    readonly authorize: string
    readonly token: string
    readonly keys: string
    readonly revoke: string
    readonly logout: string | undefined
  }
  /** Members of discovery beside the endpoints. */
  readonly discovery: Json
  /** Seconds for which a spent refresh token is taken again; `none`: it is never spent. Beyond, the whole family ends. */
  readonly reuse: number | 'none'
  /** `aud` of client assertions. */
  readonly assertionAudience: 'issuer' | 'token-endpoint'
  /** A sign-out without `id_token_hint` is refused. */
  readonly needsHint: boolean
  /** ID tokens have a `sid`, and sign-outs are posted to clients. */
  readonly hasBackchannel: boolean
  /** @throws Refused; what a sign-in with these parameters grants */
  authorize(query: URLSearchParams, state: State): { readonly target: Target; readonly offline: boolean }
  /** @throws Refused; what a refresh with this form is for */
  refresh(form: URLSearchParams, login: Login, state: State): Target
  /** Claims of a token for a user or for the client itself; undefined: its form is nobody's business. */
  accessClaims(target: Target, user: User | undefined, client: Client): Json | undefined
  /** Beside code and refresh token. */
  readonly grants: Readonly<Record<string, (ask: GrantAsk) => Promise<Json>>>
  /** As the answer lists them. */
  scopeText?(scopes: readonly string[]): string
}

export interface State {
  readonly issuer: string
  readonly origin: string
  readonly keys: SigningKeys
  readonly settings: { accessTokenSeconds: number }
  readonly users: readonly User[]
  readonly clients: readonly Client[]
  readonly codes: Map<string, { readonly login: Login; readonly query: URLSearchParams; used: boolean }>
  readonly refreshTokens: Map<string, { readonly login: Login; spentAt: Seconds | undefined }>
  readonly issued: Map<string, Issued>
  readonly logins: Login[]
  readonly handedOut: Set<string>
  /** How clients took what was posted to them. */
  readonly notices: { readonly status: number }[]
  /** Who answers every page; undefined: a form asks. */
  person: string | undefined
}

/** As the token endpoint says no. */
export class Refused extends Error {
  readonly status: number
  readonly body: Json
  constructor(error: string, description: string, status = 400, more: Json = {}) {
    super(description)
    this.status = status
    this.body = { error, error_description: description, ...more }
  }
}

export const wordsOf = (text: string | null): readonly string[] => (text ?? '').split(' ').filter((word) => word !== '')
export const secondsOf = (now: number): Seconds => Math.floor(now / 1000)
export const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
