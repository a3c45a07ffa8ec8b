import { createHash, type KeyObject, type webcrypto, X509Certificate } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, importJWK, jwtVerify, type JWK, type JWTPayload, type ProtectedHeaderParameters } from 'jose'
import { basicOf, type Exchange } from '../core-exchange.ts'
import { type Realm, refuse, secondsOf } from './realm.ts'
import type { ClientSettings } from './settings.ts'

const INVALID = 'Invalid client or Invalid client credentials'
const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const CLOCK_SKEW = 15
/** `max-cache-time` and `min-time-between-requests` of the public key storage. */
const KEYS_FOR = 24 * 3600
const KEYS_COOLDOWN = 10

export interface ClientAuthenticator {
  /** @throws Refusal in Keycloak's words */
  authenticate(exchange: Exchange): Promise<ClientSettings>
  /** How often a client's `jwks_url` was asked. */
  keyRequests(clientId: string): number
}

const ask = async (url: string, held: Cached, now: number): Promise<void> => {
  const answer = await fetch(url, { signal: AbortSignal.timeout(5000) }).catch(() => undefined)
  const body = (await answer?.json().catch(() => undefined)) as { readonly keys?: readonly JWK[] } | undefined
  if (!answer?.ok || !body?.keys) return
  held.keys = body.keys
  held.fetchedAt = now
}

interface Cached {
  keys: readonly JWK[]
  fetchedAt: number
  askedAt: number
  requests: number
  asking?: Promise<void>
}

export const clientAuthenticator = (realm: Realm): ClientAuthenticator => {
  /** Assertion ids of the whole realm, with the second until which they count as used. */
  const used = new Map<string, number>()
  const cache = new Map<string, Cached>()

  const bySecret = (exchange: Exchange): ClientSettings => {
    const basic = basicOf(exchange.headers.authorization)
    const clientId = exchange.form.get('client_id') ?? basic?.id
    if (clientId === undefined) throw refuse('invalid_client', 'Missing client_id parameter')
    const client = realm.clients.get(clientId)
    exchange.note({ client: clientId })
    // The same words for a client that is not there, and for one that is switched off.
    if (!client?.enabled || client.authenticator === 'bearer-only') throw refuse('invalid_client', INVALID, 401)
    if (client.authenticator === 'public') return client
    if (client.authenticator === 'client-jwt') throw refuse('invalid_client', 'Parameter client_assertion_type is missing')
    const secret = exchange.form.get('client_secret') ?? basic?.secret
    if (secret === undefined || ![client.secret, client.rotatedSecret].includes(secret)) throw refuse('unauthorized_client', INVALID, 401)
    return client
  }

  const byAssertion = async (exchange: Exchange, assertion: string): Promise<ClientSettings> => {
    const now = secondsOf(exchange.now)
    const { header, claims } = opened(assertion)
    if (claims.sub === undefined) throw refuse('invalid_client', 'Token sub claim is required')
    const named = exchange.form.get('client_id')
    if (named !== null && named !== claims.sub) throw refuse('invalid_client', 'client_id parameter does not match sub claim')
    const client = realm.clients.get(claims.sub)
    exchange.note({ client: claims.sub })
    if (claims.iss !== claims.sub || !client?.enabled || client.authenticator !== 'client-jwt') throw refuse('invalid_client', INVALID, 401)

    const algorithm = header.alg ?? 'none'
    if (!/^(?:RS|PS|ES)(?:256|384|512)$|^EdDSA$/.test(algorithm) || (client.assertionAlgorithm ?? algorithm) !== algorithm)
      throw refuse('invalid_client', 'Invalid signature algorithm')
    const key = await keyOf(client, header, now)
    if (!key) throw refuse('invalid_client', 'Unable to load public key')
    await jwtVerify(assertion, key, { currentDate: new Date(0), clockTolerance: Number.MAX_SAFE_INTEGER }).catch(() => {
      throw refuse('invalid_client', 'Client authentication with signed JWT failed: Signature on JWT token failed validation')
    })

    const audiences = [claims.aud ?? []].flat()
    const ours = [realm.issuer, `${realm.issuer}/protocol/openid-connect/token`]
    if (!audiences.some((audience) => ours.includes(audience))) throw refuse('invalid_client', 'Invalid token audience')
    if (audiences.length > 1) throw refuse('invalid_client', 'Multiple audiences not allowed')
    checkDates(claims, client.assertionMaxAge, now)
    if (claims.jti === undefined) throw refuse('invalid_client', 'Token jti claim is required')
    for (const [id, until] of used) if (until <= now) used.delete(id)
    if (used.has(claims.jti)) throw refuse('invalid_client', 'Token reuse detected')
    used.set(claims.jti, now + Math.min((claims.exp ?? now) - now, client.assertionMaxAge))
    return client
  }

  const keyOf = async (
    client: ClientSettings,
    header: ProtectedHeaderParameters,
    now: number,
  ): Promise<KeyObject | webcrypto.CryptoKey | undefined> => {
    if (client.certificate !== undefined) {
      const { publicKey } = new X509Certificate(client.certificate)
      return header.kid === undefined || header.kid === keyIdOf(publicKey) ? publicKey : undefined
    }
    const find = (keys: readonly JWK[]): JWK | undefined =>
      keys.find(
        ({ kid, use, kty }) => (header.kid === undefined || kid === header.kid) && (use ?? 'sig') === 'sig' && kty === kindOf(header.alg),
      )
    const jwk = client.jwks ? find(client.jwks) : await fromUrl(client, find, now)
    return jwk && ((await importJWK(jwk, header.alg)) as webcrypto.CryptoKey)
  }

  /** Unknown key ids are looked up again, but never twice within ten whole seconds: a key that is used as soon as it is published is refused. */
  const fromUrl = async (
    client: ClientSettings,
    find: (keys: readonly JWK[]) => JWK | undefined,
    now: number,
  ): Promise<JWK | undefined> => {
    if (client.jwksUrl === undefined) return undefined
    const held = cache.get(client.clientId) ?? { keys: [], fetchedAt: -Infinity, askedAt: -Infinity, requests: 0 }
    cache.set(client.clientId, held)
    const found = now < held.fetchedAt + KEYS_FOR ? find(held.keys) : undefined
    // Whoever comes while somebody asks waits for that answer.
    if (!found) await held.asking
    if (found || now <= held.askedAt + KEYS_COOLDOWN) return found ?? find(held.keys)
    held.askedAt = now
    held.requests += 1
    held.asking = ask(client.jwksUrl, held, now)
    await held.asking
    return find(held.keys)
  }

  return {
    authenticate: async (exchange) => {
      const assertion = exchange.form.get('client_assertion')
      const type = exchange.form.get('client_assertion_type')
      if (type !== null && type !== JWT_BEARER)
        throw refuse('invalid_client', `Parameter client_assertion_type has value '${type}' but expected is '${JWT_BEARER}'`)
      if (assertion === null && type !== null) throw refuse('invalid_client', 'client_assertion parameter missing')
      if (assertion !== null && type === null) throw refuse('invalid_client', 'Parameter client_assertion_type is missing')
      return assertion === null ? bySecret(exchange) : byAssertion(exchange, assertion)
    },
    keyRequests: (clientId) => cache.get(clientId)?.requests ?? 0,
  }
}

