import httpProxy from '@fastify/http-proxy'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { AuditWho } from '../domain/audit-event.ts'
import type { Broker } from '../domain/broker.ts'
import type { BearerCaller } from '../domain/caller.ts'
import type { ProblemCode } from '../domain/problem.ts'
import { problem } from '../domain/problem.ts'
import type { Route } from '../domain/route.ts'
import type { SessionStore } from '../domain/session-store.ts'
import type { HeldSession, Opened, Session } from '../domain/session.ts'
import type { AccessToken, TokenOutcome } from '../domain/token.ts'
import type { CallerIdentity } from '../flows/caller-identity.ts'
import { problemOf } from '../flows/session-problem.ts'
import type { CanonicalTarget } from '../policy/canonical-path.ts'
import { canonicalPath } from '../policy/canonical-path.ts'
import type { Asking, Decision } from '../policy/decide.ts'
import type { RouteTable } from '../policy/route-table.ts'
import type { Forwarder } from '../proxy/forwarder.ts'
import type { Instant, Millis } from '../kernel/time.ts'
import { after } from '../kernel/time.ts'
import { challenge } from './bearer-challenge.ts'
import type { EdgeContext } from './edge-context.ts'
import { noteCsrf, sendProblem, visitorOf, watch } from './edge-context.ts'
import { csrfFacts, csrfRefusal, isPreflight } from './guard-csrf.ts'
import { noteAllowed } from './note-allowed.ts'
import { metadataUrl } from './protected-resource.ts'
import type { BearerRoutesDeps, Hands } from './proxy-bearer.ts'
import { bearerDoor } from './proxy-bearer.ts'
import type { ProblemExtras } from './render-problem.ts'

export interface ProxyRoutesDeps {
  readonly table: RouteTable
  /** The compiled `allow` of a route; undefined: everybody, without a session. */
  readonly decide: (route: Route) => ((asking: Asking) => Decision) | undefined
  readonly store: Pick<SessionStore, 'peek' | 'open' | 'touch'>
  readonly broker: Pick<Broker, 'peekUser' | 'user' | 'peekApp' | 'app' | 'peekBearer' | 'bearer' | 'isConfirmed' | 'confirm'>
  readonly forwarder: Pick<Forwarder, 'forward'>
  /** Callers that bring an access token; absent: no route takes any. */
  readonly bearer?: BearerRoutesDeps | undefined
  /** What a route's upstream is told of who calls, beside the token. */
  readonly identity?: ((route: Route) => CallerIdentity | undefined) | undefined
  /** Counts the requests that wait for their session or token, which the forwarder does not know yet: a drain must not forget them. */
  readonly waiting?: { count: number }
  /** `session.idle_timeout`; without it streams outlive an idle end. */
  readonly idleTimeout?: Millis
}

/** If anyone removes the preHandler, the route fails closed: nothing is ever proxied without our rules. */
const neverUsed = {
  request: (): never => {
    throw new Error('reply-from must not be reached')
  },
}
const METHODS = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT']

/** One registration per route (proxy-transport.md §3). Guards bind to the registration's own route, never to what a URL looks like. */
export const registerProxyRoutes = (app: FastifyInstance, context: EdgeContext, deps: ProxyRoutesDeps): void => {
  for (const route of deps.table.routes) registerProxy(app, route, proxyPreHandler(context, deps, route))
}

export type SyncPreHandler = (request: FastifyRequest, reply: FastifyReply, done: () => void) => void

export const registerProxy = (app: FastifyInstance, route: Route, preHandler: SyncPreHandler): void => {
  app.register(httpProxy, {
    upstream: route.upstream.origin,
    prefix: route.path,
    httpMethods: METHODS,
    undici: neverUsed,
    websocket: false,
    preHandler,
  })
}

/**
 * The hot path is synchronous from here to the upstream's socket. `done` is never called: either the reply is taken over by the forwarder, or a problem
 * is sent. What this replica does not hold in memory takes the one slow path, which ends in the same forward.
 */
