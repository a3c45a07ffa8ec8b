import { ENDPOINTS } from '../contract/paths.ts'
import type { Broker } from '../domain/broker.ts'
import type { SessionStore } from '../domain/session-store.ts'
import type { SessionViewSettings } from '../flows/session-view.ts'
import { sessionTimers, sessionView } from '../flows/session-view.ts'
import type { Answer } from './answer.ts'
import { jsonAnswer } from './answer.ts'
import type { EdgeContext } from './edge-context.ts'
import type { Call, Endpoint } from './endpoint.ts'
import { withSession } from './with-session.ts'

export interface SessionRoutesDeps {
  readonly store: Pick<SessionStore, 'peek' | 'open' | 'touch'>
  readonly broker: Pick<Broker, 'refreshNow'>
  readonly view: SessionViewSettings
}

export const sessionEndpoints = (context: EdgeContext, deps: SessionRoutesDeps): readonly Endpoint[] => {
  const { https, clock } = context

  const user = withSession(deps.store, clock, (held, call) => {
    if (call.query.kind === 'doubled') return call.problem('request.parameter-invalid')
    const slide = call.query.get('slide')
    if (slide !== undefined && slide !== 'true' && slide !== 'false') return call.problem('request.parameter-invalid')
    const now = clock.now()
    if (slide !== 'false') deps.store.touch(held, now)
    return jsonAnswer(https, 200, sessionView(deps.view, held, slide === 'false' ? held.lastSeenAt : now, now))
  })

  /** A page that watches its timers must not keep the session alive by watching. */
  const timers = withSession(deps.store, clock, (held) =>
    jsonAnswer(https, 200, sessionTimers(deps.view, held, held.lastSeenAt, clock.now())),
  )

  const refresh = withSession(deps.store, clock, async (held, call) => {
    const outcome = await deps.broker.refreshNow(held)
    if (outcome.kind === 'unavailable') return call.problem(outcome.code, { retryAfterSeconds: outcome.retryAfter / 1000 })
    if (outcome.kind === 'refused') return call.problem(outcome.code)
    const now = clock.now()
    deps.store.touch({ ...held, session: outcome.session }, now)
    return jsonAnswer(https, 200, sessionTimers(deps.view, { ...held, session: outcome.session }, now, now))
  })

  const read = (run: (call: Call) => Promise<Answer>) => ({ GET: { guard: 'api' as const, run }, HEAD: { guard: 'api' as const, run } })
  return [
    { name: 'user', path: context.basePath + ENDPOINTS.user, methods: read(user) },
    { name: 'session', path: context.basePath + ENDPOINTS.session, methods: read(timers) },
    { name: 'session-refresh', path: context.basePath + ENDPOINTS.sessionRefresh, methods: { POST: { guard: 'api', run: refresh } } },
  ]
}
