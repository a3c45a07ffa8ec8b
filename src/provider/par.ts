import { performance } from 'node:perf_hooks'
import { buildAuthorizationUrlWithPAR } from 'openid-client'
import type { Authorization } from '../domain/provider.ts'
import { seconds } from '../kernel/time.ts'
import { authorizationParameters, authorizationUrl } from './authorize.ts'
import type { AuthorizationRequest } from './authorize.ts'
import type { Metadata } from './discovery.ts'
import type { Exchange } from './fetch.ts'
import { isJsonType, parseObject, stringOf } from './json.ts'
import type { Room } from './room.ts'
import { denialOf } from './token-outcome.ts'

/** `provider.par`: pushed where the provider offers it; always; never, unless the provider takes no other. */
export type ParMode = 'auto' | 'on' | 'off'

/** RFC 9126 §2.2: a reference of the provider's making; what matters is that it is one short word. */
const REQUEST_URI = /^[\x21-\x7e]{1,2048}$/

/**
 * The whole request by the front channel, or pushed (RFC 9126) so that the browser carries nothing but `client_id` and `request_uri`. There is no way
 * back from the one to the other: a provider whose endpoint fails is away, and nobody gets to see the parameters by making it fail.
 */
export const authorize = async (room: Room, metadata: Metadata, mode: ParMode, request: AuthorizationRequest): Promise<Authorization> => {
  const parameters = await authorizationParameters(room.client, request)
  if (!isPushed(metadata, mode)) return { kind: 'url', url: authorizationUrl(metadata, room.client, parameters) }
  // Asked for by the settings or by the provider, who then does not say where: the operator's to mend, not the user's to wait for.
  if (!metadata.parEndpoint) {
    room.log.error(
      { provider: room.name, code: NOT_ANNOUNCED, hint: 'see provider.par' },
      'provider announces no endpoint for pushed requests',
    )
    return { kind: 'refused', providerCode: NOT_ANNOUNCED }
  }
  return push(room, metadata, parameters)
}

const NOT_ANNOUNCED = 'par-not-announced'

const isPushed = (metadata: Metadata, mode: ParMode): boolean =>
  metadata.requiresPar || mode === 'on' || (mode === 'auto' && metadata.parEndpoint !== undefined)

/** Each login pushes its own request, so each `request_uri` is used once (RFC 9126 §4); the client proves itself as at the token endpoint (§2). */
const push = async (room: Room, metadata: Metadata, parameters: URLSearchParams): Promise<Authorization> => {
  const startedAt = performance.now()
  const { exchange, accepted } = await room.call('par', metadata, room.timeoutMs, (configuration) =>
    buildAuthorizationUrlWithPAR(configuration, parameters),
  )
  if (exchange.kind === 'failed' || exchange.status >= 300) return denied(room, exchange)
  const pushed = exchange.status === 201 && accepted ? parsePushed(exchange) : undefined
  if (!pushed) return { kind: 'unavailable', retryAfter: RETRY, cause: 'par-response' }
  // It lives from when the provider made it, which is after we asked: one that may be over already would only strand the user there.
  if (performance.now() - startedAt >= pushed.expiresInSeconds * 1000)
    return { kind: 'unavailable', retryAfter: RETRY, cause: 'par-expired' }
  const front = new URLSearchParams({ client_id: room.client.clientId, request_uri: pushed.requestUri })
  return { kind: 'url', url: authorizationUrl(metadata, room.client, front) }
}

const RETRY = seconds(5)

const parsePushed = (answer: Extract<Exchange, { kind: 'answered' }>) => {
  const body = isJsonType(answer.contentType) ? parseObject(answer.body) : undefined
  const requestUri = body && stringOf(body, 'request_uri')
  const expiresInSeconds = Number(body?.['expires_in'])
  if (requestUri === undefined || !REQUEST_URI.test(requestUri) || !(expiresInSeconds > 0)) return undefined
  return { requestUri, expiresInSeconds }
}

/** RFC 9126 §2.3: the errors of the token endpoint and those of the authorization endpoint, without a user to tell them to. */
const denied = (room: Room, exchange: Exchange): Authorization => {
  const denial = denialOf(exchange, { profile: room.client.profile, spent: 'nothing', now: room.clock.now() })
  if (denial.kind === 'refused')
    return { kind: denial.reason === 'credential-rejected' ? denial.reason : 'refused', providerCode: denial.providerCode }
  // Any other 4xx but "slow down" will be the same tomorrow.
  const isFinal = exchange.kind === 'answered' && exchange.status >= 400 && exchange.status < 500 && denial.cause !== 'throttled'
  if (!isFinal) return { kind: 'unavailable', retryAfter: denial.retryAfter, cause: denial.cause }
  const kind = exchange.status === 401 ? 'credential-rejected' : 'refused'
  return { kind, providerCode: denial.cause }
}
