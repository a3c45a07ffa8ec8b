import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Broker } from '../domain/broker.ts'
import type { ProblemCode } from '../domain/problem.ts'
import type { Route } from '../domain/route.ts'
import type { AccessToken, TokenOutcome } from '../domain/token.ts'
import type { BearerCallers, CallerRead, KnownCaller } from '../flows/bearer-callers.ts'
import { assertNever } from '../kernel/assert.ts'
import type { CanonicalTarget } from '../policy/canonical-path.ts'
import type { Asking, Decision } from '../policy/decide.ts'
import type { ChallengeError } from './bearer-challenge.ts'
import { challenge, presentedBearer } from './bearer-challenge.ts'
import type { EdgeContext } from './edge-context.ts'
import { noteCsrf, visitorOf } from './edge-context.ts'
import { isPreflight } from './guard-csrf.ts'
import { metadataUrl } from './protected-resource.ts'
import type { ProblemExtras } from './render-problem.ts'

export interface BearerRoutesDeps {
  readonly callers: BearerCallers
  /** The compiled `allow` of a route, for applications that call for themselves. */
  readonly decideForApplications: (route: Route) => ((asking: Asking) => Decision) | undefined
}

interface RouteDeps {
  readonly decide: (route: Route) => ((asking: Asking) => Decision) | undefined
  readonly broker: Pick<Broker, 'peekBearer' | 'bearer' | 'peekApp' | 'app'>
}

/** What the route does for any caller; proxy-routes.ts. */
export interface Hands {
  readonly refuse: (request: FastifyRequest, reply: FastifyReply, code: ProblemCode, extras?: ProblemExtras) => void
  readonly forward: (
    request: FastifyRequest,
    reply: FastifyReply,
    target: CanonicalTarget,
    startedAt: number,
    known: KnownCaller,
    access: AccessToken | undefined,
  ) => void
  /** Work that the request waits for. */
  readonly later: (request: FastifyRequest, reply: FastifyReply, work: Promise<void>) => void
}

/** Takes requests of callers that bring an access token; false: this one is the cookie's. */
export type BearerDoor = (request: FastifyRequest, reply: FastifyReply, target: CanonicalTarget, startedAt: number) => boolean

/**
 * The other way into a route (`callers: [bearer]`). No CSRF guard: no page can make a browser send this header by itself, and a preflight is refused. A
 * token that is known is judged without a promise, like a session in memory.
 */
