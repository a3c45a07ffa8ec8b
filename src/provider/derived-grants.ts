import { SignJWT } from 'jose'
import { customFetch, genericGrantRequest } from 'openid-client'
import type { ServiceAccountKey } from '../domain/key-file.ts'
import type { Ask, TokenAnswer } from '../domain/token.ts'
import type { Secret } from '../kernel/secret.ts'
import { minutes } from '../kernel/time.ts'
import { after, toNumericDate } from '../kernel/time.ts'
import { exchangeParameters, onBehalfOfParameters } from './ask-parameters.ts'
import { decodeJwt, stringOf } from './json.ts'
import type { Room } from './room.ts'
import { answerWithoutGrant, prepare } from './token-endpoint.ts'

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
/** RFC 8693 §3. */
export const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token'

/** RFC 8693 §2.1: a user's token for another audience; with an actor, one that says who acts. */
export const exchange = async (
  room: Room,
  subject: Secret<'access-token'>,
  ask: Ask,
  actor: Secret<'access-token'> | undefined,
): Promise<TokenAnswer> => {
  const ready = await prepare(room)
  if (ready.kind === 'unavailable') return ready
  const now = room.clock.now()
  const parameters = exchangeParameters(ask, room.client.profile)
  parameters.set('subject_token', subject.reveal())
  parameters.set('subject_token_type', ACCESS_TOKEN_TYPE)
  parameters.set('requested_token_type', ACCESS_TOKEN_TYPE)
  if (actor) {
    parameters.set('actor_token', actor.reveal())
    parameters.set('actor_token_type', ACCESS_TOKEN_TYPE)
  }
  const call = await room.call('exchange', ready.metadata, ready.budgetMs, (configuration) =>
    genericGrantRequest(configuration, EXCHANGE, parameters),
  )
  return answerWithoutGrant(room, call, ask, {
    now,
    principal: 'user',
    spent: 'subject-token',
    issuedTokenType: ACCESS_TOKEN_TYPE,
    madeFrom: subject,
  })
}

/** RFC 7523 §2.1 with Entra's `requested_token_use`; providers.md §1.6. */
export const onBehalfOf = async (room: Room, assertion: Secret<'access-token'>, ask: Ask): Promise<TokenAnswer> => {
  // In the tenant of the user, where the provider has several; verified by whoever let the assertion in.
  const ready = await prepare(room, tenantOf(assertion, room))
  if (ready.kind === 'unavailable') return ready
  const now = room.clock.now()
  const parameters = onBehalfOfParameters(ask, room.client.profile)
  parameters.set('assertion', assertion.reveal())
  parameters.set('requested_token_use', 'on_behalf_of')
  const call = await room.call('on_behalf_of', ready.metadata, ready.budgetMs, (configuration) =>
    genericGrantRequest(configuration, JWT_BEARER, parameters),
  )
  return answerWithoutGrant(room, call, ask, { now, principal: 'user', spent: 'assertion', madeFrom: assertion })
}

const tenantOf = (assertion: Secret<'access-token'>, { client }: Room): string | undefined => {
  const name = client.profile.claims.tenant
  const payload = decodeJwt(assertion.reveal())?.payload
  return name === undefined || !payload ? undefined : stringOf(payload, name)
}

/** Google takes at most an hour; ours is used at once. */
const ASSERTION_LIFE = minutes(5)

/**
 * A service account's assertion that names a user (Google: domain-wide delegation). It is the only proof: no client authentication goes along, and the
 * gateway's own credential is never shown to this endpoint.
 */
export const serviceAccount = async (room: Room, key: ServiceAccountKey, subject: string, ask: Ask): Promise<TokenAnswer> => {
  const ready = await prepare(room)
  if (ready.kind === 'unavailable') return ready
  const now = room.clock.now()
  const assertion = await new SignJWT({ scope: ask.scopes.join(' ') })
    .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: key.keyId })
    .setIssuer(key.email)
    .setSubject(subject)
    .setAudience(key.tokenEndpoint.href)
    .setIssuedAt(toNumericDate(now))
    .setExpirationTime(toNumericDate(after(now, ASSERTION_LIFE)))
    .sign(key.privateKey)
  const call = await room.call('service_account', ready.metadata, ready.budgetMs, async (configuration) => {
    const send = configuration[customFetch]
    await send?.(key.tokenEndpoint.href, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8', accept: 'application/json' },
      body: new URLSearchParams({ grant_type: JWT_BEARER, assertion }),
      redirect: 'manual',
    })
  })
  return answerWithoutGrant(room, call, ask, { now, principal: 'elsewhere', spent: 'assertion' })
}
