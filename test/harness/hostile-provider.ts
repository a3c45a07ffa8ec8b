import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, jwtVerify, SignJWT } from 'jose'
import type { CryptoKey, JWK, JWTHeaderParameters, KeyObject } from 'jose'

/** A provider on loopback that is strict where it speaks for itself, and says anything at all where a test scripts it. */
export interface HostileProvider {
  readonly issuer: string
  readonly clientId: string
  readonly requests: readonly Recorded[]
  /** Merged over the metadata document; `undefined` removes a member. */
  metadata: Record<string, unknown>
  /** Answers instead of the strict provider, per endpoint. */
  readonly script: Partial<Record<EndpointName, Script>>
  /** What `jwks_uri` serves. */
  keys: JWK[]
  readonly signer: Signer
  /** For `private_key_jwt`: the registered key; without one `client_secret` rules. */
  clientKey: KeyObject | undefined
  hits(endpoint: EndpointName): number
  last(endpoint: EndpointName): Recorded
  /** What the authorization endpoint would find under this `request_uri`: once, and only within its life (RFC 9126 §4). */
  takePushed(requestUri: string): URLSearchParams | undefined
  /** What the authorization endpoint would have handed out for this request. */
  issueCode(grant: { readonly challenge: string; readonly nonce: string; readonly claims?: Record<string, unknown> }): string
  /** New signing key, served and used from now on; the old one is gone. */
  rotateKey(): Promise<Signer>
  newSigner(algorithm?: string): Promise<Signer>
  /** Claims of a good ID token for the user. */
  claims(overrides?: Record<string, unknown>): Record<string, unknown>
  idToken(overrides?: Record<string, unknown>, header?: Partial<JWTHeaderParameters>, signer?: Signer): Promise<string>
  /** Body of a good token answer. */
  tokens(overrides?: Record<string, unknown>): Promise<Record<string, unknown>>
  /** Refuses connections until `back`. */
  away(): Promise<void>
  back(): Promise<void>
  close(): Promise<void>
}

export type EndpointName = 'discovery' | 'jwks' | 'token' | 'revocation' | 'par'
export interface Recorded {
  readonly endpoint: EndpointName | 'other'
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly parameters: URLSearchParams
}
export interface Answer {
  readonly status?: number
  readonly headers?: Record<string, string>
  readonly body?: unknown
}
/** Returns an answer, or takes the response into its own hands and returns nothing. */
export type Script = (request: Recorded, response: ServerResponse) => Answer | undefined | Promise<Answer | undefined>

export interface Signer {
  readonly kid: string
  readonly algorithm: string
  readonly privateKey: CryptoKey
  readonly publicJwk: JWK
}

export const CLIENT_SECRET = 'canary-client-secret'
const CLIENT_ID = 'gateway'
const PUSHED_SECONDS = 60
const PATHS: Readonly<Record<string, EndpointName>> = {
  '/.well-known/openid-configuration': 'discovery',
  '/jwks': 'jwks',
  '/token': 'token',
  '/revoke': 'revocation',
  '/par': 'par',
}

