import { createHash } from 'node:crypto'
import { type Exchange, type Json, jsonReply, type Reply } from '../core-exchange.ts'
import { tokenExchange } from './exchange.ts'
import {
  checkScopes,
  claimOf,
  type ClientSession,
  isValid,
  missingConsents,
  newClientSession,
  newUserSession,
  type Realm,
  refuse,
  secondsOf,
  type UserSession,
  wordsOf,
} from './realm.ts'
import { userOf } from './defaults.ts'
import type { ClientSettings, UserSettings } from './settings.ts'
import { accessToken, idToken, refreshToken, tokenAnswer, userById } from './tokens.ts'
import { checkReuse } from './reuse.ts'

export const NO_CONSENT = 'Client no longer has requested consent from user'

export const tokenEndpoint = async (realm: Realm, client: ClientSettings, exchange: Exchange): Promise<Reply> => {
  const grant = exchange.form.get('grant_type')
  switch (grant) {
    case null:
      throw refuse('invalid_request', 'Missing form parameter: grant_type')
    case 'authorization_code':
      return jsonReply(await redeemCode(realm, client, exchange))
    case 'refresh_token':
      return jsonReply(await refresh(realm, client, exchange))
    case 'client_credentials':
      return jsonReply(await clientCredentials(realm, client, exchange))
    case 'urn:ietf:params:oauth:grant-type:token-exchange':
      return jsonReply(await tokenExchange(realm, client, exchange))
    default:
      throw refuse('unsupported_grant_type', 'Unsupported grant_type')
  }
}

const redeemCode = async (realm: Realm, client: ClientSettings, { form, now: nowMs }: Exchange): Promise<Json> => {
  const now = secondsOf(nowMs)
  const text = form.get('code')
  if (text === null) throw refuse('invalid_request', 'Missing parameter: code')
  const code = realm.codes.get(text)
  realm.codes.delete(text)
  if (!code) {
    // `<random>.<session>.<client>`: a code that is used again takes the client out of that session, with all its refresh tokens.
    const [, sessionId = '', clientId = ''] = text.split('.')
    realm.sessions.get(sessionId)?.clients.delete(clientId)
    throw refuse('invalid_grant', 'Code not valid')
  }
  if (now >= code.expiresAt) throw refuse('invalid_grant', 'Code is expired')
  const session = realm.sessions.get(code.sessionId)
  const clientSession = session?.clients.get(code.clientId)
  if (!session || !clientSession) throw refuse('invalid_grant', 'User session not found')
  const { user } = session
  if (!user.enabled) throw refuse('invalid_grant', 'User disabled')
  if (form.get('redirect_uri') !== code.redirectUri) throw refuse('invalid_grant', 'Incorrect redirect_uri')
  if (client.clientId !== code.clientId) throw refuse('invalid_grant', 'Auth error: Found different client_id in clientSession')
  if (!isValid(realm, session, now)) throw refuse('invalid_grant', 'Session not active')
  checkVerifier(code.challenge, code.challengeMethod, form.get('code_verifier'))
  if (missingConsents(client, user, code.scope).length > 0) throw refuse('invalid_scope', NO_CONSENT)

  const { scope } = code
  const isOffline = wordsOf(scope).includes('offline_access')
  if (isOffline && !user.realmRoles.includes('offline_access'))
    throw refuse('not_allowed', 'Offline tokens not allowed for the user or client')
  session.lastRefresh = now
  const lasting = isOffline ? offlineOf(realm, session, clientSession, now) : session
  const subject = { client, user, session: lasting, scope, acr: clientSession.acr, by: 'ac' as const }
  const access = await accessToken(realm, subject, now)
  const refresh = refreshToken(realm, subject, now)
  const id = wordsOf(scope).includes('openid') ? await idToken(realm, subject, access, now, code.nonce) : undefined
  return tokenAnswer(realm, subject, { access, refresh, idToken: id })
}

const checkVerifier = (challenge: string | undefined, method: string | undefined, verifier: string | null): void => {
  if (challenge === undefined) {
    if (verifier !== null) throw refuse('invalid_grant', 'PKCE code verifier specified but challenge not present in authorization')
    return
  }
  if (verifier === null) throw refuse('invalid_grant', 'PKCE code verifier not specified')
  if (!/^[A-Za-z0-9\-._~]{43,128}$/.test(verifier)) throw refuse('invalid_grant', 'PKCE verification failed: Invalid code verifier')
  const made = method === 'S256' ? createHash('sha256').update(verifier).digest('base64url') : verifier
  if (made !== challenge) throw refuse('invalid_grant', 'PKCE verification failed: Code mismatch')
}

/** The offline session has the id of the one it was made in, and takes its place: nobody is signed in at Keycloak by it. */
const offlineOf = (realm: Realm, from: UserSession, { clientId, scope, acr }: ClientSession, now: number): UserSession => {
  const found = realm.offlineSessions.get(from.id)
  const session = found ?? newUserSession(from.user, now, { offline: true, id: from.id, authTime: from.authTime })
  realm.offlineSessions.set(session.id, session)
  session.lastRefresh = now
  session.clients.set(clientId, newClientSession(clientId, scope, acr, now))
  from.clients.delete(clientId)
  if (from.clients.size === 0) realm.sessions.delete(from.id)
  return session
}

