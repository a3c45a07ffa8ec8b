import { randomBytes } from 'node:crypto'
import type { AuditSink } from '../domain/audit-event.ts'
import type { Provider } from '../domain/provider.ts'
import type { SessionStore } from '../domain/session-store.ts'
import type { SetCookie } from '../domain/set-cookie.ts'
import type { Ask } from '../domain/token.ts'
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
  readonly clock: Clock
  /** A path on our origin, whatever came in (login/return-to.ts). */
  readonly returnTo: (raw: string | undefined) => string
  /** Scopes of the login: the configured ones and those of the user routes. */
  readonly scopes: readonly string[]
  /** What the code will be redeemed for. */
  readonly ask: Ask | undefined
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
  | { readonly kind: 'unavailable'; readonly retryAfter: Millis; readonly returnTo: string }

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
  // 1. Two halves: what must come back through the provider, and what must not leave this browser.
  const id = random(16)
  const secrets = { id, nonce: Secret.of('nonce', random(32)), verifier: Secret.of('code-verifier', random(32)) }
  // The callback cannot see the Strict cookie of the session it replaces; we can.
  const replaces = request.sessionCookie === undefined ? undefined : deps.store.refOf(request.sessionCookie)
  const state = deps.attempts.sealState({
    id,
    app: deps.app,
    provider: deps.provider.name,
    startedAt: deps.clock.now(),
    returnTo: attempt.returnTo,
    resumed: attempt.resumed,
    replaces,
    expectSubject: undefined,
    maxAgeSeconds: undefined,
    acrValues: [],
  })
  // 2. The provider's address may need discovery; without it no attempt is left behind.
  const answer = await deps.provider.authorizationUrl({
    state,
    nonce: secrets.nonce,
    verifier: secrets.verifier,
    scopes: deps.scopes,
    ask: deps.ask,
    extras: attempt.extras,
  })
  if (answer.kind === 'unavailable') return { kind: 'unavailable', retryAfter: answer.retryAfter, returnTo: attempt.returnTo }
  const { requestId, address } = request.visitor
  deps.audit.record({ requestId, address, provider: deps.provider.name, sessionRef: replaces, event: 'sign-in.started' })
  // 3. An empty fragment of our own stops the browser from carrying the page's fragment to the provider (browser-facts §3).
  return { kind: 'redirect', location: `${answer.url}#`, cookies: deps.attempts.issue(secrets, request.cookieHeader) }
}

const random = (bytes: number): string => randomBytes(bytes).toString('base64url')
