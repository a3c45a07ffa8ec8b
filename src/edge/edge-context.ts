import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { AuditSink } from '../domain/audit-event.ts'
import type { Metrics } from '../domain/metric.ts'
import type { ProblemCode } from '../domain/problem.ts'
import { problem } from '../domain/problem.ts'
import type { SessionRef } from '../domain/session.ts'
import type { SetCookie } from '../domain/set-cookie.ts'
import type { Visitor } from '../flows/visitor.ts'
import type { AccessLog, Log } from '../kernel/ports.ts'
import type { Clock } from '../kernel/time.ts'
import { sendAnswer } from './answer.ts'
import type { ProblemExtras, ProblemSettings } from './render-problem.ts'
import { problemAnswer } from './render-problem.ts'

/** What every part of the public listener needs; made once. */
export interface EdgeContext {
  /** Of `public_url`: the one origin browsers use. Nothing is ever derived from a request's Host. */
  readonly origin: string
  readonly host: string
  readonly https: boolean
  readonly basePath: string
  readonly problems: ProblemSettings
  readonly cookies: SessionCookieDoor
  readonly proxies: { chainOf(request: IncomingMessage): readonly string[] }
  readonly access: AccessLog
  readonly audit: AuditSink
  readonly metrics: Metrics
  readonly log: Log
  readonly clock: Clock
}

/** session/cookie.ts */
export interface SessionCookieDoor {
  /** As it came; a malformed or doubled one is still `presented`. */
  read(header: string | undefined): string | undefined
  cleared(): SetCookie
}

export const visitorOf = (context: EdgeContext, request: FastifyRequest): Visitor => ({
  requestId: request.id,
  address: context.proxies.chainOf(request.raw)[0] ?? 'unknown',
  userAgent: request.headers['user-agent'],
})

export interface AccessNote {
  /** Endpoint or route name: a closed set. */
  readonly route: string
  readonly sessionRef?: SessionRef | undefined
  readonly principal?: 'user' | 'app' | 'none' | undefined
}

/** Nobody received a status; nginx's number for it. */
const LEFT_BEFORE_ANSWER = 499
/** An error can lead a request that is watched already to a second place that would watch it. */
const watched = new WeakSet<ServerResponse>()

/**
 * One line per request, on `close`: it comes exactly once, whether the answer was finished, cut or never begun (Fastify's onResponse does not come
 * for browsers that left). The address is read now: the socket forgets it.
 */
export const watch = (context: EdgeContext, request: FastifyRequest, reply: FastifyReply, note: AccessNote): void => {
  const response = reply.raw
  if (watched.has(response)) return
  watched.add(response)
  const startedAt = performance.now() - Math.max(0, reply.elapsedTime)
  const address = context.proxies.chainOf(request.raw)[0] ?? 'unknown'
  const record = (): void =>
    context.access.record({
      requestId: request.id,
      method: request.method,
      route: note.route,
      path: pathOf(request.url),
      // Before a head is written Node's default stands there, and 200 is the last thing to say of a request that was never answered.
      status: response.headersSent ? response.statusCode : LEFT_BEFORE_ANSWER,
      ms: performance.now() - startedAt,
      bytes: bytesOf(request, reply),
      address,
      sessionRef: note.sessionRef,
      principal: note.principal,
      cut: !response.writableFinished,
    })
  if (response.closed) record()
  else response.once('close', record)
}

/** Of the body, as announced. Fastify hands its headers over when it writes the head: the response itself never knows them. */
const bytesOf = ({ method }: FastifyRequest, reply: FastifyReply): number =>
  method === 'HEAD' || !reply.raw.headersSent ? 0 : Number(reply.getHeader('content-length') ?? 0)

const pathOf = (url: string): string => {
  const at = url.indexOf('?')
  return at === -1 ? url : url.slice(0, at)
}

/** Renders, counts, logs the operator's hint, answers. The cookie is never touched. */
export const sendProblem = (
  context: EdgeContext,
  request: FastifyRequest,
  reply: FastifyReply,
  code: ProblemCode,
  extras: ProblemExtras = {},
): void => {
  noteProblem(context, request, code)
  const answer = problemAnswer(context.problems, code, problemContext(request), extras)
  // An upload that nobody will read: say that the connection ends rather than read gigabytes to keep it.
  if (isLargeUpload(request)) reply.header('connection', 'close')
  sendAnswer(reply, answer)
}

export const problemContext = (request: FastifyRequest) => ({
  requestId: request.id,
  method: request.method,
  url: request.url,
  headers: request.headers,
})

export const noteProblem = (context: EdgeContext, request: FastifyRequest, code: ProblemCode): void => {
  context.metrics.count('sallyport_problem_answers_total', { code })
  const { operator, status } = problem(code)
  const facts = {
    requestId: request.id,
    code,
    status,
    method: request.method,
    path: pathOf(request.url),
    ...(operator && { hint: operator }),
  }
  // Not what any page can bring about, as a refused prefetch: for that no operator has anything to do.
  if (status >= 500 && operator) context.log.warn(facts, 'request answered with a problem')
  else context.log.debug(facts, 'request answered with a problem')
}

const isLargeUpload = (request: FastifyRequest): boolean =>
  request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 65_536

export const noteCsrf = (context: EdgeContext, request: FastifyRequest, code: ProblemCode, route: string): void => {
  context.metrics.count('sallyport_guard_csrf_refusals_total', { code })
  const { requestId, address } = visitorOf(context, request)
  context.audit.record({ requestId, address, event: 'csrf.refused', route, code })
}
