import { type Exchange, type Json, jsonReply, type Reply } from '../core-exchange.ts'
import { claimOf, isValid, type Realm, refuse, secondsOf, type UserSession, wordsOf } from './realm.ts'
import type { ClientSettings } from './settings.ts'
import { liveAccessToken } from './tokens.ts'

/** RFC 7009. A refresh token takes the client out of its session; an access token is only forgotten: Keycloak's are good by themselves. No client is told. */
export const revoke = async (realm: Realm, client: ClientSettings, { form, now: nowMs }: Exchange): Promise<Reply> => {
  const now = secondsOf(nowMs)
  const token = form.get('token')
  if (token === null) throw refuse('invalid_request', 'Token not provided')
  const claims = liveRefreshToken(realm, token, now) ?? (await liveAccessToken(realm, token, now))?.claims
  // Success by its status, as RFC 7009 §2.2 has it, and a refusal by its words.
  if (!claims) return jsonReply({ error: 'invalid_token', error_description: 'Invalid token' })
  if (claims['azp'] !== client.clientId) throw refuse('invalid_token', 'Unmatching clients')
  const id = claimOf(claims, 'sid')
  if (claims['typ'] === 'Offline') detach(realm.offlineSessions, id, client.clientId)
  if (claims['typ'] !== 'Bearer') detach(realm.sessions, id, client.clientId)
  return { status: 200, text: '' }
}

const liveRefreshToken = (realm: Realm, token: string, now: number): Json | undefined => {
  const claims = realm.keys.readRefresh(token)
  if (!claims) return undefined
  const session = (claims['typ'] === 'Offline' ? realm.offlineSessions : realm.sessions).get(claimOf(claims, 'sid'))
  return isValid(realm, session, now) && (claims.exp ?? now + 1) > now && session.clients.has(claimOf(claims, 'azp')) ? claims : undefined
}

/** A session nobody has a part in is over, and so are the clients whose tokens came out of this client's. */
const detach = (sessions: Map<string, UserSession>, id: string, clientId: string): void => {
  const session = sessions.get(id)
  if (!session) return
  session.clients.delete(clientId)
  for (const [other, { subjectClients }] of session.clients) if (subjectClients.has(clientId)) session.clients.delete(other)
  if (session.clients.size === 0) sessions.delete(id)
}

/** RFC 7662; of access and refresh tokens. */
export const introspect = async (realm: Realm, client: ClientSettings, { form, now: nowMs }: Exchange): Promise<Reply> => {
  if (client.authenticator === 'public') throw refuse('invalid_request', 'Client not allowed.', 403)
  const now = secondsOf(nowMs)
  const token = form.get('token') ?? ''
  const live = await liveAccessToken(realm, token, now)
  if (live)
    return jsonReply({
      ...live.claims,
      client_id: claimOf(live.claims, 'azp'),
      username: live.user.username,
      token_type: 'Bearer',
      active: true,
    })
  const claims = liveRefreshToken(realm, token, now)
  return jsonReply(claims ? { ...claims, active: true } : { active: false })
}

export const userinfo = async (realm: Realm, { headers, now }: Exchange): Promise<Reply> => {
  const token = /^Bearer (\S+)$/i.exec(headers.authorization ?? '')?.[1]
  const challenge = (error: string, description: string): Reply =>
    jsonReply({ error, error_description: description }, 401, {
      'www-authenticate': `Bearer realm="${realm.settings.name}", error="${error}", error_description="${description}"`,
    })
  if (token === undefined) return challenge('invalid_request', 'Token not provided')
  const live = await liveAccessToken(realm, token, secondsOf(now))
  if (!live) return challenge('invalid_token', 'Token verification failed')
  if (!wordsOf(claimOf(live.claims, 'scope')).includes('openid'))
    return jsonReply({ error: 'insufficient_scope', error_description: 'Missing openid scope' }, 403)
  const { user } = live
  return jsonReply({ sub: user.id, email_verified: true, name: user.name, preferred_username: user.username, email: user.email })
}
