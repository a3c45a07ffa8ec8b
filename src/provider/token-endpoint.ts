import { performance } from 'node:perf_hooks'
import { clientCredentialsGrant, refreshTokenGrant } from 'openid-client'
import { SERVICE_ACCOUNTS } from '../domain/profiles/profiles.ts'
import type { KnownIdentity, ProviderProfile } from '../domain/provider.ts'
import type { Ask, Claims, TokenAnswer } from '../domain/token.ts'
import type { Secret } from '../kernel/secret.ts'
import { millis, seconds } from '../kernel/time.ts'
import type { Instant, Millis } from '../kernel/time.ts'
import { checkAccessToken, isOfAnother, standsForOf } from './access-token.ts'
import { applicationParameters, refreshParameters } from './ask-parameters.ts'
import type { Call } from './call.ts'
import type { Metadata } from './discovery.ts'
import type { Exchange } from './fetch.ts'
import { checkIdToken, concernsIdentity, lastingClaims } from './id-token.ts'
import { decodeJwt } from './json.ts'
import type { Room } from './room.ts'
import { denialOf } from './token-outcome.ts'
import type { Spent } from './token-outcome.ts'
import { withheld } from './scopes.ts'
import { checkTenant, issuerOf, metadataIn, tenantIn } from './tenants.ts'
import { accessTokenOf, parseTokenResponse } from './token-response.ts'
import type { TokenSet } from './token-response.ts'

type Violation = Extract<TokenAnswer, { kind: 'violation' }>
type Unavailable = Extract<TokenAnswer, { kind: 'unavailable' }>

/** RFC 6749 §6. What is known of the refresh token's fate afterwards is exact, because a second use of a spent one can end the session. */
export const refresh = async (room: Room, refreshToken: Secret<'refresh-token'>, ask: Ask, known: KnownIdentity): Promise<TokenAnswer> => {
  // Of several tenants, the one of the sign-in: a refresh must not leave it.
  const ready = await prepare(room, tenantIn(known.issuer))
  if (ready.kind === 'unavailable') return ready
  const now = room.clock.now()
  const parameters = refreshParameters(ask, known.scopes ?? room.client.scopes.loginScopes, room.client.scopes)
  const call = await room.call('refresh', ready.metadata, ready.budgetMs, (configuration) =>
    refreshTokenGrant(configuration, refreshToken.reveal(), parameters),
  )
  if (call.exchange.kind === 'failed' || call.exchange.status !== 200)
    return denied(room.client.profile, call.exchange, 'refresh-token', now)

  const response = parseTokenResponse(call.exchange, now)
  if (response.isSuccessorUnread) return { kind: 'unavailable', sent: 'unknown', retryAfter: seconds(5), cause: 'response' }
  // The same token again is no rotation: there is nothing new to store.
  const rotated = response.refreshToken?.equals(refreshToken) ? undefined : response.refreshToken
  const violation = (concerns: Violation['concerns'], check: string): Violation => ({
    kind: 'violation',
    concerns,
    check,
    refreshToken: rotated,
  })
  if (response.parsed.kind === 'bad') return violation('audience', response.parsed.check)
  const { tokens } = response.parsed
  const identity = await judgeIdToken(room, ready.metadata, tokens, known, rotated ?? refreshToken)
  if (identity.kind === 'violation') return violation(identity.concerns, identity.check)
  const unusable = checkAccessToken(tokens.token, ask, { principal: 'user', ...room.client })
  if (unusable) return violation('audience', unusable)
  // Ours is the stricter reading; what only the library objects to is refused all the same.
  if (!call.accepted) return violation('audience', 'response')
  // Only where refresh tokens stay as they are, or the successor would be lost with the refusal.
  if (!rotated && withheld(tokens.scopes, ask, room.client.profile).length > 0)
    return { kind: 'refused', reason: 'consent-required', providerCode: 'scope-not-granted' }
  return {
    kind: 'issued',
    access: accessTokenOf(tokens, ask, now, standsForOf(tokens.token, room.client)),
    refreshToken: rotated,
    refreshEndsAt: tokens.refreshEndsAt,
    claims: identity.claims,
    idToken: identity.claims && room.client.profile.logoutHint === 'id-token' ? tokens.idToken : undefined,
  }
}

/** RFC 6749 §4.4: the application itself. */
export const application = async (room: Room, ask: Ask): Promise<TokenAnswer> => {
  const ready = await prepare(room)
  if (ready.kind === 'unavailable') return ready
  const now = room.clock.now()
  const parameters = applicationParameters(ask, room.client.profile)
  const call = await room.call('client_credentials', ready.metadata, ready.budgetMs, (configuration) =>
    clientCredentialsGrant(configuration, parameters),
  )
  return answerWithoutGrant(room, call, ask, { now, principal: 'app', spent: 'nothing' })
}

