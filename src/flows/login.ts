import { randomBytes } from 'node:crypto'
import type { AuditSink } from '../domain/audit-event.ts'
import type { Metrics } from '../domain/metric.ts'
import type { ProblemCode } from '../domain/problem.ts'
import type { Authorization, Provider } from '../domain/provider.ts'
import type { SessionStore } from '../domain/session-store.ts'
import type { SetCookie } from '../domain/set-cookie.ts'
import type { Ask } from '../domain/token.ts'
import { assertNever } from '../kernel/assert.ts'
import { Secret } from '../kernel/secret.ts'
import type { Clock, Millis } from '../kernel/time.ts'
import type { Attempts } from '../login/attempts.ts'
import { loginExtras } from './login-extras.ts'
import type { Query } from './query.ts'
import type { Visitor } from './visitor.ts'

export interface LoginDeps {
  readonly app: string
  readonly provider: Pick<Provider, 'name' | 'authorizationUrl'>
  readonly attempts: Attempts
  readonly store: Pick<SessionStore, 'refOf'>
  readonly audit: AuditSink
  readonly metrics: Metrics
  readonly clock: Clock
  readonly rate: LoginRate
  /** A path on our origin, whatever came in (login/return-to.ts). */
  readonly returnTo: (raw: string | undefined) => string
  /** Scopes of the login: the configured ones and those of the user routes. */
  readonly scopes: readonly string[]
  /** What the code will be redeemed for. */
  readonly ask: Ask | undefined
}

/** How many logins may be started (edge/guard-rate.ts). */
export interface LoginRate {
  /** @returns undefined: go on, it has been counted */
  refuse(address: string): RateRefusal | undefined
}
export interface RateRefusal {
  /** Whose limit was reached: this address's, or everybody's. */
  readonly limit: 'address' | 'global'
  readonly retryAfter: Millis
  /** Worth a line in the audit stream; the others are counted only. */
  readonly isFirst: boolean
}

export interface LoginRequest {
  readonly query: Query
  readonly cookieHeader: string | undefined
  /** Value of the session cookie, if the request presented one. */
  readonly sessionCookie: string | undefined
  readonly visitor: Visitor
}

export type LoginStarted =
  | { readonly kind: 'redirect'; readonly location: string; readonly cookies: readonly SetCookie[] }
  | { readonly kind: 'parameter-invalid' }
  | { readonly kind: 'problem'; readonly code: ProblemCode; readonly returnTo: string; readonly retryAfter?: Millis }

/** GET /bff/login: nothing is stored anywhere but in this browser, so that starting logins costs the gateway nothing. */
export const login = async (deps: LoginDeps, request: LoginRequest): Promise<LoginStarted> => {
  const { query } = request
  if (query.kind === 'doubled') return { kind: 'parameter-invalid' }
  const extras = loginExtras(query.get)
  const provider = query.get('provider')
  if (!extras || (provider !== undefined && provider !== deps.provider.name)) return { kind: 'parameter-invalid' }
  return startLogin(deps, request, { returnTo: deps.returnTo(query.get('return_to')), extras, resumed: false })
}

export interface NewAttempt {
  readonly returnTo: string
  readonly extras: Readonly<Record<string, string>>
  readonly resumed: boolean
}

export const startLogin = async (
  deps: LoginDeps,
  request: Pick<LoginRequest, 'cookieHeader' | 'sessionCookie' | 'visitor'>,
  attempt: NewAttempt,
): Promise<LoginStarted> => {
  const { returnTo, extras } = attempt
  const who = { requestId: request.visitor.requestId, address: request.visitor.address, provider: deps.provider.name }
  // 1. Before anything is made or anybody asked: what is refused here costs neither us nor the provider.
  const refusal = deps.rate.refuse(who.address)
  if (refusal) {
    deps.metrics.count('sallyport_guard_rate_refusals_total', { limit: refusal.limit })
    if (refusal.isFirst) deps.audit.record({ ...who, event: 'sign-in.limited', limit: refusal.limit })
    return { kind: 'problem', code: 'login.rate-limited', returnTo, retryAfter: refusal.retryAfter }
  }
  // 2. Two halves: what must come back through the provider, and what must not leave this browser.
  const id = random(16)
  const secrets = { id, nonce: Secret.of('nonce', random(32)), verifier: Secret.of('code-verifier', random(32)) }
  // The callback cannot see the Strict cookie of the session it replaces; we can.
  const replaces = request.sessionCookie === undefined ? undefined : deps.store.refOf(request.sessionCookie)
  const state = deps.attempts.sealState({
    id,
    app: deps.app,
    provider: deps.provider.name,
    startedAt: deps.clock.now(),
    returnTo,
    resumed: attempt.resumed,
    silent: extras['prompt'] === 'none',
    replaces,
    expectSubject: undefined,
    maxAgeSeconds: undefined,
    acrValues: [],
  })
  // 3. The provider's address may need discovery, and the request a push; without them no attempt is left behind.
  const answer = await deps.provider.authorizationUrl({
    state,
    nonce: secrets.nonce,
    verifier: secrets.verifier,
    scopes: deps.scopes,
    ask: deps.ask,
    extras,
  })
  if (answer.kind !== 'url') {
    const failure = failureOf(answer)
    deps.audit.record({ ...who, event: 'sign-in.failed', ...failure })
    deps.metrics.count('sallyport_login_attempts_total', { outcome: failure.code })
    return { kind: 'problem', code: failure.code, returnTo, ...(answer.kind === 'unavailable' && { retryAfter: answer.retryAfter }) }
  }
  deps.audit.record({ ...who, sessionRef: replaces, event: 'sign-in.started' })
  // 4. An empty fragment of our own stops the browser from carrying the page's fragment to the provider (browser-facts §3).
  return { kind: 'redirect', location: `${answer.url}#`, cookies: deps.attempts.issue(secrets, request.cookieHeader) }
}

const failureOf = (
  answer: Exclude<Authorization, { kind: 'url' }>,
): { readonly code: ProblemCode; readonly check?: string; readonly providerCode?: string } => {
  switch (answer.kind) {
    case 'unavailable':
      return { code: 'provider.unavailable', check: answer.cause }
    case 'refused':
      return { code: 'login.request-refused', providerCode: answer.providerCode }
    case 'credential-rejected':
      return { code: 'token.credential-rejected', providerCode: answer.providerCode }
    default:
      return assertNever(answer)
  }
}

const random = (bytes: number): string => randomBytes(bytes).toString('base64url')