const proxyPreHandler = (context: EdgeContext, deps: ProxyRoutesDeps, route: Route): SyncPreHandler => {
  const { token } = route
  const { principal } = token
  const methods = new Set(route.methods)
  const decide = deps.decide(route)
  const isOpen = principal === 'none' && decide === undefined
  const { store, broker, waiting = { count: 0 } } = deps

  const noteRuled = noteAllowed(context, route)
  const identity = deps.identity?.(route)
  const takesSessions = route.callers?.includes('session') ?? true
  const takesBearers = route.callers?.includes('bearer') === true
  // RFC 9110 §15.5.2: a 401 says how else one could call.
  const alternative = takesBearers ? challenge(metadataUrl(context.origin, route.path)) : undefined

  const refuse = (request: FastifyRequest, reply: FastifyReply, code: ProblemCode, session?: Session, extras?: ProblemExtras): void => {
    watch(context, request, reply, { route: route.name, principal, sessionRef: session?.ref })
    const isBare = alternative !== undefined && problem(code).status === 401
    sendProblem(context, request, reply, code, isBare ? { challenge: alternative, ...extras } : extras)
  }

  const deny = (
    request: FastifyRequest,
    reply: FastifyReply,
    decision: Extract<Decision, { effect: 'refuse' }>,
    session: Session,
  ): void => {
    const { requestId, address } = visitorOf(context, request)
    const { code, rule } = decision
    context.audit.record({ requestId, address, ...whoOf(session), event: 'access.denied', route: route.name, principal, code, rule })
    refuse(request, reply, code, session)
  }

  const forward = (request: FastifyRequest, reply: FastifyReply, target: CanonicalTarget, from: Arrived, access?: AccessToken): void => {
    const { session, lastSeenAt } = from
    if (session) noteRuled(request, session, whoOf)
    reply.hijack()
    const idleEndsAt = lastSeenAt !== undefined && deps.idleTimeout !== undefined ? after(lastSeenAt, deps.idleTimeout) : undefined
    deps.forwarder.forward({
      request: request.raw,
      response: reply.raw,
      route,
      path: target.path,
      query: target.query,
      requestId: request.id,
      token: access?.token,
      access,
      held: from.held,
      identity: session && identity?.ofSession(session, request.id, context.clock.now()),
      session: session && { ref: session.ref, endsAt: session.card.endsAt, idleEndsAt },
      principal,
      startedAt: from.startedAt,
    })
  }

  /** Behind the request: counted for a drain, and what escapes is answered. */
  const later: Hands['later'] = (request, reply, work) => {
    waiting.count += 1
    const answered = work.finally(() => {
      waiting.count -= 1
    })
    answered.catch((error: unknown) => {
      const cause = error instanceof Error ? error.name : 'unknown'
      context.log.error({ requestId: request.id, route: route.name, code: 'gateway.failed', cause }, 'proxied request failed')
      // After the hijack the answer is the forwarder's; it does not throw for what a request can contain, so cutting is all that is left.
      if (reply.sent) reply.raw.destroy()
      else refuse(request, reply, 'gateway.failed')
    })
  }

  const forwardBearer: Hands['forward'] = (request, reply, target, startedAt, { caller }, access) => {
    noteRuled(request, caller, whoCalls)
    reply.hijack()
    deps.forwarder.forward({
      request: request.raw,
      response: reply.raw,
      route,
      path: target.path,
      query: target.query,
      requestId: request.id,
      token: access?.token,
      access,
      caller,
      identity: identity?.ofCaller(caller, request.id, context.clock.now()),
      // Nothing that was opened with a token outlives it.
      session: { ref: undefined, endsAt: caller.expiresAt },
      principal,
      startedAt,
    })
  }
  const bearer =
    takesBearers && deps.bearer
      ? bearerDoor(context, deps, deps.bearer, route, {
          refuse: (request, reply, code, extras) => refuse(request, reply, code, undefined, extras),
          forward: forwardBearer,
          later,
        })
      : undefined

  /** In memory, or undefined. */
  const peekToken = (held: HeldSession, now: Instant): Ready | undefined => {
    if (token.principal === 'user') {
      const access = broker.peekUser(held, token.ask, now)
      return access && { access }
    }
    if (!broker.isConfirmed(held, now)) return undefined
    if (token.principal === 'none') return { access: undefined }
    const access = broker.peekApp(token.ask, now)
    return access && { access }
  }

  const obtain = async (held: HeldSession): Promise<Ready | Exclude<TokenOutcome, { kind: 'issued' }>> => {
    if (token.principal !== 'user') {
      const confirmed = await broker.confirm(held)
      if (confirmed.kind !== 'confirmed') return confirmed
      if (token.principal === 'none') return { access: undefined }
    }
    const outcome = await (token.principal === 'user' ? broker.user(held, token.ask) : broker.app(token.ask))
    return outcome.kind === 'issued' ? { access: outcome.access } : outcome
  }

  const look = async (cookie: string): Promise<Opened> => {
    const held = store.peek(cookie, context.clock.now())
    return held ? { kind: 'found', held } : store.open(cookie)
  }

  const slow = async (request: FastifyRequest, reply: FastifyReply, target: CanonicalTarget, cookie: string, startedAt: number) => {
    // 1. Open.
    const opened = await store.open(cookie)
    if (opened.kind !== 'found') return refuse(request, reply, problemOf(opened))
    const { held } = opened
    const { session } = held
    // 2. Decide before anything is asked of the provider on behalf of somebody who may not.
    const decision = decide?.(session)
    if (decision?.effect === 'refuse') return deny(request, reply, decision, session)
    // 3. Confirm, and get the token.
    const wasConfirmed = broker.isConfirmed(held, context.clock.now())
    const ready = await obtain(held)
    if ('kind' in ready) {
      const retryAfterSeconds = ready.kind === 'unavailable' ? ready.retryAfter / 1000 : undefined
      return refuse(request, reply, ready.code, session, { retryAfterSeconds })
    }
    // 4. Whoever renewed the session brought newer claims with it, and what was decided above was decided by the older ones.
    const isAsOpened = token.principal === 'user' ? session.tokens.get(token.ask.key) === ready.access : wasConfirmed
    const newest = isAsOpened ? opened : await look(cookie)
    if (newest.kind !== 'found') return refuse(request, reply, problemOf(newest), session)
    const { session: current } = newest.held
    const decidedAgain = isAsOpened ? undefined : decide?.(current)
    if (decidedAgain?.effect === 'refuse') return deny(request, reply, decidedAgain, current)
    store.touch(newest.held, context.clock.now())
    // 5. The browser may have left meanwhile: the forwarder sees that and accounts for it.
    forward(request, reply, target, { startedAt, session: current, lastSeenAt: newest.held.lastSeenAt, held: newest.held }, ready.access)
  }

  return (request, reply) => {
    const startedAt = performance.now()
    const { raw } = request
    // 1. One reading of the path, and it is this route's.
    const target = canonicalPath(raw.url ?? '')
    if (!target) return refuse(request, reply, 'request.path-ambiguous')
    if (deps.table.match(target.path) !== route) return refuse(request, reply, 'endpoint.unknown')
    if (bearer?.(request, reply, target, startedAt)) return
    // Fails closed, should a route take bearers only and nobody there to take them.
    if (!takesSessions) return refuse(request, reply, 'gateway.failed')
    const method = raw.method ?? ''
    if (isOpen) {
      // CORS is the gateway's to decide: an upstream that answers preflights would decide it for us.
      if (isPreflight(method, raw.headers)) {
        noteCsrf(context, request, 'csrf.origin-mismatch', route.name)
        return refuse(request, reply, 'csrf.origin-mismatch')
      }
      if (!methods.has(method)) return refuse(request, reply, 'request.method-not-allowed', undefined, { allow: route.methods })
      return forward(request, reply, target, { startedAt, session: undefined })
    }
    // 2. CSRF before the method, so that a preflight from elsewhere is told nothing.
    const csrf = csrfRefusal('api', csrfFacts(method, raw.headers), context.origin)
    if (csrf) {
      noteCsrf(context, request, csrf, route.name)
      return refuse(request, reply, csrf)
    }
    if (!methods.has(method)) return refuse(request, reply, 'request.method-not-allowed', undefined, { allow: route.methods })
    // 3. Session, rule, token: all from memory, or all by the slow path.
    const cookie = context.cookies.read(raw.headers.cookie)
    if (cookie === undefined) return refuse(request, reply, 'session.absent')
    const now = context.clock.now()
    const held = store.peek(cookie, now)
    if (held) {
      const decision = decide?.(held.session)
      if (decision?.effect === 'refuse') return deny(request, reply, decision, held.session)
      const ready = peekToken(held, now)
      if (ready) {
        store.touch(held, now)
        return forward(request, reply, target, { startedAt, session: held.session, lastSeenAt: held.lastSeenAt, held }, ready.access)
      }
    }
    later(request, reply, slow(request, reply, target, cookie, startedAt))
  }
}

const whoOf = ({ ref, card: { subject, tenant, provider } }: Session): AuditWho => ({ sessionRef: ref, provider, subject, tenant })
const whoCalls = ({ subject, tenant }: BearerCaller): AuditWho => ({ subject, tenant })

interface Arrived {
  readonly startedAt: number
  readonly session: Session | undefined
  readonly held?: HeldSession
  /** After this request's touch. */
  readonly lastSeenAt?: Instant
}
interface Ready {
  readonly access: AccessToken | undefined
}
