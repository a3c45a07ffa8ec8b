import { allowInsecureRequests, clockSkew, Configuration, customFetch } from 'openid-client'
import type { ClientAuth, ServerMetadata } from 'openid-client'
import type { Clock, Millis } from '../kernel/time.ts'
import { NoCredentialError } from './client-auth.ts'
import type { Metadata } from './discovery.ts'
import type { BoundedFetch, Exchange } from './fetch.ts'
import { parseObject } from './json.ts'
import { isForm } from './tenants.ts'

/** One request made by openid-client: what was really answered, and whether the library was content with it. */
export interface Call {
  readonly exchange: Exchange
  readonly accepted: boolean
}

export interface CallDeps {
  readonly fetch: BoundedFetch
  readonly clock: Clock
  readonly clientId: string
  readonly clientAuth: ClientAuth
}

/**
 * Runs one call of openid-client on a Configuration of its own, whose fetch keeps the raw answer. The library builds and authenticates the request and
 * has a veto on the answer; its errors, which can hold whole token responses, end here. Reading the raw answer ourselves is what saves a rotated refresh
 * token when the library rejects something else in it, and an `error` that it hides behind a `WWW-Authenticate` header.
 */
export const callProvider = async (
  deps: CallDeps,
  metadata: Metadata,
  budgetMs: Millis,
  run: (configuration: Configuration) => Promise<unknown>,
): Promise<Call> => {
  let exchange: Exchange | undefined
  const send: SendOnce = async (url, options) => {
    if (exchange) throw new Error('one request per call') // no hidden retry of a grant
    const { body, headers } = options
    exchange = { kind: 'failed', sent: 'unknown', cause: 'network' }
    exchange = await deps.fetch({
      url: new URL(url),
      method: 'POST',
      headers: headers as Record<string, string>,
      body: body instanceof URLSearchParams ? body.toString() : undefined,
      timeoutMs: budgetMs,
    })
    if (exchange.kind === 'failed') throw new TypeError('fetch failed')
    const bodyless = exchange.status === 204 || exchange.status === 205
    return new Response(bodyless ? null : isForm(metadata.issuer) ? withoutIdToken(exchange.body) : exchange.body, {
      status: exchange.status,
      headers: { 'content-type': exchange.contentType ?? 'application/octet-stream' },
    })
  }
  try {
    await run(configure(deps, metadata, budgetMs, send))
    return { exchange: exchange ?? notSent('library'), accepted: true }
  } catch (error) {
    return { exchange: exchange ?? notSent(hasNoCredential(error) ? 'no-credential' : 'library'), accepted: false }
  }
}

/**
 * The library compares `iss` with the announced issuer, and knows of one host only whose issuer is a form that each token fills. There the ID token is ours
 * alone to judge; everywhere else the library has its veto as well.
 */
const withoutIdToken = (body: string): string => {
  const answer = parseObject(body)
  if (!answer) return body
  return JSON.stringify(Object.fromEntries(Object.entries(answer).filter(([name]) => name !== 'id_token')))
}

/** openid-client wraps what it does not know. */
const hasNoCredential = (error: unknown): boolean => error instanceof Error && error.cause instanceof NoCredentialError

const notSent = (cause: string): Exchange => ({ kind: 'failed', sent: 'not-sent', cause })

type SendOnce = (url: string, options: RequestInit) => Promise<Response>

const configure = (deps: CallDeps, metadata: Metadata, budgetMs: Millis, send: SendOnce): Configuration => {
  // The library reads the system's clock; what it checks must be true at ours.
  const skew = Math.round((deps.clock.now() - Date.now()) / 1000)
  const configuration = new Configuration(serverMetadata(metadata), deps.clientId, { [clockSkew]: skew }, deps.clientAuth)
  if (metadata.issuer.startsWith('http:')) allowInsecureRequests(configuration)
  // The bound that holds is in `fetch`; the library's is a timer that lives on, so it is not made longer than need be.
  configuration.timeout = Math.ceil(budgetMs / 1000) + 1
  configuration[customFetch] = send as NonNullable<(typeof configuration)[typeof customFetch]>
  return configuration
}

/** For building URLs, where nothing is sent. */
export const offlineConfiguration = (metadata: Metadata, clientId: string): Configuration => {
  const configuration = new Configuration(serverMetadata(metadata), clientId)
  if (metadata.issuer.startsWith('http:')) allowInsecureRequests(configuration)
  return configuration
}

const serverMetadata = (metadata: Metadata): ServerMetadata => ({
  issuer: metadata.issuer,
  authorization_endpoint: metadata.authorizationEndpoint.href,
  token_endpoint: metadata.tokenEndpoint.href,
  ...(metadata.revocationEndpoint && { revocation_endpoint: metadata.revocationEndpoint.href }),
  ...(metadata.endSessionEndpoint && { end_session_endpoint: metadata.endSessionEndpoint.href }),
  ...(metadata.parEndpoint && { pushed_authorization_request_endpoint: metadata.parEndpoint.href }),
  id_token_signing_alg_values_supported: [...metadata.idTokenAlgorithms],
  authorization_response_iss_parameter_supported: metadata.announcesIss,
})
