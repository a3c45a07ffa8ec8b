import { ENDPOINTS } from '../contract/paths.ts'
import { problem } from '../domain/problem.ts'
import type { SessionStore } from '../domain/session-store.ts'
import type { LogoutNotice } from '../flows/backchannel-logout.ts'
import type { FrontchannelNotice } from '../flows/frontchannel-logout.ts'
import type { Query } from '../flows/query.ts'
import type { Visitor } from '../flows/visitor.ts'
import { assertNever } from '../kernel/assert.ts'
import { Secret } from '../kernel/secret.ts'
import type { Answer } from './answer.ts'
import { framedBy, jsonAnswer, ownHeaders, withCookies } from './answer.ts'
import type { EdgeContext } from './edge-context.ts'
import type { Call, Endpoint } from './endpoint.ts'

export interface ProviderLogoutDeps {
  /** undefined: off; the path is then as unknown as any other. */
  readonly backchannel: ((token: Secret<'logout-token'> | undefined, visitor: Visitor) => Promise<LogoutNotice>) | undefined
  readonly frontchannel: ((query: Query, visitor: Visitor) => Promise<FrontchannelNotice>) | undefined
  /** Who may frame the latter. */
  readonly frontchannelOrigins: () => readonly string[]
  readonly store: Pick<SessionStore, 'refOf'>
}

/** Where the provider says that somebody signed out there: server to server, or in a frame of its page. Neither needs a session or looks for one. */
export const providerLogoutEndpoints = (context: EdgeContext, deps: ProviderLogoutDeps): readonly Endpoint[] => {
  const { basePath, https } = context
  const { backchannel, frontchannel } = deps

  const back =
    (run: NonNullable<typeof backchannel>) =>
    async (call: Call): Promise<Answer> => {
      const notice = await run(tokenOf(call.form), call.visitor)
      switch (notice.kind) {
        case 'done':
          return { status: 200, headers: ownHeaders(https), body: '' }
        case 'invalid': {
          call.noteProblem('logout.token-invalid')
          // Back-Channel Logout 1.0 §2.8; not which check failed.
          const { status, title } = problem('logout.token-invalid')
          const code = 'logout.token-invalid'
          return jsonAnswer(https, status, { error: 'invalid_request', error_description: title, code, request_id: call.visitor.requestId })
        }
        case 'unavailable':
          return call.problem(notice.code, { retryAfterSeconds: notice.retryAfter === undefined ? undefined : notice.retryAfter / 1000 })
        default:
          return assertNever(notice)
      }
    }

  const front =
    (run: NonNullable<typeof frontchannel>) =>
    async (call: Call): Promise<Answer> => {
      const notice = await run(call.query, call.visitor)
      switch (notice.kind) {
        case 'done': {
          const presented = call.sessionCookie === undefined ? undefined : deps.store.refOf(call.sessionCookie)
          // Never where none was presented, nor another session's: a frame is no reason to sign out who is signed in now.
          const isTheirs = presented !== undefined && notice.refs.includes(presented)
          return isTheirs ? withCookies(framed(), [context.cookies.cleared()]) : framed()
        }
        case 'invalid':
          return call.problem('logout.request-invalid')
        case 'unavailable':
          return call.problem(notice.code)
        default:
          return assertNever(notice)
      }
    }

  /** The one answer of the gateway that somebody else may frame: it shows nothing and takes nothing. */
  const framed = (): Answer => ({
    status: 200,
    headers: {
      ...ownHeaders(https, framedBy(deps.frontchannelOrigins())),
      'cross-origin-resource-policy': 'cross-origin',
      'content-type': 'text/html; charset=utf-8',
    },
    body: '<!doctype html>\n<html lang="en"><title>Signed out</title></html>\n',
  })

  const backPath = basePath + ENDPOINTS.logoutBackchannel
  const frontPath = basePath + ENDPOINTS.logoutFrontchannel
  return [
    ...(backchannel
      ? [{ name: 'logout-backchannel', path: backPath, methods: { POST: { guard: 'open' as const, run: back(backchannel) } } }]
      : []),
    ...(frontchannel
      ? [{ name: 'logout-frontchannel', path: frontPath, methods: { GET: { guard: 'open' as const, run: front(frontchannel) } } }]
      : []),
  ]
}

/** §2.5: exactly one; what else the form holds is ignored. */
const tokenOf = (form: URLSearchParams | undefined): Secret<'logout-token'> | undefined => {
  const [token, ...more] = form?.getAll('logout_token') ?? []
  return token === undefined || token === '' || more.length > 0 ? undefined : Secret.of('logout-token', token)
}
