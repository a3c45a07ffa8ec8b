import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import fastifyCookie from '@fastify/cookie'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { fastify } from 'fastify'
import { answerClientError } from './client-error.ts'
import type { EdgeContext } from './edge-context.ts'
import { sendProblem, watch } from './edge-context.ts'
import { registerEndpoints } from './endpoint.ts'
import type { FrontendRoutesDeps } from './frontend-routes.ts'
import { registerFrontend } from './frontend-routes.ts'
import { hostRefusal } from './guard-host.ts'
import type { LoginRoutesDeps } from './login-routes.ts'
import { loginEndpoints } from './login-routes.ts'
import type { LogoutRoutesDeps } from './logout-routes.ts'
import { logoutEndpoints } from './logout-routes.ts'
import type { ProviderLogoutDeps } from './provider-logout-routes.ts'
import { providerLogoutEndpoints } from './provider-logout-routes.ts'
import type { MySessionsRoutesDeps } from './my-sessions-routes.ts'
import { mySessionsEndpoints } from './my-sessions-routes.ts'
import type { ProxyRoutesDeps } from './proxy-routes.ts'
import { registerProxyRoutes } from './proxy-routes.ts'
import { FORM, formParser } from './read-form.ts'
import { codeOf } from './render-problem.ts'
import { requestIdOf } from './request-id.ts'
import type { SessionRoutesDeps } from './session-routes.ts'
import { sessionEndpoints } from './session-routes.ts'
import type { WellKnownDeps } from './well-known.ts'
import { wellKnownEndpoints, wellKnownPaths } from './well-known.ts'
import { REQUEST_ID_HEADER } from '../contract/headers.ts'
import type { ProblemCode } from '../domain/problem.ts'

export interface PublicServerDeps {
  readonly context: EdgeContext
  readonly login: LoginRoutesDeps
  readonly logout: LogoutRoutesDeps
  readonly providerLogout: ProviderLogoutDeps
  readonly session: SessionRoutesDeps
  readonly mySessions: MySessionsRoutesDeps
  readonly proxy: ProxyRoutesDeps
  readonly wellKnown: WellKnownDeps
  readonly frontend: FrontendRoutesDeps
  /** PEM. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer } | undefined
  /** The longest a whole request may take to arrive; Fastify's own default is for ever. */
  readonly requestTimeoutMs?: number
  /** The same for the body of an own endpoint's form. */
  readonly formTimeoutMs?: number
}

const HEADER_BYTES_MAX = 32 * 1024
const HEADERS_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 300_000
const FORM_TIMEOUT_MS = 10_000
/** The few forms that own endpoints take carry nothing, or one logout token. */
const OWN_BODY_BYTES_MAX = 16 * 1024

