import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { ENDPOINTS } from '../contract/paths.ts'
import type { Route } from '../domain/route.ts'
import type { SessionStore } from '../domain/session-store.ts'
import type { HeldSession, SessionRef } from '../domain/session.ts'
import { problemOf, outageOf } from '../flows/session-problem.ts'
import { canonicalPath } from '../policy/canonical-path.ts'
import { claims } from '../policy/route-table.ts'
import type { Forwarder } from '../proxy/forwarder.ts'
import { redirectAnswer, sendAnswer } from './answer.ts'
import type { EdgeContext } from './edge-context.ts'
import { sendProblem, watch } from './edge-context.ts'
import { csrfFacts } from './guard-csrf.ts'
import { isNavigation } from './guard-csrf.ts'
import { bounceAnswer } from './pages/onward.ts'
import { registerProxy } from './proxy-routes.ts'
import { loginUrl } from './render-problem.ts'

export type Frontend =
  | { readonly kind: 'dir'; readonly dir: string }
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
  if (frontend.kind === 'dir') registerFiles(app, context, frontend.dir, gate)
  if (frontend.kind === 'upstream') registerUpstream(app, context, deps, frontend.route, gate)
}

/** With `held`, what follows is that session's: no shared cache may keep it, and it ends with the session. */
interface Entry {
  readonly held: HeldSession | undefined
}
const EVERYBODY: Entry = { held: undefined }
/** undefined: it has been answered. */
type Gate = (request: FastifyRequest, reply: FastifyReply, path: string) => Entry | undefined | Promise<Entry | undefined>

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
      deps.forwarder.forward({ ...from, route, path, query, token: undefined, session, principal: 'none' })
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

/** Names with a content hash, as bundlers make them, never change their content. */
const HASHED = /[.-](?=[\w-]*\d)[\w-]{8,}\.[a-z0-9]{2,5}$/i
const FRONTEND_CSP =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"

const registerFiles = (app: FastifyInstance, context: EdgeContext, dir: string, gate: Gate): void => {
  // Only decorates `sendFile`: every file is asked for by the one handler below, after the gate.
  app.register(fastifyStatic, {
    root: dir,
    serve: false,
    dotfiles: 'ignore',
    redirect: false,
    cacheControl: false,
    setHeaders: (reply, file) => {
      // Pages may hold what only the signed-in person should see, and the back button must not show them again after sign-out.
      const isPage = file.endsWith('.html')
      const policy = isPage ? 'no-store' : HASHED.test(file) ? 'public, max-age=31536000, immutable' : 'no-cache'
      if (!reply.hasHeader('cache-control')) reply.header('cache-control', policy)
      reply.header('x-content-type-options', 'nosniff')
      reply.header('referrer-policy', 'strict-origin-when-cross-origin')
      reply.header('cross-origin-resource-policy', 'same-origin')
      if (isPage) reply.header('content-security-policy', FRONTEND_CSP)
      if (context.https) reply.header('strict-transport-security', 'max-age=31536000; includeSubDomains')
    },
  })
  app.route({
    method: ['GET', 'HEAD'],
    url: '/*',
    handler: async (request, reply) => {
      const note: { route: string; sessionRef?: SessionRef } = { route: LABEL }
      watch(context, request, reply, note)
      const target = canonicalPath(request.url)
      if (!target) return void sendProblem(context, request, reply, 'request.path-ambiguous')
      const entry = await gate(request, reply, target.path)
      if (!entry) return reply
      // Behind the gate nothing is public, whatever its name: a shared cache would hand it to those whom the gate stops.
      if (entry.held) {
        note.sessionRef = entry.held.session.ref
        reply.header('cache-control', 'no-store')
      }
      const file = await fileFor(dir, target.path)
      if (file !== undefined) return reply.sendFile(file)
      // The frontend's own router knows the rest of its paths; a missing script or image is just missing.
      if (isNavigation(request.headers) && (await isFile(join(dir, 'index.html')))) return reply.sendFile('index.html')
      sendProblem(context, request, reply, 'endpoint.unknown')
      return reply
    },
  })
}

/** Relative path of the file a canonical path names; a folder names its index. */
const fileFor = async (dir: string, path: string): Promise<string | undefined> => {
  const relative = decodeURIComponent(path).slice(1)
  if (relative !== '' && !relative.endsWith('/') && (await isFile(join(dir, relative)))) return relative
  const index = relative === '' || relative.endsWith('/') ? `${relative}index.html` : `${relative}/index.html`
  return (await isFile(join(dir, index))) ? index : undefined
}

const isFile = async (path: string): Promise<boolean> => {
  try {
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}
