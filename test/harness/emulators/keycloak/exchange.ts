import type { Exchange, Json } from '../core-exchange.ts'
import { checkScopes, claimOf, missingConsents, newClientSession, type Realm, refuse, secondsOf, wordsOf } from './realm.ts'
import type { ClientSettings } from './settings.ts'
import { accessToken, audiencesOf, idToken, liveAccessToken, refreshToken, tokenAnswer } from './tokens.ts'

const TYPE = 'urn:ietf:params:oauth:token-type:'
const invalid = (description: string) => refuse('invalid_request', description)

/** Standard token exchange (version 2): from one access token of this realm to another, never to more than scopes and roles give. */
export const tokenExchange = async (realm: Realm, client: ClientSettings, { form, now: nowMs }: Exchange): Promise<Json> => {
  const now = secondsOf(nowMs)
  // 1. Is this an exchange the realm knows at all?
  for (const name of ['requested_subject', 'requested_issuer', 'subject_issuer'])
    if (form.has(name)) throw invalid(`Parameter '${name}' is not supported for standard token exchange`)
  if (client.authenticator === 'public') throw refuse('invalid_client', 'Public client is not allowed to exchange token')
  if (!client.tokenExchange) throw invalid('Standard token exchange is not enabled for the requested client')
  const subjectToken = form.get('subject_token')
  const subjectTokenType = form.get('subject_token_type')
  if (subjectToken === null) throw invalid("Parameter 'subject_token' required for standard token exchange")
  if (subjectTokenType === null) throw invalid("Parameter 'subject_token_type' required for standard token exchange")
  if (subjectTokenType !== `${TYPE}access_token`) throw invalid("Parameter 'subject_token' supports access tokens only")

  // 2. Whose token is it, and may this client bring it?
  const subject = await liveAccessToken(realm, subjectToken, now)
  if (!subject) throw invalid('Invalid token')
  const requested = form.get('requested_token_type') ?? `${TYPE}access_token`
  const isRefresh = requested === `${TYPE}refresh_token`
  if (![`${TYPE}access_token`, `${TYPE}id_token`].includes(requested) && !(isRefresh && client.tokenExchangeRefresh))
    throw invalid('requested_token_type unsupported')
  const audiences = form.getAll('audience')
  for (const audience of audiences) {
    const target = realm.clients.get(audience)
    if (!target) throw refuse('invalid_client', 'Audience not found')
    if (!target.enabled) throw refuse('invalid_client', 'Client disabled')
  }
  const { claims, user, session } = subject
  if (claims['azp'] !== client.clientId && ![claims['aud'] ?? []].flat().includes(client.clientId))
    throw refuse('access_denied', 'Client is not within the token audience', 403)

  // 3. What it may become.
  const scope = form.get('scope') ?? ''
  if (!checkScopes(client, scope)) throw refuse('invalid_scope', `Invalid scopes: ${scope}`)
  if (isRefresh && (!session || session.offline))
    throw invalid('Refresh token not valid as requested_token_type because creating a new session is needed')
  if (isRefresh && wordsOf(scope).includes('offline_access')) throw invalid('Scope offline_access not allowed for token exchange')
  if (missingConsents(client, user, scope).length > 0)
    throw refuse('invalid_scope', `Missing consents for Token Exchange in client ${client.clientId}`)
  const own = session?.offline ? undefined : session?.clients.get(client.clientId)
  const acr = claimOf(claims, 'acr') || '1'
  // A session the client has no part in, or an offline one, shows in no token that comes out of an exchange.
  const made = { client, user, session, scope, acr, by: 'te' as const, transient: !own && !isRefresh }
  const filter = audiences.length > 0 ? audiences : undefined
  const available = audiencesOf(realm, made)
  const missing = audiences.filter((audience) => !available.includes(audience))
  if (missing.length > 0) throw invalid(`Requested audience not available: ${missing.join(', ')}`)

  // 4. The answer. Nobody's refresh token is touched by it.
  if (isRefresh && session && !own) session.clients.set(client.clientId, newClientSession(client.clientId, scope, acr, now))
  session?.clients.get(client.clientId)?.subjectClients.add(claimOf(claims, 'azp'))
  const access = await accessToken(realm, made, now, filter)
  if (requested === `${TYPE}id_token`)
    return {
      ...tokenAnswer(realm, made, { access }),
      access_token: await idToken(realm, made, access, now),
      token_type: 'N_A',
      issued_token_type: requested,
    }
  const refresh =
    isRefresh && session
      ? refreshToken(realm, { ...made, session }, now, undefined, filter ? { requested_audience: filter } : {})
      : undefined
  const id = wordsOf(scope).includes('openid') ? await idToken(realm, made, access, now) : undefined
  return { ...tokenAnswer(realm, made, { access, refresh, idToken: id }), issued_token_type: requested }
}