/** The outer door. Listens when the caller says so; `close()` drains. */
export const createPublicServer = async (deps: PublicServerDeps): Promise<FastifyInstance> => {
  const { context } = deps
  const limits = {
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: deps.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    requireHostHeader: false, // asked for by our own guard, so that its answer carries a request id and leaves a line
    keepAliveTimeout: 72_000, // longer than the usual load balancer's 60 s, so that it is never we who close first
  }
  const { tls } = deps
  const app: FastifyInstance = fastify({
    serverFactory: (handler) => {
      const server = tls
        ? createTlsServer({ ...limits, cert: tls.cert, key: tls.key, ALPNProtocols: ['http/1.1'] }, handler)
        : createServer(limits, handler)
      // Without a listener Node answers 417 by itself, past every guard and log. To ignore what one does not know is as right (RFC 9110 §10.1.1).
      return server.on('checkExpectation', handler)
    },
    logger: false,
    bodyLimit: OWN_BODY_BYTES_MAX,
    exposeHeadRoutes: false,
    return503OnClosing: false, // requests that are still let in while draining are served
    requestIdHeader: false,
    genReqId: (request) => requestIdOf(request.headers[REQUEST_ID_HEADER], () => context.proxies.chainOf(request).length > 1),
    routerOptions: { caseSensitive: true, ignoreTrailingSlash: false, ignoreDuplicateSlashes: false },
    frameworkErrors: (_error, request, reply) => {
      endAfterUpgrade(request, reply)
      reply.header(REQUEST_ID_HEADER, request.id)
      watch(context, request, reply, { route: 'guard' })
      sendProblem(context, request, reply, 'request.path-ambiguous')
    },
    clientErrorHandler: (error, socket) => answerClientError(context, error, socket),
  })

  app.addHook('onRequest', (request, reply, done) => {
    reply.header(REQUEST_ID_HEADER, request.id)
    endAfterUpgrade(request, reply)
    const refusal = hostRefusal(request.raw.url ?? '', request.raw.rawHeaders, context.host) ?? upgradeRefusal(request.headers.upgrade)
    if (!refusal) return done()
    watch(context, request, reply, { route: 'guard' })
    if (refusal === 'request.malformed') reply.header('connection', 'close')
    sendProblem(context, request, reply, refusal)
  })
  app.setErrorHandler((error, request, reply) => {
    const { code, retryAfterSeconds } = ofFramework(error) ?? codeOf(error)
    if (code === 'gateway.failed')
      context.log.error({ requestId: request.id, code, cause: error instanceof Error ? error.name : 'unknown' }, 'request failed')
    // Fastify refuses some bodies before any handler of ours has seen the request.
    watch(context, request, reply, { route: 'guard' })
    // The rest of the body is not waited for.
    if (code === 'request.timeout' || code === 'request.body-too-large') reply.header('connection', 'close')
    sendProblem(context, request, reply, code, { retryAfterSeconds })
  })
  app.setNotFoundHandler((request, reply) => {
    watch(context, request, reply, { route: 'unknown' })
    sendProblem(context, request, reply, 'endpoint.unknown')
  })

  // It writes cookies only. Reading them is ours: of two with one name it takes the first, and for us that is no session.
  await app.register(fastifyCookie, { hook: false })

  // Bodies of own endpoints are read, bounded, and ignored unless they are forms; the proxy's registration replaces these with a parser that leaves the stream alone.
  app.removeAllContentTypeParsers()
  await app.register(async (own) => {
    own.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, _body, done) => done(null))
    own.addContentTypeParser(FORM, formParser(OWN_BODY_BYTES_MAX, deps.formTimeoutMs ?? FORM_TIMEOUT_MS))
    registerEndpoints(own, context, [
      ...loginEndpoints(context, deps.login),
      ...logoutEndpoints(context, deps.logout),
      ...providerLogoutEndpoints(context, deps.providerLogout),
      ...sessionEndpoints(context, deps.session),
      ...mySessionsEndpoints(context, deps.mySessions),
      ...wellKnownEndpoints(context, deps.wellKnown),
    ])
    // Whatever else lies under these is ours as well: never proxied, never the frontend's.
    for (const url of [context.basePath, `${context.basePath}/*`, '/.well-known/sallyport/*', ...wellKnownPaths(deps.wellKnown)])
      own.all(url, (request, reply) => {
        watch(context, request, reply, { route: 'unknown' })
        sendProblem(context, request, reply, 'endpoint.unknown')
      })
  })
  await app.register(async (proxied) => registerProxyRoutes(proxied, context, deps.proxy))
  await app.register(async (frontend) => registerFrontend(frontend, context, deps.frontend))
  await app.ready()
  return app
}

/** The parser stops at an upgrade and drops what came behind it in the same packet: whoever pipelined would count answers wrongly from here on. */
const endAfterUpgrade = (request: FastifyRequest, reply: FastifyReply): void => {
  if (request.headers.upgrade !== undefined) reply.raw.shouldKeepAlive = false
}

/**
 * Nobody listens for 'upgrade', so Node hands such a request to us like any other, and no socket is ever ours to lose. Other protocols (h2c) are
 * ignored, as RFC 9110 §7.8 allows.
 */
const upgradeRefusal = (upgrade: string | undefined): ProblemCode | undefined =>
  upgrade !== undefined && /\bwebsocket\b/i.test(upgrade) ? 'proxy.websocket-unsupported' : undefined

/** Fastify's own refusals; their texts repeat the request and go nowhere. */
const ofFramework = (error: unknown): { readonly code: ProblemCode; readonly retryAfterSeconds: undefined } | undefined => {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
  // What the file server says of Range and If-Match: the browser's mistake, not an alarm.
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined
  if (status === 416) return { code: 'request.range-unsatisfiable', retryAfterSeconds: undefined }
  if (status === 412) return { code: 'request.precondition-failed', retryAfterSeconds: undefined }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return { code: 'request.body-too-large', retryAfterSeconds: undefined }
  // The browser left while its body was on the way. Nobody will read the answer, and nobody has to be woken.
  if (code === 'ECONNRESET') return { code: 'request.malformed', retryAfterSeconds: undefined }
  return code.startsWith('FST_ERR_CTP_') || code.startsWith('FST_ERR_BAD_')
    ? { code: 'request.malformed', retryAfterSeconds: undefined }
    : undefined
}
