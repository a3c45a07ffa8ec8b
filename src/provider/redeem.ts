import { authorizationCodeGrant } from 'openid-client'
import type { RedeemChecks, Redeemed, SignedIn } from '../domain/provider.ts'
import type { Ask, Claims } from '../domain/token.ts'
import { assertNever } from '../kernel/assert.ts'
import { Secret } from '../kernel/secret.ts'
import { fromNumericDate, seconds } from '../kernel/time.ts'
import type { Instant } from '../kernel/time.ts'
import { checkAccessToken, opensOthers, standsForOf } from './access-token.ts'
import { codeParameters } from './ask-parameters.ts'
import { checkCallback, checkResponse, invalid } from './callback.ts'
import type { Metadata } from './discovery.ts'
import { checkIdToken, lastingClaims } from './id-token.ts'
import { stringOf } from './json.ts'
import type { Room } from './room.ts'
import { grantedScopes, withheld } from './scopes.ts'
import { addressedIn, checkTenant, isForm, issuerOf } from './tenants.ts'
import { denialOf } from './token-outcome.ts'
import { accessTokenOf, parseTokenResponse } from './token-response.ts'
import type { TokenSet } from './token-response.ts'

/** The callback: nothing is sent before everything that can be checked without the provider holds. */
export const redeem = async (room: Room, query: URLSearchParams, checks: RedeemChecks, ask: Ask | undefined): Promise<Redeemed> => {
  // 1. the parameters themselves
  const early = checkCallback(query, checks)
  if (early) return early
  const found = await room.discovery.get()
  if (found.kind === 'unavailable') return { ...found, unspent: true }
  const { metadata } = found
  const answered = checkResponse(query, metadata, room.client.profile)
  if (answered) return answered

  // 2. the keys before the code: a code is spent once, and without keys it would be for nothing
  if (!(await room.keys.ready(metadata.jwksUri))) return { kind: 'unavailable', retryAfter: seconds(5), cause: 'keys', unspent: true }

  // 3. redeem
  const now = room.clock.now()
  const sent = addressedIn(metadata, room.client.profile, room.client.homeTenant)
  const call = await room.call('authorization_code', sent, room.timeoutMs, (configuration) =>
    authorizationCodeGrant(
      configuration,
      callbackUrl(room.client.redirectUri, query, metadata.issuer),
      {
        expectedState: checks.state.reveal(),
        pkceCodeVerifier: checks.verifier.reveal(),
        ...(!isForm(metadata.issuer) && {
          idTokenExpected: true,
          expectedNonce: checks.nonce.reveal(),
          ...(checks.maxAgeSeconds !== undefined && { maxAge: checks.maxAgeSeconds }),
        }),
      },
      codeParameters(ask, room.client.scopes),
    ),
  )
  if (call.exchange.kind === 'failed' || call.exchange.status !== 200) return deniedRedemption(room, call.exchange, now)

  // 4. judge; whatever fails now, tokens are out, and the one that lives long is given back
  const response = parseTokenResponse(call.exchange, now)
  const judged =
    response.parsed.kind === 'bad'
      ? invalid(response.parsed.check)
      : await judge(room, metadata, { tokens: response.parsed.tokens, refreshToken: response.refreshToken, query }, checks, ask, now)
  const verdict = judged.kind === 'signed-in' && !call.accepted ? invalid('response') : judged
  if (verdict.kind !== 'signed-in' && response.refreshToken) await room.revoke(response.refreshToken)
  return verdict
}

/** From configuration, never from the request's Host; openid-client takes the redirect URI from it. */
const callbackUrl = (redirectUri: URL, query: URLSearchParams, issuer: string): URL => {
  const url = new URL(redirectUri)
  url.search = query.toString()
  // Checked before, and not what the library would compare it with.
  if (isForm(issuer)) url.searchParams.delete('iss')
  return url
}

const deniedRedemption = (room: Room, exchange: Parameters<typeof denialOf>[0], now: Instant): Redeemed => {
  const denial = denialOf(exchange, { profile: room.client.profile, spent: 'code', now })
  if (denial.kind === 'unavailable') {
    // "Slow down" and "not now" say that it was not looked at; any other answer may have used it up.
    const unspent =
      denial.sent === 'not-sent' || (denial.sent === 'answered' && (denial.cause === 'throttled' || denial.cause === 'overloaded'))
    return { kind: 'unavailable', retryAfter: denial.retryAfter, cause: denial.cause, unspent }
  }
  switch (denial.reason) {
    case 'code-rejected':
      return invalid('code-rejected')
    case 'credential-rejected':
      return { kind: 'credential-rejected', providerCode: denial.providerCode }
    case 'grant-rejected':
    case 'step-up-required':
    case 'consent-required':
    case 'audience-denied':
      return { kind: 'refused', cancelled: false, providerCode: denial.providerCode }
    default:
      return assertNever(denial.reason)
  }
}