/** What a grant came to that leaves nothing behind but one access token: a refresh token or ID token that comes along is dropped. */
export const answerWithoutGrant = (
  room: Room,
  call: Call,
  ask: Ask,
  want: {
    /** When it was sent. */
    readonly now: Instant
    /** `elsewhere`: another issuer's token, which ours says nothing about. */
    readonly principal: 'user' | 'app' | 'elsewhere'
    readonly spent: Exclude<Spent, 'code' | 'refresh-token'>
    /** RFC 8693 §2.2.1: `issued_token_type` must be this very one. */
    readonly issuedTokenType?: string
    /** What it was made from: of the same user, where the profile knows a name that is the same for every client. */
    readonly madeFrom?: Secret<'access-token'>
  },
): TokenAnswer => {
  const { now } = want
  const profile = want.principal === 'elsewhere' ? SERVICE_ACCOUNTS : room.client.profile
  if (call.exchange.kind === 'failed' || call.exchange.status !== 200) return denied(profile, call.exchange, want.spent, now)
  const { parsed } = parseTokenResponse(call.exchange, now)
  const violation = (check: string): Violation => ({ kind: 'violation', concerns: 'audience', check, refreshToken: undefined })
  if (parsed.kind === 'bad') return violation(parsed.check)
  if (want.issuedTokenType !== undefined && parsed.tokens.issuedTokenType !== want.issuedTokenType) return violation('issued-token-type')
  const { principal } = want
  const unusable = principal === 'elsewhere' ? undefined : checkAccessToken(parsed.tokens.token, ask, { principal, ...room.client })
  if (unusable) return violation(unusable)
  if (want.madeFrom && isOfAnother(parsed.tokens.token, want.madeFrom, room.client.profile)) return violation('access-token-subject')
  // Ours is the stricter reading; what only the library objects to is refused all the same.
  if (!call.accepted) return violation('response')
  const standsFor = principal === 'elsewhere' ? undefined : standsForOf(parsed.tokens.token, room.client)
  const access = accessTokenOf(parsed.tokens, ask, now, standsFor)
  return { kind: 'issued', access, refreshToken: undefined, refreshEndsAt: undefined, claims: undefined, idToken: undefined }
}

type Ready = { readonly kind: 'ready'; readonly metadata: Metadata; readonly budgetMs: Millis } | Unavailable

/**
 * Discovery takes its time out of the request's: the spending mark names one timeout, and nothing may be sent after it.
 * @param tenant whose endpoints, where the provider has several; unless given, that of the client itself
 */
export const prepare = async (room: Room, tenant: string | undefined = room.client.homeTenant): Promise<Ready> => {
  const startedAt = performance.now()
  const found = await room.discovery.get()
  if (found.kind === 'unavailable') return { ...found, sent: 'not-sent' }
  const budgetMs = millis(room.timeoutMs - (performance.now() - startedAt))
  if (budgetMs <= 0) return { kind: 'unavailable', sent: 'not-sent', retryAfter: seconds(1), cause: 'timeout' }
  return { kind: 'ready', metadata: metadataIn(found.metadata, room.client.profile, tenant), budgetMs }
}

const denied = (profile: ProviderProfile, exchange: Exchange, spent: Exclude<Spent, 'code'>, now: Instant): TokenAnswer => {
  // Nothing usable is loaded: our own fault. As a provider that is away it would be waited for, longer each time, when it is there again.
  if (exchange.kind === 'failed' && exchange.cause === 'no-credential')
    return { kind: 'refused', reason: 'credential-rejected', providerCode: exchange.cause }
  const denial = denialOf(exchange, { profile, spent, now })
  if (denial.kind === 'unavailable') return denial
  if (denial.reason === 'code-rejected') throw new Error('no code was sent')
  return { kind: 'refused', reason: denial.reason, providerCode: denial.providerCode }
}

type Identity =
  | { readonly kind: 'kept'; readonly claims: Claims | undefined }
  | { readonly kind: 'violation'; readonly concerns: Violation['concerns']; readonly check: string }

/**
 * A refresh may bring a new ID token (OpenID Connect Core 1.0 §12.2). One that contradicts the session condemns the answer, verified or not. One whose
 * key cannot be had is put aside, as if none had come: the provider could have sent none, and the rotated refresh token is worth more than news of claims.
 */
const judgeIdToken = async (
  room: Room,
  metadata: Metadata,
  tokens: TokenSet,
  known: KnownIdentity,
  refreshToken: Secret<'refresh-token'>,
): Promise<Identity> => {
  if (!tokens.idToken) return { kind: 'kept', claims: undefined }
  const text = tokens.idToken.reveal()
  const decoded = decodeJwt(text)
  if (!decoded) return { kind: 'violation', concerns: 'audience', check: 'id-token' }
  const algorithm = typeof decoded.header['alg'] === 'string' ? decoded.header['alg'] : undefined
  const { clientId, profile } = room.client
  const issuer = issuerOf(metadata.issuer, decoded.payload, profile)
  const failed = checkIdToken(decoded.payload, algorithm, { issuer, clientId, now: room.clock.now(), known, accessToken: tokens.token })
  if (failed) return { kind: 'violation', concerns: concernsIdentity(failed) ? 'session' : 'audience', check: failed }
  // Also a tenant that was taken from the list since the sign-in.
  const foreign = checkTenant(decoded.payload, issuer, room.client)
  if (foreign) return { kind: 'violation', concerns: 'session', check: foreign }

  const verified = await room.keys.verify(text, { jwksUri: metadata.jwksUri, algorithms: metadata.idTokenAlgorithms, purpose: 'id-token' })
  switch (verified.kind) {
    case 'verified':
      return { kind: 'kept', claims: await withGroups(room, metadata, verified.payload, refreshToken) }
    case 'invalid':
      return { kind: 'violation', concerns: 'session', check: verified.check }
    case 'no-key':
      room.log.warn({ provider: room.name, cause: verified.cause }, 'refreshed ID token put aside: its key is not available')
      return { kind: 'kept', claims: undefined }
  }
}

const withGroups = async (room: Room, metadata: Metadata, claims: Claims, refreshToken: Secret<'refresh-token'>): Promise<Claims> =>
  lastingClaims(room.groups ? await room.groups.resolve(metadata, claims, refreshToken, false) : claims)
