import type { Json } from '../core-exchange.ts'
import { claimOf, type ClientSession, type Realm, refuse, type UserSession } from './realm.ts'

/**
 * "Revoke Refresh Token". Keycloak remembers per chain the token that was used last. Another one is taken for newer unless it was issued in a second before
 * that use (seconds: a token of the very same second passes once more); the same one may be used `refreshTokenMaxReuse` times again. Whoever breaks
 * the rule takes the client out of the session, so that the newest token dies as well: it may be the thief's.
 * @throws Refusal
 */
export const checkReuse = (realm: Realm, session: UserSession, clientSession: ClientSession, claims: Json, now: number): void => {
  const chain = claimOf(claims, 'reuse_id')
  const id = claimOf(claims, 'jti')
  const issuedAt = Number(claims['iat'])
  const last = clientSession.uses.get(chain)
  const detach = (description: string): never => {
    session.clients.delete(clientSession.clientId)
    throw refuse('invalid_grant', description)
  }
  if (last && last.id !== id && issuedAt < last.lastRefresh) return detach('Stale token')
  const current = last?.id === id ? last : { id, lastRefresh: now, count: 0 }
  if (current.count > realm.settings.refreshTokenMaxReuse) return detach('Maximum allowed refresh token reuse exceeded')
  current.count += 1
  clientSession.uses.set(chain, current)
}
