import { ENDPOINTS } from '../contract/paths.ts'
import type { ProblemCode } from '../domain/problem.ts'
import type { SessionStore } from '../domain/session-store.ts'
import type { SessionCookie } from '../domain/session.ts'
import type { SetCookie } from '../domain/set-cookie.ts'
import type { CalledBack, CallbackRequest } from '../flows/callback.ts'
import type { Resumed } from '../flows/login-resume.ts'
import type { LoginRequest, LoginStarted } from '../flows/login.ts'
import { outageOf } from '../flows/session-problem.ts'
import { assertNever } from '../kernel/assert.ts'
import type { Millis } from '../kernel/time.ts'
import type { Answer } from './answer.ts'
import { redirectAnswer, withCookies } from './answer.ts'
import type { EdgeContext } from './edge-context.ts'
import type { Call, Endpoint } from './endpoint.ts'
import { refreshAnswer, signInAnswer } from './pages/onward.ts'
import { loginUrl } from './render-problem.ts'

export interface LoginRoutesDeps {
  readonly login: (request: LoginRequest) => Promise<LoginStarted>
  readonly callback: (request: CallbackRequest) => Promise<CalledBack>
  readonly resume: (request: LoginRequest) => Promise<Resumed>
  readonly store: Pick<SessionStore, 'open'>
  /** A path on our origin, whatever came in. */
  readonly returnTo: (raw: string | undefined) => string
  readonly setCookie: (cookie: SessionCookie) => SetCookie
}

/** All of them are navigated to: no fetch, frame or image may start or spend an attempt. */
export const loginEndpoints = (context: EdgeContext, deps: LoginRoutesDeps): readonly Endpoint[] => {
  const { basePath, https } = context
  const page = (run: (call: Call) => Promise<Answer>) => ({ GET: { guard: 'page' as const, run } })

  const started = (call: Call, outcome: LoginStarted): Answer => {
    switch (outcome.kind) {
      case 'redirect':
        return withCookies(redirectAnswer(https, 302, outcome.location), outcome.cookies)
      case 'parameter-invalid':
        return call.problem('request.parameter-invalid')
      case 'problem':
        return failed(call, outcome)
      default:
        return assertNever(outcome)
    }
  }

  const failed = (call: Call, outcome: { code: ProblemCode; returnTo: string | undefined; retryAfter?: Millis }): Answer =>
    call.problem(outcome.code, {
      returnTo: outcome.returnTo,
      retryAfterSeconds: outcome.retryAfter === undefined ? undefined : outcome.retryAfter / 1000,
    })

  const login = async (call: Call): Promise<Answer> => started(call, await deps.login(call))

  const resume = async (call: Call): Promise<Answer> => {
    const outcome = await deps.resume(call)
    if (outcome.kind === 'signed-in') return redirectAnswer(https, 303, outcome.returnTo)
    return started(call, outcome)
  }

  const callback = async (call: Call): Promise<Answer> => {
    const outcome = await deps.callback(call)
    switch (outcome.kind) {
      case 'signed-in':
        return withCookies(refreshAnswer(https, outcome.returnTo), [deps.setCookie(outcome.cookie), outcome.clears])
      case 'resume': {
        const to = `${basePath}${ENDPOINTS.loginResume}?return_to=${encodeURIComponent(outcome.returnTo)}${outcome.last ? '&last=1' : ''}`
        return withCookies(refreshAnswer(https, to), outcome.clears === undefined ? [] : [outcome.clears])
      }
      case 'left-as-is':
        return withCookies(refreshAnswer(https, outcome.returnTo), outcome.clears === undefined ? [] : [outcome.clears])
      case 'problem':
        return withCookies(failed(call, outcome), outcome.clears === undefined ? [] : [outcome.clears])
      default:
        return assertNever(outcome)
    }
  }

  /** The same-origin step of the bounce: the page when there is a session, else login. Never back to itself, so it cannot loop. */
  const proceed = async (call: Call): Promise<Answer> => {
    if (call.query.kind === 'doubled') return call.problem('request.parameter-invalid')
    const to = deps.returnTo(call.query.get('to'))
    // A link from elsewhere to this very address: the page itself starts the bounce, and from there it is same-origin.
    const site = call.headers['sec-fetch-site']
    if (call.sessionCookie === undefined && site !== undefined && site !== 'same-origin') return redirectAnswer(https, 303, to)
    if (call.sessionCookie !== undefined) {
      const opened = await deps.store.open(call.sessionCookie)
      if (opened.kind === 'found') return redirectAnswer(https, 303, to)
      const outage = outageOf(opened)
      if (outage) return call.problem(outage, { returnTo: to })
    }
    return signInAnswer(https, context.problems.loginPath, loginUrl(context.problems, to))
  }

  return [
    { name: 'login', path: basePath + ENDPOINTS.login, methods: page(login) },
    { name: 'login-resume', path: basePath + ENDPOINTS.loginResume, methods: page(resume) },
    { name: 'callback', path: basePath + ENDPOINTS.callback, methods: page(callback) },
    { name: 'continue', path: basePath + ENDPOINTS.continue, methods: page(proceed) },
  ]
}
