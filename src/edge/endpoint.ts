import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { ProblemCode } from '../domain/problem.ts'
import type { SessionRef } from '../domain/session.ts'
import type { Query } from '../flows/query.ts'
import { queryOf } from '../flows/query.ts'
import type { Visitor } from '../flows/visitor.ts'
import type { Answer } from './answer.ts'
import { sendAnswer } from './answer.ts'
import type { EdgeContext } from './edge-context.ts'
import { noteCsrf, noteProblem, problemContext, sendProblem, visitorOf, watch } from './edge-context.ts'
import type { EndpointKind, HeaderBag } from './guard-csrf.ts'
import { csrfFacts, csrfRefusal, isNavigation, isPrefetch, kindOf } from './guard-csrf.ts'
import type { ProblemExtras } from './render-problem.ts'
import { problemAnswer } from './render-problem.ts'

/** One request to an endpoint, with the few things a handler may look at. */
export interface Call {
  readonly query: Query
  readonly headers: HeaderBag
  readonly cookieHeader: string | undefined
  /** Value of the session cookie as presented. */
  readonly sessionCookie: string | undefined
  readonly visitor: Visitor
  /** What stood in the place of `{ref}`. */
  readonly ref: SessionRef | undefined
  /** What was posted as a form; undefined: something else, or an endpoint that takes none. */
  readonly form: URLSearchParams | undefined
  /** A page was asked for, not data. */
  readonly isNavigation: boolean
  /** For the access line. */
  note(ref: SessionRef): void
  problem(code: ProblemCode, extras?: ProblemExtras): Answer
  /** Counts and logs one whose answer has a form of its own. */
  noteProblem(code: ProblemCode): void
}

export interface EndpointMethod {
  readonly guard: EndpointKind
  readonly run: (call: Call) => Promise<Answer>
}

export interface Endpoint {
  /** Label of access log and metrics. */
  readonly name: string
  /** `{ref}` in it stands for a session ref. */
  readonly path: string
  readonly methods: Readonly<Partial<Record<'DELETE' | 'GET' | 'HEAD' | 'POST', EndpointMethod>>>
}

const ALL_METHODS = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT'] as const

/**
 * The one way an endpoint is served: literal path → prefetch → method → CSRF, all before the body is read; then the handler; then one answer.
 * A preflight finds a 405 without any CORS header, like every other method that is not listed.
 */
export const registerEndpoints = (app: FastifyInstance, context: EdgeContext, endpoints: readonly Endpoint[]): void => {
  for (const endpoint of endpoints) {
    app.route({
      method: [...ALL_METHODS],
      url: endpoint.path.replace('{ref}', ':ref'),
      onRequest: (request, reply, done) => {
        const refusal = refuse(context, endpoint, request)
        if (!refusal) return done()
        watch(context, request, reply, { route: endpoint.name })
        sendProblem(
          context,
          request,
          reply,
          refusal,
          refusal === 'request.method-not-allowed' ? { allow: Object.keys(endpoint.methods) } : {},
        )
      },
      handler: async (request, reply) => serve(context, endpoint, request, reply),
    })
  }
}

const refuse = (context: EdgeContext, endpoint: Endpoint, request: FastifyRequest): ProblemCode | undefined => {
  // The router decodes before it matches; a guard in front of us that does not would have judged another path.
  const path = literalPath(endpoint.path, request)
  if (path === undefined) return 'endpoint.unknown'
  if (!isLiteral(request.url, path)) return 'request.path-ambiguous'
  if (isPrefetch(request.headers)) return 'request.prefetch-refused'
  const method = methodOf(endpoint, request.method)
  if (!method) return 'request.method-not-allowed'
  const code = csrfRefusal(kindOf(method.guard, request.headers), csrfFacts(request.method, request.headers), context.origin)
  if (code) noteCsrf(context, request, code, endpoint.name)
  return code
}

const REF = /^[\w-]{22}$/
const refOf = ({ params }: FastifyRequest): SessionRef | undefined => {
  const ref: unknown = typeof params === 'object' && params !== null && 'ref' in params ? params.ref : undefined
  return typeof ref === 'string' && REF.test(ref) ? (ref as SessionRef) : undefined
}

/** The one spelling of the path that was asked for; undefined: what stands in the place of `{ref}` is none. */
const literalPath = (path: string, request: FastifyRequest): string | undefined => {
  if (!path.includes('{ref}')) return path
  const ref = refOf(request)
  return ref === undefined ? undefined : path.replace('{ref}', ref)
}

const isLiteral = (url: string, path: string): boolean => url.startsWith(path) && (url.length === path.length || url[path.length] === '?')

const methodOf = (endpoint: Endpoint, method: string): EndpointMethod | undefined =>
  method === 'DELETE' || method === 'GET' || method === 'HEAD' || method === 'POST' ? endpoint.methods[method] : undefined

const serve = async (context: EdgeContext, endpoint: Endpoint, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
  const method = methodOf(endpoint, request.method)
  let ref: SessionRef | undefined
  const note = {
    route: endpoint.name,
    get sessionRef() {
      return ref
    },
  }
  watch(context, request, reply, note)
  if (!method) throw new Error('the guard lets only listed methods pass')
  const call: Call = {
    query: queryOf(request.url),
    headers: request.headers,
    cookieHeader: request.headers.cookie,
    sessionCookie: context.cookies.read(request.headers.cookie),
    visitor: visitorOf(context, request),
    ref: refOf(request),
    form: typeof request.body === 'string' ? new URLSearchParams(request.body) : undefined,
    isNavigation: isNavigation(request.headers),
    note: (used) => {
      ref = used
    },
    problem: (code, extras) => {
      noteProblem(context, request, code)
      return problemAnswer(context.problems, code, problemContext(request), extras)
    },
    noteProblem: (code) => noteProblem(context, request, code),
  }
  return sendAnswer(reply, await method.run(call))
}
