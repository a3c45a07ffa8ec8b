import type { ProviderProfile } from '../domain/provider.ts'
import type { Ask, Claims, TokenPrincipal } from '../domain/token.ts'
import type { Secret } from '../kernel/secret.ts'
import { decodeJwt, stringOf } from './json.ts'
import { principalOf } from './principal.ts'
import { isGuid } from './tenants.ts'

export type AccessTokenCheck = 'access-token-audience' | 'access-token-principal'

/**
 * What can be read of an access token must not contradict the ask. It is opaque to its client (RFC 9068 §6), so only a contradiction counts:
 * a token that is no JWT, or says nothing, passes.
 */
export const checkAccessToken = (
  token: Secret<'access-token'>,
  ask: Ask,
  want: { readonly principal: 'user' | 'app'; readonly clientId: string; readonly profile: ProviderProfile },
): AccessTokenCheck | undefined => {
  const payload = decodeJwt(token.reveal())?.payload
  // Where every token for an API can be read, one that cannot is for none: Auth0 passes over an audience it does not grant, and says nothing.
  if (!payload)
    return ask.audience !== undefined && want.profile.accessToken.alwaysReadable && !isEncrypted(token)
      ? 'access-token-audience'
      : undefined
  const standsFor = principalOf(payload, want.clientId, want.profile)
  if (standsFor !== undefined && (standsFor === 'application') !== (want.principal === 'app')) return 'access-token-principal'
  return ask.audience === undefined || isFor(payload, ask.audience, want.profile) ? undefined : 'access-token-audience'
}

/**
 * It is for an API of `others` as well, by the very name, or by its scopes where the ask names nothing else: whoever gets it as one of them could call the
 * other with it. An ask that names nothing at all is for what others are made from, and goes nowhere.
 */
export const opensOthers = (
  { token, scopes: told }: { readonly token: Secret<'access-token'>; readonly scopes: readonly string[] | undefined },
  ask: Ask,
  others: readonly Ask[],
): boolean => {
  if (ask.audience === undefined && ask.scopes.length === 0) return false
  const audiences = [decodeJwt(token.reveal())?.payload['aud']].flat()
  return others.some(({ audience, scopes }) => {
    if (audience !== undefined && audience !== ask.audience && audiences.includes(audience)) return true
    return ask.audience === undefined && scopes.some((scope) => told?.includes(scope) === true && !ask.scopes.includes(scope))
  })
}

/** For the broker to hold against the route; undefined: it does not say, or not to us. */
export const standsForOf = (
  token: Secret<'access-token'>,
  { clientId, profile }: { readonly clientId: string; readonly profile: ProviderProfile },
): TokenPrincipal | undefined => {
  const payload = decodeJwt(token.reveal())?.payload
  return payload && principalOf(payload, clientId, profile)
}

/** `sub` may be another for each API; only names that are the same everywhere can contradict. */
export const isOfAnother = (token: Secret<'access-token'>, madeFrom: Secret<'access-token'>, profile: ProviderProfile): boolean => {
  const [made, source] = [token, madeFrom].map((one) => decodeJwt(one.reveal())?.payload)
  if (!made || !source) return false
  return profile.claims.user.some((name) => {
    const [now, before] = [made, source].map((claims) => stringOf(claims, name))
    return name !== 'iss' && name !== 'sub' && now !== undefined && before !== undefined && now !== before
  })
}

const isFor = (payload: Claims, audience: string, profile: ProviderProfile): boolean => {
  const claim = payload['aud']
  if (claim === undefined) return true
  const audiences = (Array.isArray(claim) ? claim : [claim]).filter((item) => typeof item === 'string')
  if (audiences.includes(audience)) return true
  // Asked by URI, answered by GUID, or the other way round: the same API under its other name, for all that can be seen here.
  return (
    profile.accessToken.audienceMayBeRenamed && audiences.some((item) => isGuid(item) !== isGuid(audience) || sameButSlash(item, audience))
  )
}

const sameButSlash = (a: string, b: string): boolean => a.replace(/\/$/, '') === b.replace(/\/$/, '')

/** A compact JWE (RFC 7516 §7.1): what an API that has its tokens encrypted gets. */
const isEncrypted = (token: Secret<'access-token'>): boolean => token.reveal().split('.').length === 5
