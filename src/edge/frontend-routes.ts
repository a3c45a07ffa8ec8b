import type { FastifyInstance } from 'fastify'
import { ENDPOINTS } from '../contract/paths.ts'
import type { Route } from '../domain/route.ts'
import type { SessionStore } from '../domain/session-store.ts'
import type { HeldSession } from '../domain/session.ts'
import { problemOf, outageOf } from '../flows/session-problem.ts'
import { canonicalPath } from '../policy/canonical-path.ts'
import { claims } from '../policy/route-table.ts'
import type { Forwarder } from '../proxy/forwarder.ts'
import { redirectAnswer, sendAnswer } from './answer.ts'
import type { EdgeContext } from './edge-context.ts'
import { sendProblem, watch } from './edge-context.ts'
import type { Entry, FrontendFiles, Gate } from './frontend-files.ts'
import { registerFiles } from './frontend-files.ts'
import { csrfFacts, isNavigation } from './guard-csrf.ts'
import { bounceAnswer } from './pages/onward.ts'
import { registerProxy } from './proxy-routes.ts'
import { loginUrl } from './render-problem.ts'

export type Frontend =
  | ({ readonly kind: 'dir' } & FrontendFiles)
  /** A route for everything that nobody else claims: path '', principal none. */
  | { readonly kind: 'upstream'; readonly route: Route }
  | { readonly kind: 'none' }

export interface FrontendRoutesDeps {
  readonly frontend: Frontend
  /** Path prefixes of pages that need a session. */
  readonly requireSignIn: readonly string[]
  readonly store: Pick<SessionStore, 'peek' | 'open' | 'touch'>
  readonly forwarder: Pick<Forwarder, 'forward'>
}

const LABEL = 'frontend'

export const registerFrontend = (app: FastifyInstance, context: EdgeContext, deps: FrontendRoutesDeps): void => {
  const { frontend } = deps
  const gate = signInGate(context, deps)
  if (frontend.kind === 'dir') registerFiles(app, context, frontend, gate)
  if (frontend.kind === 'upstream') registerUpstream(app, context, deps, frontend.route, gate)
}

const EVERYBODY: Entry = { held: undefined }

/** Spec §3 "Deep links with Strict". Only for pages of the frontend: a bounce on an API would turn another site's link into a same-origin request. */
const signInGate = (context: EdgeContext, deps: FrontendRoutesDeps): Gate => {
  const { store } = deps
  // `/` is everything. Without regard to case: an upstream, or a file system, that folds it would hand out /App for /app.
  const prefixes = deps.requireSignIn.map((prefix) => (prefix === '/' ? '' : prefix.toLowerCase()))
  const enter = (held: HeldSession): Entry => {
    store.touch(held, context.clock.now())
    return { held }
  }
  return (request, reply, path) => {
    const folded = path.toLowerCase()
    if (!prefixes.some((prefix) => claims(prefix, folded))) return EVERYBODY
    const facts = csrfFacts(request.method, request.headers)
    const isPage =
      request.method === 'GET' &&
      isNavigation(request.headers) &&
      (facts.dest === undefined || facts.dest === 'document' || facts.dest === 'empty')
    const cookie = context.cookies.read(request.headers.cookie)
    if (cookie === undefined) {
      watch(context, request, reply, { route: LABEL })
      if (!isPage) sendProblem(context, request, reply, 'session.absent')
      // Not same-origin (`none` included: Firefox and redirecting short links): the cookie may exist and just not have been sent.
      else if (facts.site !== 'same-origin')
        sendAnswer(reply, bounceAnswer(context.https, context.basePath + ENDPOINTS.continue, request.url))
      else sendAnswer(reply, redirectAnswer(context.https, 302, loginUrl(context.problems, request.url)))
      return undefined
    }
    const here = store.peek(cookie, context.clock.now())
    if (here) return enter(here)
    return store.open(cookie).then((opened) => {
      if (opened.kind === 'found') return enter(opened.held)
      watch(context, request, reply, { route: LABEL })
      if (isPage && !outageOf(opened)) sendAnswer(reply, redirectAnswer(context.https, 302, loginUrl(context.problems, request.url)))
      else sendProblem(context, request, reply, problemOf(opened))
      return undefined
    })
  }
}

const registerUpstream = (app: FastifyInstance, context: EdgeContext, deps: FrontendRoutesDeps, route: Route, gate: Gate): void => {
  registerProxy(app, route, (request, reply) => {
    const startedAt = performance.now()
    const target = canonicalPath(request.raw.url ?? '')
    if (!target) {
      watch(context, request, reply, { route: LABEL })
      return sendProblem(context, request, reply, 'request.path-ambiguous')
    }
    const forward = ({ held }: Entry): void => {
      reply.hijack()
      const { path, query } = target
      const from = { request: request.raw, response: reply.raw, requestId: request.id, startedAt }
      const session = held && { ref: held.session.ref, endsAt: held.session.card.endsAt }
      // The browser's copies too: a page that came with the cookie may show what is private, and the back button would after sign-out.
      const keepsNoPages = session !== undefined || context.cookies.read(request.headers.cookie) !== undefined
      deps.forwarder.forward({ ...from, route, path, query, token: undefined, session, principal: 'none', keepsNoPages })
    }
    const entry = gate(request, reply, target.path)
    if (!(entry instanceof Promise)) {
      if (entry) forward(entry)
      return
    }
    entry
      .then((entered) => {
        if (entered) forward(entered)
      })
      .catch((error: unknown) => {
        context.log.error({ requestId: request.id, route: LABEL, cause: nameOf(error) }, 'frontend request failed')
        if (reply.sent) {
          reply.raw.destroy()
          return
        }
        watch(context, request, reply, { route: LABEL })
        sendProblem(context, request, reply, 'gateway.failed')
      })
  })
}

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : 'unknown')