/** How Keycloak names a key it only has as a certificate; an assertion may name none, but no other. */
export const keyIdOf = (key: KeyObject): string =>
  createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('base64url')

const checkDates = ({ exp, iat, nbf }: JWTPayload, maxAge: number, now: number): void => {
  if (exp === undefined) throw refuse('invalid_client', 'Token exp claim is required')
  if (exp <= now - CLOCK_SKEW || (nbf ?? 0) > now + CLOCK_SKEW) throw refuse('invalid_client', 'Token is not active')
  if (iat === undefined) {
    if (exp - now > maxAge) throw refuse('invalid_client', 'Token expiration is too far in the future and iat claim not present in token')
    return
  }
  if (iat - CLOCK_SKEW > now) throw refuse('invalid_client', 'Token was issued in the future')
  if (exp <= now) throw refuse('invalid_client', 'Token is not active')
  if (now > iat + maxAge) throw refuse('invalid_client', 'Token was issued too far in the past to be used now')
}

const kindOf = (algorithm = ''): string => (algorithm.startsWith('ES') ? 'EC' : algorithm === 'EdDSA' ? 'OKP' : 'RSA')

const opened = (assertion: string): { readonly header: ProtectedHeaderParameters; readonly claims: JWTPayload } => {
  try {
    return { header: decodeProtectedHeader(assertion), claims: decodeJwt(assertion) }
  } catch {
    throw refuse('invalid_client', 'Client authentication with signed JWT failed: Not a JWT')
  }
}
