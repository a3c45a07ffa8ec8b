import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createRemoteJWKSet, jwtVerify, type JWTPayload } from 'jose'

/** Whom the API saw calling: read from the access token alone, never from a header. */
export interface Caller {
  readonly principal: 'user' | 'app'
  readonly subject: string
  readonly scopes: readonly string[]
  /** When the token was made and until when it holds; ISO 8601. */
  readonly token: { readonly issued_at: string; readonly expires_at: string }
}

/** What the API's own audit log keeps of a call. */
export interface ApiAuditLine {
  readonly at: string
  /** Ties the line to the answer the browser got; decides nothing. */
  readonly request_id: string
  readonly principal: 'user' | 'app'
  readonly subject: string
  readonly audience: string
  readonly scopes: readonly string[]
  readonly action: string
  readonly status: number
  readonly allowed: boolean
}

export interface DevApi {
  readonly url: string
  /** The newest last. */
  readonly audit: readonly ApiAuditLine[]
  stop(): Promise<void>
}

export interface ApiAnswer {
  readonly status: number
  readonly body: unknown
}

export interface ApiRequest {
  readonly method: string
  readonly path: string
  readonly body: unknown
}

export interface DevApiOptions {
  readonly issuer: string
  readonly clientId: string
  readonly audience: string
  /** Decides and answers; it sees who calls and nothing of the token. */
  answer(caller: Caller, request: ApiRequest): ApiAnswer
}

const AUDIT_LINES_MAX = 200

/**
 * An API as one would write it behind any gateway: it trusts nothing but the access token, and validates that strictly (RFC 9068 §4: typ, signature,
 * issuer, audience, expiry), on loopback.
 */
export const startDevApi = async (options: DevApiOptions): Promise<DevApi> => {
  const keys = createRemoteJWKSet(new URL('/jwks', options.issuer), { cooldownDuration: 1_000, timeoutDuration: 3_000 })
  const audit: ApiAuditLine[] = []
  const server = createServer((request, response) => {
    void handle(request, response).catch(() => sendJson(response, 500, { error: 'failed' }))
  })

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const caller = await callerOf(request.headers.authorization)
    if (!caller) {
      response.setHeader('www-authenticate', 'Bearer error="invalid_token"')
      return sendJson(response, 401, { error: 'invalid_token' })
    }
    const { method, path } = targetOf(request)
    const body = method === 'GET' || method === 'HEAD' ? undefined : await readJson(request)
    const answer = options.answer(caller, { method, path, body })
    audit.push({
      at: new Date().toISOString(),
      request_id: requestIdOf(request),
      principal: caller.principal,
      subject: caller.subject,
      audience: options.audience,
      scopes: caller.scopes,
      action: `${method} ${path}`,
      status: answer.status,
      allowed: answer.status < 400,
    })
    if (audit.length > AUDIT_LINES_MAX) audit.shift()
    sendJson(response, answer.status, answer.body)
  }

  const callerOf = async (authorization: string | undefined): Promise<Caller | undefined> => {
    const token = /^Bearer ([A-Za-z0-9._-]+)$/.exec(authorization ?? '')?.[1]
    if (!token) return undefined
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer: options.issuer,
        audience: options.audience,
        typ: 'at+jwt',
        algorithms: ['RS256'],
        requiredClaims: ['sub', 'exp', 'iat', 'jti', 'client_id'],
      })
      return callerFrom(payload, options.clientId)
    } catch {
      return undefined
    }
  }

  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  // Now, so that a provider that goes away before the first call is not missed.
  await keys.reload().catch(() => undefined)
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    audit,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** In a client_credentials token the subject is the client itself (RFC 9068 §2.2). */
const callerFrom = (payload: JWTPayload, clientId: string): Caller => ({
  principal: payload.sub === clientId ? 'app' : 'user',
  subject: payload.sub ?? '',
  scopes: typeof payload['scope'] === 'string' ? payload['scope'].split(' ') : [],
  token: { issued_at: iso(payload.iat), expires_at: iso(payload.exp) },
})

const iso = (numericDate: number | undefined): string => new Date((numericDate ?? 0) * 1000).toISOString()

export const targetOf = (request: IncomingMessage): { readonly method: string; readonly path: string } => ({
  method: request.method ?? 'GET',
  path: (request.url ?? '/').split('?')[0] ?? '/',
})

const requestIdOf = ({ headers: { 'x-request-id': id } }: IncomingMessage): string => (typeof id === 'string' ? id.slice(0, 64) : '')

const readJson = async (request: IncomingMessage): Promise<unknown> => {
  let text = ''
  for await (const chunk of request) {
    text += String(chunk)
    if (text.length > 65_536) return undefined
  }
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

export const sendJson = (response: ServerResponse, status: number, body: unknown): void => {
  const text = JSON.stringify(body)
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(text) }).end(text)
}
