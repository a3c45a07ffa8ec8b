import { createHash, randomUUID } from 'node:crypto'
import type { Json } from '../core-exchange.ts'
import { claimOf, effectiveScopes, endOf, isValid, type ClientSession, type Realm, type UserSession } from './realm.ts'
import type { ClientSettings, UserSettings } from './settings.ts'

/** What a token is made from. */
export interface Subject {
  readonly client: ClientSettings
  readonly user: UserSettings
  /** undefined: a service account. */
  readonly session: UserSession | undefined
  /** The session shows in the token; not so where an exchange made one for itself alone. */
  readonly transient?: boolean
  readonly scope: string
  readonly acr: string
  /** How the token comes about: its `jti` says so. */
  readonly by: 'ac' | 'rt' | 'te' | 'cc'
}

/** From audience mappers of the scopes in force, and from roles; `filter` can only take away. */
export const audiencesOf = (realm: Realm, { client, user, scope }: Subject, filter?: readonly string[]): string[] => {
  const mapped = effectiveScopes(scope).flatMap((name) => realm.scopes.get(name)?.audiences ?? [])
  const byRole = client.fullScope ? Object.keys(user.clientRoles).filter((clientId) => clientId !== client.clientId) : []
  const all = [...new Set([...mapped, ...byRole])]
  return filter ? all.filter((audience) => filter.includes(audience)) : all
}

const personal = (user: UserSettings): Json => ({
  email_verified: true,
  name: user.name,
  preferred_username: user.username,
  given_name: user.name.split(' ')[0] ?? '',
  family_name: user.name.split(' ').slice(1).join(' '),
  email: user.email,
})

/** Session, token and grant, two letters each: an online session's regular token by authorization code is `onrtac`. */
const kindOf = ({ session, transient, by }: Subject): string => `${!session || transient ? 'tr' : session.offline ? 'of' : 'on'}rt${by}`

export interface AccessTokenMade {
  readonly token: string
  readonly claims: Json
  readonly expiresIn: number
}

export const accessToken = async (realm: Realm, subject: Subject, now: number, filter?: readonly string[]): Promise<AccessTokenMade> => {
  const { client, user, session, scope, acr } = subject
  const lifespan = client.accessTokenLifespan ?? realm.settings.accessTokenLifespan
  const exp = Math.min(now + lifespan, session ? endOf(realm, session) : Number.POSITIVE_INFINITY)
  const audiences = audiencesOf(realm, subject, filter)
  const roles = Object.entries(user.clientRoles).filter(([clientId]) => !filter || filter.includes(clientId))
  const claims: Json = {
    exp,
    iat: now,
    ...(session && { auth_time: session.authTime }),
    jti: `${kindOf(subject)}:${randomUUID()}`,
    iss: realm.issuer,
    ...(audiences.length > 0 && { aud: audiences.length === 1 ? audiences[0] : audiences }),
    sub: user.id,
    typ: 'Bearer',
    azp: client.clientId,
    ...(session && !subject.transient && { sid: session.id }),
    acr,
    'allowed-origins': [],
    ...(client.fullScope && {
      realm_access: { roles: user.realmRoles },
      ...(roles.length > 0 && { resource_access: Object.fromEntries(roles.map(([id, names]) => [id, { roles: names }])) }),
    }),
    scope: effectiveScopes(scope).join(' '),
    ...personal(user),
    ...(!session && { client_id: client.clientId, clientHost: '127.0.0.1', clientAddress: '127.0.0.1' }),
    // RFC 9068 §2.2.
    ...(client.rfc9068 && { client_id: client.clientId }),
  }
  const token = await realm.keys.sign(claims, client.rfc9068 ? { typ: 'at+jwt' } : {})
  return { token, claims, expiresIn: exp - now }
}

export const idToken = (
  realm: Realm,
  { client, user, session, acr }: Subject,
  access: AccessTokenMade,
  now: number,
  nonce?: string,
): Promise<string> =>
  realm.keys.signAs(client.idTokenAlgorithm, {
    exp: now + access.expiresIn,
    iat: now,
    ...(session && { auth_time: session.authTime, sid: session.id }),
    jti: randomUUID(),
    iss: realm.issuer,
    aud: client.clientId,
    sub: user.id,
    typ: 'ID',
    azp: client.clientId,
    ...(nonce !== undefined && { nonce }),
    at_hash: halfHash(access.token, client.idTokenAlgorithm),
    acr,
    ...personal(user),
  })

