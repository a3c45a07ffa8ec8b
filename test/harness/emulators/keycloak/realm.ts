import { randomBytes } from 'node:crypto'
import { type Json, jsonReply, type Reply } from '../core-exchange.ts'
import type { RealmKeys } from './realm-keys.ts'
import type { ClientScope, ClientSettings, RealmSettings, UserSettings } from './settings.ts'

/** What one client has of a user session. A code or refresh token that is used again takes it away ("detach"); the session itself lives on. */
export interface ClientSession {
  readonly clientId: string
  readonly started: number
  scope: string
  acr: string
  /** By chain of refresh tokens: the one used last, since when, and how often. Only kept while refresh tokens are revoked. */
  readonly uses: Map<string, { id: string; lastRefresh: number; count: number }>
  /** Clients whose tokens were exchanged here: revoking theirs ends this one, too. */
  readonly subjectClients: Set<string>
}

export interface UserSession {
  readonly id: string
  readonly user: UserSettings
  readonly started: number
  lastRefresh: number
  authTime: number
  /** Level of authentication reached, and when. */
  loa: number
  readonly offline: boolean
  readonly clients: Map<string, ClientSession>
}

export interface Code {
  readonly sessionId: string
  readonly clientId: string
  readonly redirectUri: string
  readonly scope: string
  readonly nonce: string | undefined
  readonly challenge: string | undefined
  readonly challengeMethod: string | undefined
  readonly expiresAt: number
}

export interface Realm {
  readonly settings: RealmSettings
  readonly issuer: string
  /** Where this emulator can be reached; the same as the issuer's unless they are split. */
  readonly base: string
  readonly clients: Map<string, ClientSettings>
  readonly users: Map<string, UserSettings>
  readonly scopes: Map<string, ClientScope>
  readonly keys: RealmKeys
  readonly sessions: Map<string, UserSession>
  readonly offlineSessions: Map<string, UserSession>
  readonly codes: Map<string, Code>
}

/** An answer that ends the request. */
export class Refusal extends Error {
  readonly reply: Reply
  constructor(reply: Reply, message: string) {
    super(message)
    this.reply = reply
  }
}
export const refuse = (error: string, description: string, status = 400): Refusal =>
  new Refusal(jsonReply({ error, error_description: description }, status), description)

export const wordsOf = (text: string | null | undefined): string[] => (text ?? '').split(' ').filter((word) => word !== '')
export const secondsOf = (ms: number): number => Math.floor(ms / 1000)

export const newUserSession = (
  user: UserSettings,
  now: number,
  more: { offline?: boolean; id?: string; authTime?: number } = {},
): UserSession => ({
  id: more.id ?? randomBytes(18).toString('base64url'),
  user,
  started: now,
  lastRefresh: now,
  authTime: more.authTime ?? now,
  loa: 0,
  offline: more.offline ?? false,
  clients: new Map(),
})
export const newClientSession = (clientId: string, scope: string, acr: string, now: number): ClientSession => ({
  clientId,
  started: now,
  scope,
  acr,
  uses: new Map(),
  subjectClients: new Set(),
})

/** Until when a session's tokens may live. */
export const endOf = ({ settings }: Realm, session: UserSession): number =>
  session.offline ? session.started + (settings.offlineSessionMax ?? Number.POSITIVE_INFINITY) : session.started + settings.ssoSessionMax
export const isValid = (realm: Realm, session: UserSession | undefined, now: number): session is UserSession => {
  if (!session) return false
  const { settings } = realm
  const idle = session.offline ? settings.offlineSessionIdle : settings.ssoSessionIdle
  return now < session.lastRefresh + idle + settings.idleWindow && now < endOf(realm, session)
}

export const acrLoaMapOf = (realm: Realm, client: ClientSettings): Readonly<Record<string, number>> =>
  client.acrLoaMap ?? realm.settings.acrLoaMap

/** Client scopes every token has, asked for or not; the first four leave no trace in `scope`. */
const INVISIBLE = ['basic', 'acr', 'roles', 'web-origins']
const DEFAULT = ['profile', 'email']
const BUILT_IN = ['openid', 'offline_access', 'address', 'phone', 'microprofile-jwt', 'organization', ...INVISIBLE, ...DEFAULT]

export const checkScopes = (client: ClientSettings, scope: string | null): boolean =>
  wordsOf(scope).every((word) => BUILT_IN.includes(word) || client.optionalScopes.includes(word))

/** The scopes in force: what was asked for, and the defaults whether asked for or not. */
export const effectiveScopes = (scope: string): string[] => [
  ...new Set([...wordsOf(scope).filter((word) => !INVISIBLE.includes(word)), ...DEFAULT]),
]

/** Scopes a user has to consent to. */
export const missingConsents = (client: ClientSettings, user: UserSettings, scope: string): string[] => {
  if (!client.consentRequired) return []
  const given = user.consents.get(client.clientId) ?? new Set()
  return effectiveScopes(scope).filter((word) => word !== 'openid' && !given.has(word))
}

export const claimOf = (claims: Json, name: string): string => {
  const value = claims[name]
  return typeof value === 'string' ? value : ''
}
