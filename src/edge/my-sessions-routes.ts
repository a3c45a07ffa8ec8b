import { ENDPOINTS } from '../contract/paths.ts'
import type { MySession, MySessions } from '../contract/session-view.ts'
import type { ListedSession } from '../domain/session-directory.ts'
import type { SessionStore } from '../domain/session-store.ts'
import type { HeldSession, SessionRef } from '../domain/session.ts'
import type { LoggedOut } from '../flows/logout.ts'
import type { Visitor } from '../flows/visitor.ts'
import type { Answer } from './answer.ts'
import { jsonAnswer, redirectAnswer, withCookies } from './answer.ts'
import type { EdgeContext } from './edge-context.ts'
import type { Call, Endpoint } from './endpoint.ts'
import { mySessionsPage } from './pages/my-sessions.ts'
import { refreshAnswer } from './pages/onward.ts'
import { pageAnswer } from './render-problem.ts'
import { withSession } from './with-session.ts'

export interface MySessionsRoutesDeps {
  readonly store: Pick<SessionStore, 'peek' | 'open' | 'touch'>
  readonly list: (held: HeldSession) => Promise<readonly ListedSession[] | 'unavailable'>
  readonly end: (held: HeldSession, ref: SessionRef, visitor: Visitor) => Promise<'ended' | 'unknown' | 'unavailable'>
  /** Of this very browser: the sign-out that leaves the provider's session alone. */
  readonly endOwn: (sessionCookie: string, visitor: Visitor) => Promise<LoggedOut>
}

/** ASVS 5.0 §7.5.2: who is signed in as me, and an end to the others. Only refs of the caller's own subject mean anything here. */
export const mySessionsEndpoints = (context: EdgeContext, deps: MySessionsRoutesDeps): readonly Endpoint[] => {
  const { basePath, https, clock } = context
  const listPath = basePath + ENDPOINTS.sessions
  const signedOutPath = basePath + ENDPOINTS.logoutCallback

  const list = withSession(deps.store, clock, async (held, call) => {
    const sessions = await deps.list(held)
    if (sessions === 'unavailable') return call.problem('store.unavailable')
    deps.store.touch(held, clock.now())
    const own = held.session.card.ref
    if (!call.isNavigation) return jsonAnswer(https, 200, { sessions: sessions.map((one) => told(one, own)) } satisfies MySessions)
    const entries = sessions.map((one) => ({ ...told(one, own), endPath: pathOf(ENDPOINTS.sessionsOneEnd, one.card.ref) }))
    return pageAnswer(context.problems, 200, mySessionsPage(call.visitor.requestId, entries))
  })

  /** A link from elsewhere comes without the Strict cookie: one step on our own origin brings it. The step has another address, so it cannot loop. */
  const listOrBounce = async (call: Call): Promise<Answer> => {
    const site = call.headers['sec-fetch-site']
    const isFromElsewhere = call.isNavigation && call.sessionCookie === undefined && site !== undefined && site !== 'same-origin'
    const isSecondTry = call.query.kind === 'doubled' || call.query.get('from') !== undefined
    return isFromElsewhere && !isSecondTry ? refreshAnswer(https, `${listPath}?from=elsewhere`) : list(call)
  }

  const end = withSession(deps.store, clock, async (held, call) => {
    const { ref, sessionCookie } = call
    if (ref === undefined) return call.problem('session.unknown')
    if (ref === held.session.card.ref && sessionCookie !== undefined) return endOwn(sessionCookie, call)
    const outcome = await deps.end(held, ref, call.visitor)
    if (outcome === 'unknown') return call.problem('session.unknown')
    // This replica ends it as soon as it can; the person has to know that it is not certain yet.
    if (outcome === 'unavailable') return call.problem('store.unavailable')
    return call.isNavigation ? redirectAnswer(https, 303, listPath) : jsonAnswer(https, 200, {})
  })

  const endOwn = async (sessionCookie: string, call: Call): Promise<Answer> => {
    const { kind } = await deps.endOwn(sessionCookie, call.visitor)
    const answer =
      kind === 'pending'
        ? call.problem('logout.pending')
        : call.isNavigation
          ? refreshAnswer(https, signedOutPath)
          : jsonAnswer(https, 200, {})
    return withCookies(answer, [context.cookies.cleared()])
  }

  const pathOf = (endpoint: string, ref: SessionRef): string => basePath + endpoint.replace('{ref}', ref)
  const view = { guard: 'view' as const, run: listOrBounce }
  return [
    { name: 'sessions', path: listPath, methods: { GET: view, HEAD: view } },
    { name: 'sessions-one', path: basePath + ENDPOINTS.sessionsOne, methods: { DELETE: { guard: 'api', run: end } } },
    { name: 'sessions-one-end', path: basePath + ENDPOINTS.sessionsOneEnd, methods: { POST: { guard: 'form', run: end } } },
  ]
}

const told = ({ card, lastSeenAt }: ListedSession, own: SessionRef): MySession => ({
  ref: card.ref,
  created_at: new Date(card.createdAt).toISOString(),
  last_seen_at: new Date(lastSeenAt).toISOString(),
  browser: card.browser,
  address: card.address,
  current: card.ref === own,
})