/** OpenID Connect Core 1.0 §3.1.3.6: by the hash of the signature's algorithm; for Ed25519 that is SHA-512. */
const halfHash = (token: string, algorithm: string): string => {
  const hash = createHash(algorithm === 'EdDSA' ? 'sha512' : 'sha256')
    .update(token)
    .digest()
  return hash.subarray(0, hash.length / 2).toString('base64url')
}

export interface RefreshTokenMade {
  readonly token: string
  /** 0: it has no end of its own (offline). */
  readonly expiresIn: number
}

/** A JWT only the realm itself can read. `chain` goes on over rotations, so that a reuse is known as one. */
export const refreshToken = (
  realm: Realm,
  { client, user, session, scope, acr }: Subject & { readonly session: UserSession },
  now: number,
  chain: string = randomUUID(),
  more: Json = {},
): RefreshTokenMade => {
  const end = endOf(realm, session)
  const exp = session.offline ? end : Math.min(session.lastRefresh + realm.settings.ssoSessionIdle, end)
  const token = realm.keys.signRefresh({
    ...(Number.isFinite(exp) && { exp }),
    iat: now,
    jti: randomUUID(),
    iss: realm.issuer,
    aud: realm.issuer,
    sub: user.id,
    typ: session.offline ? 'Offline' : 'Refresh',
    azp: client.clientId,
    sid: session.id,
    scope: [...new Set([...effectiveScopes(scope), 'basic', 'acr', 'roles', 'web-origins'])].join(' '),
    acr,
    reuse_id: chain,
    ...more,
  })
  return { token, expiresIn: Number.isFinite(exp) ? exp - now : 0 }
}

/** Members only Keycloak sends, and those everybody sends. */
export const tokenAnswer = (
  realm: Realm,
  subject: Subject,
  made: { readonly access: AccessTokenMade; readonly refresh?: RefreshTokenMade | undefined; readonly idToken?: string | undefined },
): Json => ({
  access_token: made.access.token,
  expires_in: made.access.expiresIn,
  refresh_expires_in: made.refresh?.expiresIn ?? 0,
  ...(made.refresh && { refresh_token: made.refresh.token }),
  token_type: 'Bearer',
  ...(made.idToken !== undefined && { id_token: made.idToken }),
  'not-before-policy': Math.max(realm.settings.notBefore, subject.client.notBefore, subject.user.notBefore),
  ...(subject.session && !subject.transient && { session_state: subject.session.id }),
  scope: effectiveScopes(subject.scope).join(' '),
})

export const userById = (realm: Realm, id: string): UserSettings | undefined => [...realm.users.values()].find((user) => user.id === id)

export interface LiveAccessToken {
  readonly claims: Json
  readonly user: UserSettings
  readonly session: UserSession | undefined
  readonly clientSession: ClientSession | undefined
}

/** What Keycloak itself takes for a good access token: signature, issuer, dates, not-before, user, session and the client's part of it. */
export const liveAccessToken = async (realm: Realm, token: string, now: number): Promise<LiveAccessToken | undefined> => {
  const claims = (await realm.keys.verify(token))?.claims
  if (!claims || claims.iss !== realm.issuer || claims['typ'] !== 'Bearer' || (claims.exp ?? 0) <= now) return undefined
  const client = realm.clients.get(claimOf(claims, 'azp'))
  const user = userById(realm, claimOf(claims, 'sub'))
  if (!client || !user?.enabled || (claims.iat ?? 0) < Math.max(realm.settings.notBefore, client.notBefore, user.notBefore))
    return undefined
  const sessionId = claimOf(claims, 'sid')
  if (sessionId === '') return { claims, user, session: undefined, clientSession: undefined }
  for (const session of [realm.sessions.get(sessionId), realm.offlineSessions.get(sessionId)]) {
    const clientSession = session?.clients.get(client.clientId)
    if (clientSession && isValid(realm, session, now)) return { claims, user, session, clientSession }
  }
  return undefined
}
