import type { SessionStore } from '../domain/session-store.ts'
import type { LoginDeps, LoginRequest, LoginStarted } from './login.ts'
import { startLogin } from './login.ts'
import { outageOf } from './session-problem.ts'

export interface ResumeDeps extends LoginDeps {
  readonly sessions: Pick<SessionStore, 'open'>
}

export type Resumed = LoginStarted | { readonly kind: 'signed-in'; readonly returnTo: string }

/** GET /bff/login/resume, same-origin, hence with the Strict cookie that the callback could not see: go on, or exactly one new login. */
export const resumeLogin = async (deps: ResumeDeps, request: LoginRequest): Promise<Resumed> => {
  const { query } = request
  if (query.kind === 'doubled') return { kind: 'parameter-invalid' }
  const returnTo = deps.returnTo(query.get('return_to'))
  if (request.sessionCookie !== undefined) {
    const opened = await deps.sessions.open(request.sessionCookie)
    if (opened.kind === 'found') return { kind: 'signed-in', returnTo }
    const outage = outageOf(opened)
    if (outage) return { kind: 'problem', code: outage, returnTo }
  }
  // The budget: an attempt that was itself started here and got lost as well ends on a page, or browser and provider would go round for ever.
  if (query.get('last') !== undefined) return { kind: 'problem', code: 'login.attempt-unknown', returnTo }
  return startLogin(deps, request, { returnTo, extras: {}, resumed: true })
}
