import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { connect } from 'node:net'
import httpProxy from '@fastify/http-proxy'
import fastify from 'fastify'
import type { MetricName } from '../../src/domain/metric.ts'
import type { Route } from '../../src/domain/route.ts'
import type { SessionRef } from '../../src/domain/session.ts'
import type { AccessEntry, Facts } from '../../src/kernel/ports.ts'
import { Secret } from '../../src/kernel/secret.ts'
import type { Instant } from '../../src/kernel/time.ts'
import { instant, millis, systemClock } from '../../src/kernel/time.ts'
import { canonicalPath } from '../../src/policy/canonical-path.ts'
import { agents } from '../../src/proxy/agents.ts'
import type { Connections } from '../../src/proxy/connections.ts'
import { connections } from '../../src/proxy/connections.ts'
import type { Rejection, Replaced } from '../../src/proxy/forwarding.ts'
import type { Forwarder } from '../../src/proxy/forwarder.ts'
import { createForwarder } from '../../src/proxy/forwarder.ts'
import { trustedProxies } from '../../src/proxy/trusted-proxies.ts'

/** A canary: wherever this text turns up but in an upstream's Authorization, a token has leaked. */
export const CANARY_TOKEN = `canary-${'a1B2'.repeat(200)}`
export const SESSION = 'aaaaaaaaaaaaaaaaaaaaaa' as SessionRef
export const OWN_COOKIE = '__Host-Http-sallyport'

export interface ProxyHost {
  readonly port: number
  readonly entries: AccessEntry[]
  readonly logs: { readonly facts: Facts; readonly message: string }[]
  readonly counts: { readonly name: MetricName; readonly labels: Readonly<Record<string, string>> }[]
  readonly connections: Connections
  readonly forwarder: Forwarder
  readonly unauthorized: { readonly route: string; readonly session: string | undefined }[]
  /** What becomes of a rejection; nothing unless set. */
  onRejected: ((rejection: Rejection, mayRepeat: boolean) => Promise<Replaced> | undefined) | undefined
  isDraining: boolean
  /** When set, a request waits for it between its guards and its forwarding, as it would for a token. */
  beforeForward: ((response: ServerResponse) => Promise<void>) | undefined
  /** What the forwarder is told; a test may lie. */
  principal: 'user' | 'app' | 'none'
  /** Resolves when `count` requests have been accounted for. */
  logged(count: number): Promise<void>
  close(): Promise<void>
}

export interface HostOptions {
  readonly route?: Partial<Omit<Route, 'limits' | 'headers'>>
  readonly limits?: Partial<Record<keyof Route['limits'], number>>
  readonly headers?: Partial<Route['headers']>
  readonly trusted?: readonly string[]
  readonly responseHeaders?: readonly string[]
  readonly endsAt?: Instant
}

export const aRoute = (upstream: URL, options: HostOptions = {}): Route =>
  ({
    name: 'api/orders',
    path: '/api/orders',
    upstream,
    upstreamPath: '/api/orders',
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    token: { principal: 'user' },
    allow: { kind: 'signed-in' },
    tls: { caFile: undefined, serverName: undefined },
    ...options.route,
    limits: {
      bodyBytesMax: 10 << 20,
      headersTimeoutMs: millis(10_000),
      bodyTimeoutMs: millis(10_000),
      connectTimeoutMs: millis(2000),
      inFlightMax: 1000,
      ...options.limits,
    },
    headers: { requestOnly: undefined, requestCookies: [], responseSetCookie: [], ...options.headers },
  }) as Route

