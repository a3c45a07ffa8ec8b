import type { BearerCaller } from '../domain/caller.ts'
import type { CallerFacts, ProviderProfile } from '../domain/profile.ts'
import type { Claims, TokenPrincipal } from '../domain/token.ts'
import { isObject, stringOf } from './json.ts'

/**
 * Whose rights a token carries, by what it says itself; undefined: it does not say. RFC 9068 §2.2: without a user, `sub` is the client. RFC 8693 §4.1: `act`
 * names who acts for the user.
 */
export const principalOf = (claims: Claims, clientId: string, profile: ProviderProfile): TokenPrincipal | undefined => {
  const type = stringOf(claims, 'idtyp')
  if (type === 'app' || stringOf(claims, 'sub') === clientId || isApplication(claims, profile.callers)) return 'application'
  if (isObject(claims['act'])) return 'user-through-application'
  const { userClaim } = profile.accessToken
  const isUser = type === 'user' || (userClaim !== undefined && stringOf(claims, userClaim) !== undefined)
  return isUser || showsUser(claims, profile.callers) ? 'user' : undefined
}

/** As in tokens that callers bring; not where an application's marks are there as well (Keycloak: client credentials that begin a session). */
const showsUser = (claims: Claims, { userClaims, application }: CallerFacts): boolean =>
  userClaims.some((name) => Object.hasOwn(claims, name)) && !application.some((marks) => bears(claims, marks, clientOf(claims) ?? ''))

/** RFC 9068 §2.2; before it everybody had a name of their own. */
export const clientOf = (claims: Claims): string | undefined =>
  stringOf(claims, 'client_id') ?? stringOf(claims, 'azp') ?? stringOf(claims, 'appid') ?? stringOf(claims, 'cid')

/** Without a user, `sub` is the client (RFC 9068 §2.2), or the profile knows another sign. */
export const isApplication = (claims: Claims, { userClaims, application }: CallerFacts): boolean => {
  const client = clientOf(claims)
  if (client === undefined) return false // no rule could name it
  const type = stringOf(claims, 'idtyp')
  if (type !== undefined) return type === 'app'
  if (userClaims.some((name) => Object.hasOwn(claims, name))) return false
  return stringOf(claims, 'sub') === client || application.some((marks) => bears(claims, marks, client))
}

/**
 * Whom a caller's token stands for; undefined: it cannot be told for certain, and to guess would be to mix them up (spec §1, rule 3). Where users' tokens are
 * known by a claim, one without it is no user's.
 */
export const callerKind = (claims: Claims, facts: CallerFacts): BearerCaller['kind'] | undefined => {
  if (isApplication(claims, facts)) return 'application'
  const type = stringOf(claims, 'idtyp')
  if (type !== undefined) return type === 'user' ? 'user' : undefined // Entra knows devices as well
  return facts.userClaims.length === 0 || facts.userClaims.some((name) => Object.hasOwn(claims, name)) ? 'user' : undefined
}

/** `{sub}` stands for the value of another claim, `{client}` for the application's name, `*` for any text. */
const bears = (claims: Claims, marks: CallerFacts['application'][number], client: string): boolean =>
  Object.entries(marks).every(([name, wanted]) => {
    const value = stringOf(claims, name)
    if (value === undefined || value === '') return false
    return wanted === '*' || value === wanted.replace('{client}', () => client).replace('{sub}', () => stringOf(claims, 'sub') ?? '')
  })