const refresh = async (realm: Realm, client: ClientSettings, { form, now: nowMs }: Exchange): Promise<Json> => {
  const now = secondsOf(nowMs)
  const text = form.get('refresh_token')
  if (text === null) throw refuse('invalid_request', 'No refresh token')
  const asked = form.get('scope')
  if (!checkScopes(client, asked)) throw refuse('invalid_scope', `Invalid scopes: ${asked ?? ''}`)

  // 1. The token itself.
  const claims = realm.keys.readRefresh(text)
  const type = claims?.['typ']
  if (!claims || (type !== 'Refresh' && type !== 'Offline') || claims.iss !== realm.issuer)
    throw refuse('invalid_grant', 'Invalid refresh token')
  const issuedAt = claims.iat ?? 0
  if (issuedAt < realm.settings.notBefore) throw refuse('invalid_grant', 'Stale token')
  if (claims.exp !== undefined && claims.exp <= now) throw refuse('invalid_grant', 'Token is not active')
  if (claims['azp'] !== client.clientId)
    throw refuse('invalid_grant', "Invalid refresh token. Token client and authorized client don't match")

  // 2. What it stands for.
  const offline = type === 'Offline'
  const session = (offline ? realm.offlineSessions : realm.sessions).get(claimOf(claims, 'sid'))
  if (offline && !session) throw refuse('invalid_grant', 'Offline user session not found')
  if (!isValid(realm, session, now)) throw refuse('invalid_grant', offline ? 'Offline session not active' : 'Session not active')
  const { user } = session
  if (!user.enabled) throw refuse('invalid_grant', 'User disabled')
  const clientSession = session.clients.get(client.clientId)
  if (!clientSession) throw refuse('invalid_grant', "Session doesn't have required client")
  if (issuedAt < Math.max(client.notBefore, user.notBefore)) throw refuse('invalid_grant', 'Stale token')
  // A scope that was not granted before is no error here: it is left out without a word.
  const granted = wordsOf(claimOf(claims, 'scope'))
  const scope = (asked === null ? granted : granted.filter((word) => wordsOf(asked).includes(word))).join(' ')
  if (missingConsents(client, user, scope).length > 0) throw refuse('invalid_scope', NO_CONSENT)

  // 3. Once, or as often as the realm allows.
  if (realm.settings.revokeRefreshToken) checkReuse(realm, session, clientSession, claims, now)
  session.lastRefresh = now
  const subject = { client, user, session, scope, acr: clientSession.acr, by: 'rt' as const }
  const filter = claims['requested_audience'] as readonly string[] | undefined
  const access = await accessToken(realm, subject, now, filter)
  const next = refreshToken(realm, { ...subject, scope: claimOf(claims, 'scope') }, now, claimOf(claims, 'reuse_id'), {
    ...(filter && { requested_audience: filter }),
  })
  // By the scope of the token that was spent, not by what is left of it. No nonce: that belonged to the login.
  const id = granted.includes('openid') ? await idToken(realm, subject, access, now) : undefined
  return tokenAnswer(realm, subject, { access, refresh: next, idToken: id })
}

const serviceAccounts = new WeakMap<Realm, Map<string, UserSettings>>()
/** Each client with service accounts has a user of its own behind it. */
export const serviceAccountOf = (realm: Realm, clientId: string): UserSettings => {
  const accounts = serviceAccounts.get(realm) ?? new Map<string, UserSettings>()
  serviceAccounts.set(realm, accounts)
  const username = `service-account-${clientId}`
  const found = accounts.get(clientId) ?? [...realm.users.values()].find((user) => user.username === username) ?? userOf(username, '')
  accounts.set(clientId, found)
  realm.users.set(username, found)
  return found
}

const clientCredentials = async (realm: Realm, client: ClientSettings, { form, now: nowMs }: Exchange): Promise<Json> => {
  const now = secondsOf(nowMs)
  if (client.authenticator === 'public') throw refuse('unauthorized_client', 'Public client not allowed to retrieve service account', 401)
  if (!client.serviceAccount) throw refuse('unauthorized_client', 'Client not enabled to retrieve service account', 401)
  const scope = form.get('scope') ?? ''
  if (!checkScopes(client, scope)) throw refuse('invalid_scope', `Invalid scopes: ${scope}`)
  const user = serviceAccountOf(realm, client.clientId)
  if (!user.enabled || userById(realm, user.id) === undefined) throw refuse('invalid_request', 'User not found or disabled')
  const subject = { client, user, session: undefined, scope, acr: '1', by: 'cc' as const }
  return tokenAnswer(realm, subject, { access: await accessToken(realm, subject, now) })
}
