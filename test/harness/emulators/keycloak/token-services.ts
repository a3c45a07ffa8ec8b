import { type Exchange, jsonReply, type Reply } from '../core-exchange.ts'
import { claimOf, isValid, type Realm, refuse, secondsOf, type UserSession, wordsOf } from './realm.ts'
import type { ClientSettings } from './settings.ts'
import { liveAccessToken } from './tokens.ts'

/** RFC 7009. A refresh token takes the client out of its session; an access token is only forgotten, because Keycloak's are good by themselves. */
export const revoke = async (realm: Realm, client: ClientSettings, { form, now }: Exchange): Promise<Reply> => {
  const token = form.get('token')
  if (token === null) throw refuse('invalid_request', 'Token not provided')
  const claims = realm.keys.readRefresh(token)
  const access = claims ? undefined : await liveAccessToken(realm, token, secondsOf(now))
  const owner = claims?.['azp'] ?? access?.claims['azp']
  // Somebody else's: told apart from one that never was, unlike RFC 7009 §2.2 would have it.
  if (owner !== undefined && owner !== client.clientId) throw refuse('invalid_token', 'Unmatching clients')
  if (claims) {
    const id = claimOf(claims, 'sid')
    if (claims['typ'] === 'Offline') detach(realm.offlineSessions, id, client.clientId)
    detach(realm.sessions, id, client.clientId)
  }
  return { status: 200, text: '' }
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
  const claims = realm.keys.readRefresh(token)
  const sessions = claims?.['typ'] === 'Offline' ? realm.offlineSessions : realm.sessions
  const session = claims && sessions.get(claimOf(claims, 'sid'))
  const active = isValid(realm, session, now) && (claims?.exp ?? now + 1) > now && session.clients.has(claimOf(claims ?? {}, 'azp'))
  return jsonReply(active ? { ...claims, active } : { active: false })
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
