import type { LogoutAnswer } from '../contract/session-view.ts'
import { ENDPOINTS } from '../contract/paths.ts'
import type { LogoutContinue } from '../flows/logout-continue.ts'
import type { LoggedOut, LogoutRequest } from '../flows/logout.ts'
import { assertNever } from '../kernel/assert.ts'
import type { Answer } from './answer.ts'
import { jsonAnswer, redirectAnswer, withCookies } from './answer.ts'
import type { EdgeContext } from './edge-context.ts'
import type { Call, Endpoint } from './endpoint.ts'
import { refreshAnswer } from './pages/onward.ts'
import { signedOutPage } from './pages/signed-out.ts'
import { pageAnswer } from './render-problem.ts'

export interface LogoutRoutesDeps {
  readonly logout: (request: LogoutRequest) => Promise<LoggedOut>
  readonly continuation: Pick<LogoutContinue, 'take'>
}

/** OpenID Connect RP-Initiated Logout 1.0 §2. POST, so that an image tag cannot sign a user out. */
export const logoutEndpoints = (context: EdgeContext, deps: LogoutRoutesDeps): readonly Endpoint[] => {
  const { basePath, https } = context
  const signedOutPath = basePath + ENDPOINTS.logoutCallback

  const logout =
    (reason: LogoutRequest['reason']) =>
    async (call: Call): Promise<Answer> => {
      const outcome = await deps.logout({ sessionCookie: call.sessionCookie, reason, visitor: call.visitor })
      return forget(call, answerOf(call, outcome))
    }

  const answerOf = (call: Call, outcome: LoggedOut): Answer => {
    switch (outcome.kind) {
      case 'pending':
        return call.problem('logout.pending')
      case 'ended': {
        const location = outcome.ref === undefined ? undefined : `${basePath}${ENDPOINTS.logoutContinue}?ref=${outcome.ref}`
        // A form gets a page that goes on: a 303 to the provider would be blocked by the page's form-action.
        if (call.isNavigation) return refreshAnswer(https, location ?? signedOutPath)
        const body: LogoutAnswer = location === undefined ? {} : { location }
        return jsonAnswer(https, 200, body)
      }
      default:
        return assertNever(outcome)
    }
  }

  /** Never where none was presented: that would be logout CSRF. Not `"cookies"`: it would sign out sibling applications in Chromium. */
  const forget = (call: Call, answer: Answer): Answer =>
    call.sessionCookie === undefined
      ? answer
      : withCookies({ ...answer, headers: { ...answer.headers, 'clear-site-data': '"cache"' } }, [context.cookies.cleared()])

  const proceed = async (call: Call): Promise<Answer> => {
    if (call.query.kind === 'doubled') return call.problem('request.parameter-invalid')
    const taken = await deps.continuation.take(call.query.get('ref'))
    if (taken.kind === 'unavailable') return call.problem('store.unavailable', { returnTo: '/' })
    if (taken.kind === 'absent') return call.problem('logout.reference-unknown', { returnTo: '/' })
    // The one place where an ID token may leave: `id_token_hint`, for the profiles that cannot do without (spec §1.5).
    return redirectAnswer(https, 303, taken.url.reveal())
  }

  const signedOut = async (call: Call): Promise<Answer> =>
    pageAnswer(context.problems, 200, signedOutPage(call.visitor.requestId, context.problems.loginPath))

  return [
    { name: 'logout', path: basePath + ENDPOINTS.logout, methods: { POST: { guard: 'form', run: logout('user') } } },
    { name: 'logout-local', path: basePath + ENDPOINTS.logoutLocal, methods: { POST: { guard: 'form', run: logout('local') } } },
    { name: 'logout-continue', path: basePath + ENDPOINTS.logoutContinue, methods: { GET: { guard: 'page', run: proceed } } },
    { name: 'logout-callback', path: signedOutPath, methods: { GET: { guard: 'page', run: signedOut } } },
  ]
}
