import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Agent, createServer, request as send, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { HistoryEvent } from './history.ts'
import { gatewayAt } from './tcp-proxy.ts'

/** What is to happen to one answer of the token endpoint, decided when it is there and the provider has acted on it. */
export type TokenFate =
  | { readonly kind: 'pass' }
  | { readonly kind: 'cut'; readonly after: number }
  | { readonly kind: 'late'; readonly ms: number }

/** Answered in the provider's place: it never hears of the request, but the gateway cannot know that of every answer. */
export interface Instead {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface ProviderProxy {
  readonly port: number
  /** Where the provider really is; set before the first request. */
  target: number
  /** Asked for each answer of the token endpoint on its way to a gateway. */
  fate: (gateway: number, isRefresh: boolean) => Promise<TokenFate>
  /** Asked for each refresh before it is passed on. */
  instead: (gateway: number) => Instead | undefined
  stop(): Promise<void>
}

export const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('base64url').slice(0, 16)

interface Claims {
  readonly sub?: string
  readonly aud?: string
  readonly jti?: string
  readonly exp?: number
}
/** Of a JWT, unchecked. */
export const claimsOf = (token: string): Claims => {
  try {
    return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as Claims
  } catch {
    return {}
  }
}

const bodyOf = async (message: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** Stands in front of the provider under its issuer: writes down which refresh tokens came from whom, and what was answered, and loses answers. */
export const startProviderProxy = async (record: (event: HistoryEvent) => void, now: () => number): Promise<ProviderProxy> => {
  const agent = new Agent({ keepAlive: true })
  let ids = 0

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const gateway = gatewayAt(request.socket.remoteAddress)
    const body = await bodyOf(request)
    const isToken = request.method === 'POST' && request.url === '/token'
    const spent = isToken ? new URLSearchParams(body.toString('utf8')).get('refresh_token') : null
    const id = spent === null ? undefined : (ids += 1)
    if (spent !== null && id !== undefined) record({ kind: 'sent', id, gateway, at: now(), spent: hashOf(spent) })
    const instead = spent === null ? undefined : proxy.instead(gateway)
    const { status, headers, answer } = instead
      ? { ...instead, answer: Buffer.from(instead.body) }
      : await forward(agent, proxy.target, request, body)
    const issued = isToken ? partsOf(answer) : undefined
    const fate = isToken ? await proxy.fate(gateway, spent !== null) : ({ kind: 'pass' } as const)
    if (fate.kind === 'late') await new Promise((resolve) => setTimeout(resolve, fate.ms))
    const told = (delivered: boolean): void => {
      if (issued) record({ kind: 'issued', sent: id, gateway, at: now(), status, delivered, ...issued })
    }
    if (response.destroyed || fate.kind === 'cut') {
      told(false)
      if (fate.kind === 'cut' && !response.destroyed) {
        response.writeHead(status, headers)
        response.write(answer.subarray(0, Math.min(fate.after, answer.length - 1)), () => response.destroy())
      }
      return
    }
    told(true)
    response.writeHead(status, headers).end(answer)
  }

  const server = createServer((request, response) => {
    void handle(request, response).catch(() => response.destroy())
  })
  server.keepAliveTimeout = 60_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy: ProviderProxy = {
    port: (server.address() as AddressInfo).port,
    target: 0,
    fate: async () => ({ kind: 'pass' }),
    instead: () => undefined,
    stop: async () => {
      agent.destroy()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return proxy
}

/** `localAddress` stays ours: the provider is not to know. The Host is the issuer's, so that its metadata lead back here. */
const forward = (
  agent: Agent,
  port: number,
  { method, url, headers }: IncomingMessage,
  body: Buffer,
): Promise<{ readonly status: number; readonly headers: IncomingMessage['headers']; readonly answer: Buffer }> =>
  new Promise((resolve, reject) => {
    const request = send({ host: '127.0.0.1', port, agent, method, path: url, headers }, (response) => {
      bodyOf(response).then((answer) => resolve({ status: response.statusCode ?? 502, headers: response.headers, answer }), reject)
    })
    request.once('error', reject)
    request.end(body)
  })

const partsOf = (answer: Buffer) => {
  const none = { refresh: undefined, token: undefined, subject: undefined, audience: undefined }
  try {
    const { access_token, refresh_token } = JSON.parse(answer.toString('utf8')) as Record<string, string | undefined>
    const { sub, aud, jti } = claimsOf(access_token ?? '')
    return { refresh: refresh_token && hashOf(refresh_token), token: jti, subject: sub, audience: aud }
  } catch {
    return none
  }
}
