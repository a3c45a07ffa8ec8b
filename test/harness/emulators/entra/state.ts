import type { EmulatorClock } from '../core-clock.ts'
import type { SigningKeys } from '../core-keys.ts'
import type { Credentials } from './credentials.ts'
import type { App, Directory, User } from './directory.ts'
import type { Target } from './scopes.ts'

/** What a sign-in proved; a code, a refresh token and an access token hold one. */
export interface Grant {
  readonly client: string
  readonly user: User
  /** The tenant they signed in to. */
  readonly tenant: string
  readonly authTime: number
  readonly sid: string
  readonly mfa: boolean
  readonly acrs: readonly string[]
  readonly spa: boolean
  readonly offline: boolean
}

export interface Code {
  readonly grant: Grant
  readonly redirectUri: string
  readonly challenge: string | undefined
  readonly method: string
  readonly scope: string
  readonly nonce: string | undefined
  readonly issuedAt: number
  redeemed: boolean
}

export interface RefreshToken {
  readonly grant: Grant
  readonly issuedAt: number
  /** Of the first of its line: what a SPA's 24 hours count from. */
  readonly lineFrom: number
  /** Where it was last used: what a refresh without scopes is for. */
  readonly last: Target | undefined
  readonly openid: boolean
  readonly profile: boolean
}

/** An access token as the emulator remembers it, by its `uti`. */
export interface Issued {
  readonly at: number
  readonly grant: Grant | undefined
  readonly client: string
  readonly resource: string
  readonly tenant: string
}

/** A browser that is signed in, by its cookie. */
export interface Sso {
  readonly sid: string
  readonly user: User
  readonly authTime: number
  mfa: boolean
  acrs: readonly string[]
  /** Apps it signed in to: whom front-channel logout tells. */
  readonly apps: Set<App>
}

/** A Conditional Access policy. Without users or resource: all. */
export interface Policy {
  readonly id: string
  readonly user?: string
  /** Name, GUID or URI of the API. */
  readonly resource?: string
  readonly require: 'mfa' | 'block' | 'compliant-device' | { readonly signInEverySeconds: number }
}

/** What a person would do at the pages, done by nobody. */
export interface Person {
  readonly user: string
  /** Does the second factor when asked; yes unless told. */
  readonly mfa?: boolean
  /** Agrees when asked; yes unless told. */
  readonly consent?: boolean
}

export interface EntraSettings {
  /** Random 60–90 minutes, as Entra does, unless told. */
  readonly accessTokenSeconds?: number
  readonly refreshTokenBytes: number
  /** E23: each one is this much longer than the one before. */
  readonly refreshTokenGrowth: number
  /** E5: takes scopes that name the client's own API otherwise than by GUID. */
  readonly lenient90009: boolean
  /** E20: so many equal requests within a minute are a loop; off unless told. */
  readonly loopAfter?: number
  /** E9: which number a wrong signature gets. */
  readonly badSignatureCode: 700027 | 7000274
  readonly v1Issuer: string
  readonly exchangeAudience: string
}

export interface EntraState {
  /** In documents and issuers; the server's own origin unless told. */
  readonly authority: string
  readonly origin: string
  readonly clock: EmulatorClock
  readonly keys: SigningKeys
  readonly keyIssuers: Map<string, string>
  readonly directory: Directory
  readonly credentials: Credentials
  readonly settings: EntraSettings
  readonly codes: Map<string, Code>
  readonly refreshTokens: Map<string, RefreshToken>
  readonly issued: Map<string, Issued>
  readonly sso: Map<string, Sso>
  /** Every token that was handed out, for searches in logs and browsers. */
  readonly handedOut: Set<string>
  policies: readonly Policy[]
  person: Person | undefined
  /** What the resource API demands beside a good token, by API name. */
  readonly demands: Map<string, { readonly acrs: string }>
  /** Moments of equal requests. */
  readonly recent: Map<string, number[]>
  /** 0 ≤ x < 1, the same row on every run. */
  random(): number
}

/** `{tenant}` of a path: one tenant, or a door for several. */
export type TenantDoor = { readonly kind: 'tenant'; readonly id: string } | { readonly kind: 'common' | 'organizations' }