export const bearerDoor = (
  context: EdgeContext,
  { decide, broker }: RouteDeps,
  deps: BearerRoutesDeps,
  route: Route,
  hands: Hands,
): BearerDoor => {
  const { token } = route
  const { principal } = token
  const methods = new Set(route.methods)
  const takesSessions = route.callers?.includes('session') ?? true
  const decideUser = decide(route)
  const decideApplication = deps.decideForApplications(route)
  const metadata = metadataUrl(context.origin, route.path)

  const refuse = (
    request: FastifyRequest,
    reply: FastifyReply,
    code: ProblemCode,
    error?: ChallengeError,
    extras: ProblemExtras = {},
  ): void => hands.refuse(request, reply, code, { ...extras, challenge: challenge(metadata, error) })

  const deny = (request: FastifyRequest, reply: FastifyReply, { caller }: KnownCaller, code: ProblemCode, rule: string): void => {
    const { requestId, address } = visitorOf(context, request)
    const who = { requestId, address, subject: caller.subject, tenant: caller.tenant }
    context.audit.record({ ...who, event: 'access.denied', route: route.name, principal, code, rule })
    // RFC 6750 §3.1; which scope it would take is told by nobody.
    if (rule === 'scope') refuse(request, reply, code, 'insufficient_scope')
    else hands.refuse(request, reply, code)
  }

  const fail = (request: FastifyRequest, reply: FastifyReply, outcome: Exclude<TokenOutcome, { kind: 'issued' }>): void => {
    if (outcome.kind === 'unavailable') return hands.refuse(request, reply, outcome.code, { retryAfterSeconds: outcome.retryAfter / 1000 })
    switch (outcome.code) {
      case 'token.assertion-rejected':
        return refuse(request, reply, outcome.code, 'invalid_token')
      case 'session.step-up-required':
        return refuse(request, reply, 'caller.step-up-required', 'insufficient_user_authentication')
      case 'token.consent-required':
        return hands.refuse(request, reply, 'token.audience-denied') // no page of ours could ask for it
      default:
        return hands.refuse(request, reply, outcome.code)
    }
  }

  /** From here on somebody is known. */
  const proceed = (request: FastifyRequest, reply: FastifyReply, target: CanonicalTarget, startedAt: number, known: KnownCaller): void => {
    const { caller } = known
    // 1. Never an application in a user's place (spec §1, rule 3).
    if (token.principal === 'user' && caller.kind !== 'user') {
      context.metrics.count('sallyport_broker_principal_mismatches_total', { grant: (token.bearerAsk ?? token.ask).grant })
      return deny(request, reply, known, 'caller.user-required', 'principal')
    }
    // 2. The rule. An application needs one that names it; of a user on an application's route the application it came through opens nothing.
    const decision =
      caller.kind === 'application'
        ? decideApplication?.(known.asking)
        : decideUser?.(principal === 'user' ? known.asking : known.askingAsUser)
    if (!decision) return deny(request, reply, known, 'policy.denied', 'allow')
    if (decision.effect === 'refuse') return deny(request, reply, known, decision.code, decision.rule)
    // 3. The token for the upstream.
    if (token.principal === 'none') return hands.forward(request, reply, target, startedAt, known, undefined)
    const now = context.clock.now()
    const ask = token.principal === 'user' ? token.bearerAsk : token.ask
    if (!ask) return hands.refuse(request, reply, 'gateway.failed') // check.ts lets no such route start
    const access = token.principal === 'user' ? broker.peekBearer(caller, ask, now) : broker.peekApp(ask, now)
    if (access) return hands.forward(request, reply, target, startedAt, known, access)
    const obtain = async (): Promise<void> => {
      const outcome = await (token.principal === 'user' ? broker.bearer(caller, ask) : broker.app(ask))
      if (outcome.kind !== 'issued') return fail(request, reply, outcome)
      // The provider may have taken its time: a token that ended meanwhile carries nothing any more.
      if (caller.expiresAt <= context.clock.now()) return refuse(request, reply, 'caller.token-invalid', 'invalid_token')
      hands.forward(request, reply, target, startedAt, known, outcome.access)
    }
    hands.later(request, reply, obtain())
  }

  const answerRead = (request: FastifyRequest, reply: FastifyReply, read: Exclude<CallerRead, { kind: 'valid' }>): void => {
    switch (read.kind) {
      case 'invalid':
        return refuse(request, reply, 'caller.token-invalid', 'invalid_token')
      case 'limited':
        return hands.refuse(request, reply, 'caller.rate-limited', { retryAfterSeconds: read.retryAfter / 1000 })
      case 'overloaded':
        return hands.refuse(request, reply, 'proxy.overloaded')
      case 'unavailable':
        return hands.refuse(request, reply, 'provider.unavailable', { retryAfterSeconds: read.retryAfter / 1000 })
      default:
        return assertNever(read)
    }
  }

  const take = (request: FastifyRequest, reply: FastifyReply, target: CanonicalTarget, startedAt: number): void => {
    const { raw } = request
    const method = raw.method ?? ''
    const presented = presentedBearer(raw)
    if (presented.kind === 'doubled') return hands.refuse(request, reply, 'request.malformed')
    // Two identities, one request: which of them an answer is for could not be told, and a page could lend its session to a token of somebody else's.
    if (presented.kind !== 'nothing' && context.cookies.read(raw.headers.cookie) !== undefined)
      return hands.refuse(request, reply, 'caller.ambiguous')
    if (isPreflight(method, raw.headers)) {
      noteCsrf(context, request, 'csrf.origin-mismatch', route.name)
      return hands.refuse(request, reply, 'csrf.origin-mismatch')
    }
    if (!methods.has(method)) return hands.refuse(request, reply, 'request.method-not-allowed', { allow: route.methods })
    if (presented.kind === 'nothing' || presented.kind === 'other') return refuse(request, reply, 'caller.token-absent')
    if (presented.kind === 'malformed') return refuse(request, reply, 'caller.token-invalid', 'invalid_token')
    const known = deps.callers.peek(presented.token, context.clock.now())
    if (known === 'refused') return refuse(request, reply, 'caller.token-invalid', 'invalid_token')
    if (known) return proceed(request, reply, target, startedAt, known)
    const read = async (): Promise<void> => {
      const answer = await deps.callers.read(presented.token, visitorOf(context, request))
      if (answer.kind === 'valid') proceed(request, reply, target, startedAt, answer.known)
      else answerRead(request, reply, answer)
    }
    hands.later(request, reply, read())
  }

  return (request, reply, target, startedAt) => {
    if (takesSessions && request.raw.headers.authorization === undefined) return false
    take(request, reply, target, startedAt)
    return true
  }
}
