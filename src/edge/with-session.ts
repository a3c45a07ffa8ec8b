import type { SessionStore } from '../domain/session-store.ts'
import type { HeldSession } from '../domain/session.ts'
import { problemOf } from '../flows/session-problem.ts'
import type { Clock } from '../kernel/time.ts'
import type { Answer } from './answer.ts'
import type { Call } from './endpoint.ts'

/** For endpoints that need a session: without one they answer why there is none. */
export const withSession =
  (
    store: Pick<SessionStore, 'peek' | 'open'>,
    clock: Pick<Clock, 'now'>,
    answer: (held: HeldSession, call: Call) => Answer | Promise<Answer>,
  ) =>
  async (call: Call): Promise<Answer> => {
    if (call.sessionCookie === undefined) return call.problem('session.absent')
    const here = store.peek(call.sessionCookie, clock.now())
    if (here) {
      call.note(here.session.ref)
      return answer(here, call)
    }
    const opened = await store.open(call.sessionCookie)
    if (opened.kind !== 'found') return call.problem(problemOf(opened))
    call.note(opened.held.session.ref)
    return answer(opened.held, call)
  }