/** The parts of an answer, and the callback it belongs to. */
interface Judged {
  readonly tokens: TokenSet
  readonly refreshToken: Secret<'refresh-token'> | undefined
  readonly query: URLSearchParams
}

const judge = async (
  room: Room,
  metadata: Metadata,
  { tokens, refreshToken, query }: Judged,
  checks: RedeemChecks,
  ask: Ask | undefined,
  now: Instant,
): Promise<Redeemed> => {
  if (!tokens.idToken) return invalid('id-token')
  const verified = await room.keys.verify(tokens.idToken.reveal(), {
    jwksUri: metadata.jwksUri,
    algorithms: metadata.idTokenAlgorithms,
    purpose: 'id-token',
  })
  if (verified.kind === 'no-key') {
    return verified.cause === 'key-unknown'
      ? invalid('key-unknown')
      : { kind: 'unavailable', retryAfter: seconds(5), cause: 'keys', unspent: false }
  }
  if (verified.kind === 'invalid') return invalid(verified.check)
  const { payload: claims, algorithm } = verified
  const issuer = issuerOf(metadata.issuer, claims, room.client.profile)
  const failed = checkIdToken(claims, algorithm, {
    issuer,
    clientId: room.client.clientId,
    now: room.clock.now(),
    nonce: checks.nonce,
    maxAgeSeconds: checks.maxAgeSeconds,
    acrValues: checks.acrValues,
    accessToken: tokens.token,
  })
  if (failed) return invalid(failed)
  const foreign = checkTenant(claims, issuer, room.client)
  if (foreign === 'tenant-refused') return { kind: 'tenant-refused', tenant: tenantOf(claims, room) }
  if (foreign) return invalid(foreign)
  const unusable = ask && checkAccessToken(tokens.token, ask, { principal: 'user', ...room.client })
  if (unusable === 'access-token-principal') return invalid(unusable)
  if (unusable)
    room.log.warn(
      { provider: room.name, ...(ask.audience !== undefined && { audience: ask.audience }), code: unusable },
      'access token of the login is for another audience',
    )
  if (!refreshToken) room.log.info({ provider: room.name }, 'login yielded no refresh token: offline_access may need consent')
  const isWhole = ask !== undefined && !unusable && withheld(tokens.scopes, ask, room.client.profile).length === 0
  // Not every provider lets a code ask for one audience: at Keycloak what comes is for all APIs that were signed in for. A refresh asks for less.
  const isTooBroad = isWhole && refreshToken !== undefined && canNarrow(ask, room) && opensOthers(tokens, ask, room.client.scopes.userAsks)
  const scopes = grantedScopes(tokens.scopes, [...room.client.scopes.loginScopes, ...(ask?.scopes ?? [])], room.client.scopes.loginScopes)
  return signedIn(room, {
    claims: room.groups ? await room.groups.resolve(metadata, claims, refreshToken, true) : claims,
    query,
    tokens,
    refreshToken,
    scopes,
    access: isWhole && !isTooBroad ? accessTokenOf(tokens, ask, now, standsForOf(tokens.token, room.client)) : undefined,
  })
}

/** Whether a refresh for this ask says what it is for. */
const canNarrow = (ask: Ask, { client: { profile } }: Room): boolean =>
  profile.target !== 'scope' || (ask.scopes.length > 0 && profile.login.refreshScope === 'narrow')

const tenantOf = (claims: Claims, { client }: Room): string | undefined => {
  const name = client.profile.claims.tenant
  return name === undefined ? undefined : stringOf(claims, name)
}

/** By the first name that there is. The parameter of the callback is not signed, but it came with this browser's `state`: who bends it bends their own. */
const providerSessionOf = ({ client }: Room, claims: Claims, query: URLSearchParams): string | undefined =>
  client.profile.claims.providerSession
    .map((name) => (name === 'sid' ? stringOf(claims, name) : (query.get(name) ?? undefined)))
    .find((sid) => sid !== undefined && sid.length > 0 && sid.length <= 255)

const signedIn = (
  room: Room,
  parts: Pick<SignedIn, 'claims' | 'refreshToken' | 'scopes' | 'access'> & Pick<Judged, 'tokens' | 'query'>,
): SignedIn => {
  const { claims, tokens, refreshToken, scopes, access } = parts
  const authTime = claims['auth_time']
  const sid = providerSessionOf(room, claims, parts.query)
  return {
    kind: 'signed-in',
    issuer: stringOf(claims, 'iss') ?? '',
    subject: stringOf(claims, 'sub') ?? '',
    tenant: tenantOf(claims, room),
    providerSessionId: sid,
    authTime: typeof authTime === 'number' ? fromNumericDate(authTime) : undefined,
    issuedAt: fromNumericDate(Number(claims['iat'])),
    claims: lastingClaims(claims),
    idToken: room.client.profile.logoutHint === 'id-token' ? tokens.idToken : undefined,
    refreshToken,
    refreshEndsAt: refreshToken && tokens.refreshEndsAt,
    scopes,
    access,
  }
}