/** The forwarder behind @fastify/http-proxy's registration as the edge makes it, without sessions: every request is one user's. */
export const proxyHost = async (upstream: URL, options: HostOptions = {}): Promise<ProxyHost> => {
  const route = aRoute(upstream, options)
  const entries: AccessEntry[] = []
  const logs: ProxyHost['logs'] = []
  const counts: ProxyHost['counts'] = []
  const unauthorized: ProxyHost['unauthorized'] = []
  const note = (facts: Facts, message: string): void => void logs.push({ facts, message })
  const open = connections(systemClock)
  const pools = agents()
  if (route.tls.caFile !== undefined) pools.trust(route.tls.caFile, readFileSync(route.tls.caFile, 'utf8'))
  const waiting: { readonly count: number; readonly wake: () => void }[] = []
  let nextId = 0
  const forwarder = createForwarder({
    agents: pools,
    publicUrl: new URL('https://shop.example'),
    isOwnCookie: (name) => name.startsWith(OWN_COOKIE),
    trustedProxies: trustedProxies(options.trusted ?? []),
    accessLog: {
      record: (entry) => {
        entries.push(entry)
        for (const { count, wake } of waiting) if (entries.length >= count) wake()
      },
    },
    log: { debug: note, info: note, warn: note, error: note },
    metrics: { count: (name, labels) => void counts.push({ name, labels }), gauge: () => {}, observe: () => {} },
    connections: open,
    isDraining: () => host.isDraining,
    onRejected: ({ route: { name }, session }, rejection, mayRepeat) => {
      unauthorized.push({ route: name, session: session?.ref })
      return host.onRejected?.(rejection, mayRepeat)
    },
    ...(options.responseHeaders && { responseHeaders: options.responseHeaders }),
  })
  const app = fastify({ routerOptions: { ignoreTrailingSlash: false }, exposeHeadRoutes: false })
  await app.register(httpProxy, {
    upstream: upstream.origin,
    prefix: route.path,
    httpMethods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    disableRequestLogging: true,
    // If the preHandler were ever removed, the route fails closed instead of proxying without rules.
    undici: { request: (_options: unknown, done: (error: Error) => void) => done(new Error('reply-from must not be reached')) },
    preHandler: (request, reply, _done) => {
      const startedAt = performance.now()
      const target = canonicalPath(request.raw.url ?? '')
      if (!target) {
        void reply.code(400).send()
        return
      }
      reply.hijack()
      nextId += 1
      const requestId = `req-${nextId}`
      const forward = (): void =>
        forwarder.forward({
          ...{ request: request.raw, response: reply.raw, route, ...target, requestId, principal: host.principal, startedAt },
          token: host.principal === 'none' ? undefined : Secret.of('access-token', CANARY_TOKEN),
          session: host.principal === 'none' ? undefined : { ref: SESSION, endsAt: options.endsAt ?? instant(Date.now() + 3_600_000) },
        })
      if (host.beforeForward) void host.beforeForward(reply.raw).then(forward)
      else forward()
    },
  } as Parameters<typeof httpProxy>[1])
  await app.listen({ port: 0, host: '127.0.0.1' })
  const host: ProxyHost = {
    port: (app.server.address() as AddressInfo).port,
    entries,
    logs,
    counts,
    connections: open,
    forwarder,
    unauthorized,
    onRejected: undefined,
    isDraining: false,
    beforeForward: undefined,
    principal: route.token.principal,
    logged: async (count) => {
      if (entries.length >= count) return
      await new Promise<void>((wake) => waiting.push({ count, wake }))
    },
    close: async () => {
      open.endAll()
      open.close()
      forwarder.close()
      app.server.closeAllConnections()
      await app.close()
      await pools.destroy()
    },
  }
  return host
}

/** A browser that writes bytes. */
export interface RawClient {
  readonly socket: Socket
  send(text: string | Buffer): void
  /** Everything received so far, latin1. */
  received(): string
  /** Resolves once the text has arrived; rejects when the connection ends before. */
  until(text: string): Promise<string>
  /** Resolves with everything when the connection has ended. */
  ended(): Promise<string>
}

export const rawClient = async (port: number): Promise<RawClient> => {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const chunks: Buffer[] = []
  const listeners = new Set<() => void>()
  let isEnded = false
  const notify = (): void => {
    for (const listener of listeners) listener()
  }
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    notify()
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    isEnded = true
    notify()
  })
  const received = (): string => Buffer.concat(chunks).toString('latin1')
  const when = (holds: () => boolean): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (holds()) resolve(received())
        else if (isEnded) reject(new Error(`connection ended with: ${received().slice(0, 400)}`))
        else return
        listeners.delete(look)
      }
      listeners.add(look)
      look()
    })
  return {
    socket,
    send: (text) => void socket.write(text),
    received,
    until: (text) => when(() => received().includes(text)),
    ended: () => when(() => isEnded),
  }
}

/** One request on a connection of its own, answered in full. */
export const exchangeRaw = async (port: number, text: string | Buffer): Promise<string> => {
  const client = await rawClient(port)
  client.send(text)
  return client.ended()
}

export interface PlainAnswer {
  readonly status: number
  /** Name and value of each line. */
  readonly lines: readonly (readonly [string, string])[]
  header(name: string): string | undefined
  all(name: string): readonly string[]
  readonly body: string
}

export const parseAnswer = (text: string): PlainAnswer => {
  const at = text.indexOf('\r\n\r\n')
  const [first = '', ...rest] = text.slice(0, at).split('\r\n')
  const lines = rest.map((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const
  })
  const all = (name: string): readonly string[] => lines.filter(([one]) => one === name).map(([, value]) => value)
  return { status: Number(first.split(' ')[1]), lines, all, header: (name) => all(name)[0], body: text.slice(at + 4) }
}

/** GET (or another method) with these header lines, on a connection that is closed afterwards. */
export const ask = async (port: number, target: string, lines: readonly string[] = [], method = 'GET', body = ''): Promise<PlainAnswer> =>
  parseAnswer(
    await exchangeRaw(port, [`${method} ${target} HTTP/1.1`, 'Host: shop.example', 'Connection: close', ...lines, '', body].join('\r\n')),
  )