export const startHostileProvider = async (redirectUri = 'https://shop.example.com/bff/callback'): Promise<HostileProvider> => {
  const requests: Recorded[] = []
  const codes = new Map<string, { readonly challenge: string; readonly nonce: string; readonly claims: Record<string, unknown> }>()
  const pushed = new Map<string, { readonly parameters: URLSearchParams; readonly until: number }>()
  const refreshTokens = new Map<string, 'live' | 'spent'>()
  const assertionIds = new Set<string>()
  let familyKilled = false
  let signer = await newSigner()

  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', issuer)
    let body = ''
    for await (const chunk of request) body += String(chunk)
    const endpoint = PATHS[url.pathname] ?? 'other'
    const recorded: Recorded = { endpoint, path: url.pathname, headers: request.headers, parameters: new URLSearchParams(body) }
    requests.push(recorded)
    const script = endpoint === 'other' ? undefined : provider.script[endpoint]
    const answer = script ? await script(recorded, response) : await strict(recorded)
    if (!answer) return
    const text = typeof answer.body === 'string' || Buffer.isBuffer(answer.body) ? answer.body : JSON.stringify(answer.body ?? {})
    response.writeHead(answer.status ?? 200, { 'content-type': 'application/json', ...answer.headers })
    response.end(text)
  }

  const strict = async (request: Recorded): Promise<Answer> => {
    switch (request.endpoint) {
      case 'discovery':
        return { body: { ...metadataOf(issuer), ...provider.metadata } }
      case 'jwks':
        return { body: { keys: provider.keys } }
      case 'token':
        return token(request)
      case 'par': {
        if (!(await isClient(request))) return denied('invalid_client', 401)
        const { parameters } = request
        // RFC 9126 §2.1.
        if (parameters.get('client_id') !== CLIENT_ID || parameters.has('request_uri')) return denied('invalid_request')
        if (parameters.get('redirect_uri') !== redirectUri) return denied('invalid_redirect_uri')
        const requestUri = `urn:ietf:params:oauth:request_uri:${randomUUID()}`
        pushed.set(requestUri, { parameters, until: Date.now() + PUSHED_SECONDS * 1000 })
        return { status: 201, body: { request_uri: requestUri, expires_in: PUSHED_SECONDS } }
      }
      case 'revocation':
        if (!(await isClient(request))) return denied('invalid_client', 401)
        refreshTokens.set(request.parameters.get('token') ?? '', 'spent')
        return { body: '' }
      default:
        return { status: 404 }
    }
  }

  const token = async (request: Recorded): Promise<Answer> => {
    if (!(await isClient(request))) return denied('invalid_client', 401)
    const { parameters } = request
    switch (parameters.get('grant_type')) {
      case 'authorization_code': {
        const code = codes.get(parameters.get('code') ?? '')
        codes.delete(parameters.get('code') ?? '')
        const challenge = createHash('sha256')
          .update(parameters.get('code_verifier') ?? '')
          .digest('base64url')
        if (!code || code.challenge !== challenge || parameters.get('redirect_uri') !== redirectUri) return denied('invalid_grant')
        return { body: await provider.tokens({ id_token: await provider.idToken({ nonce: code.nonce, ...code.claims }) }) }
      }
      case 'refresh_token': {
        const spent = parameters.get('refresh_token') ?? ''
        if (refreshTokens.get(spent) !== 'live') {
          familyKilled ||= refreshTokens.has(spent)
          return denied('invalid_grant')
        }
        if (familyKilled) return denied('invalid_grant')
        refreshTokens.set(spent, 'spent')
        return { body: await provider.tokens({ id_token: await provider.idToken() }) }
      }
      case 'client_credentials':
        return { body: { access_token: 'canary-app-token', token_type: 'Bearer', expires_in: 300 } }
      default:
        return denied('unsupported_grant_type')
    }
  }

  const isClient = async ({ headers, parameters }: Recorded): Promise<boolean> => {
    if (provider.clientKey) return isAssertion(parameters.get('client_assertion') ?? '', provider.clientKey)
    const basic = `Basic ${Buffer.from(`${CLIENT_ID}:${encodeURIComponent(CLIENT_SECRET).replaceAll('-', '%2D')}`).toString('base64')}`
    return (
      headers.authorization === basic || (parameters.get('client_id') === CLIENT_ID && parameters.get('client_secret') === CLIENT_SECRET)
    )
  }

  /** RFC 7523 §3: one audience, at most 5 min, each `jti` once. */
  const isAssertion = async (assertion: string, key: KeyObject): Promise<boolean> => {
    try {
      const { payload } = await jwtVerify(assertion, key, { issuer: CLIENT_ID, subject: CLIENT_ID, requiredClaims: ['exp', 'iat', 'jti'] })
      const fresh = (payload.exp ?? 0) - (payload.iat ?? 0) <= 300 && !assertionIds.has(payload.jti ?? '')
      assertionIds.add(payload.jti ?? '')
      return fresh && (payload.aud === issuer || payload.aud === `${issuer}/token`)
    } catch {
      return false
    }
  }

  const provider: HostileProvider = {
    issuer,
    clientId: CLIENT_ID,
    requests,
    metadata: {},
    script: {},
    keys: [signer.publicJwk],
    get signer() {
      return signer
    },
    clientKey: undefined,
    hits: (endpoint) => requests.filter((request) => request.endpoint === endpoint).length,
    last: (endpoint) => {
      const request = requests.findLast((one) => one.endpoint === endpoint)
      if (!request) throw new Error(`no request to ${endpoint}`)
      return request
    },
    takePushed: (requestUri) => {
      const found = pushed.get(requestUri)
      pushed.delete(requestUri)
      return found && found.until > Date.now() ? found.parameters : undefined
    },
    issueCode: ({ challenge, nonce, claims = {} }) => {
      const code = `canary-code-${randomUUID()}`
      codes.set(code, { challenge, nonce, claims })
      return code
    },
    rotateKey: async () => {
      signer = await newSigner()
      provider.keys = [signer.publicJwk]
      return signer
    },
    newSigner,
    claims: (overrides = {}) => {
      const now = Math.floor(Date.now() / 1000)
      const claims = {
        iss: issuer,
        sub: 'ada',
        aud: CLIENT_ID,
        iat: now,
        exp: now + 300,
        sid: 'provider-session-1',
        name: 'Ada',
        ...overrides,
      }
      return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined))
    },
    idToken: (overrides = {}, header = {}, by = signer) =>
      new SignJWT(provider.claims(overrides)).setProtectedHeader({ alg: by.algorithm, kid: by.kid, ...header }).sign(by.privateKey),
    tokens: async (overrides = {}) => {
      const refreshToken = `canary-refresh-${randomUUID()}`
      refreshTokens.set(refreshToken, 'live')
      const body = {
        access_token: `canary-access-${randomUUID()}`,
        token_type: 'Bearer',
        expires_in: 300,
        refresh_token: refreshToken,
        ...overrides,
      }
      return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined))
    },
    away: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
    back: async () => {
      server.listen(Number(new URL(issuer).port), '127.0.0.1')
      await once(server, 'listening')
    },
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return provider
}

const denied = (error: string, status = 400): Answer => ({ status, body: { error, error_description: 'canary-description' } })

const metadataOf = (issuer: string): Record<string, unknown> => ({
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  jwks_uri: `${issuer}/jwks`,
  revocation_endpoint: `${issuer}/revoke`,
  end_session_endpoint: `${issuer}/logout`,
  id_token_signing_alg_values_supported: ['RS256', 'ES256', 'PS256'],
  response_types_supported: ['code'],
  subject_types_supported: ['public'],
  code_challenge_methods_supported: ['S256'],
})

async function newSigner(algorithm = 'ES256'): Promise<Signer> {
  const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true })
  const kid = randomUUID()
  return { kid, algorithm, privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid, use: 'sig' } }
}
