import { SingleFlight } from '../kernel/single-flight.ts'
import { callInTurn } from './call.ts'
import type { Tools } from './deps.ts'
import { answeredBy } from './freshness.ts'
import { withoutRefreshToken } from './no-refresh-token.ts'
import type { Wanted } from './refresh-under-lease.ts'
import type { Renewal, Step } from './renewal.ts'
import { notFound, unavailable } from './renewal.ts'
import { settle } from './settle.ts'

const LOOKS_MAX = 3

/**
 * For profiles whose refresh tokens stay valid when spent: no lease and no mark, the asks of a session go out side by side. One flight per ask in a
 * replica; two replicas may both ask for the same token at the same moment, which costs one call and harms nobody.
 */
export const createParallelRefresh = (tools: Tools): ((flight: string, wanted: Wanted) => Promise<Renewal>) => {
  const flights = new SingleFlight<Renewal>()
  return (flight, wanted) => flights.run(flight, () => guarded(tools, wanted))
}

const guarded = async (tools: Tools, wanted: Wanted): Promise<Renewal> => {
  try {
    for (let look = 0; look < LOOKS_MAX; look += 1) {
      const step = await once(tools, wanted)
      if (step.kind !== 'again' && step.kind !== 'lease-lost') return step
    }
  } catch (error) {
    const reason = error instanceof Error ? error.name : 'unknown'
    tools.log.error({ sessionRef: wanted.session.ref, reason }, 'refresh failed unexpectedly')
  }
  return unavailable('store.unavailable')
}

const once = async (tools: Tools, { session: seen, ask, need, key }: Wanted): Promise<Step> => {
  // 1. Look again: another replica may have refreshed for us, or the user may have signed out.
  const looked = await tools.store.reopen(seen)
  if (looked.kind !== 'found') return notFound(looked)
  const { session } = looked.held
  const now = tools.clock.now()
  const answered = answeredBy(session, ask, need, tools.settings.recheckMs, now)
  if (answered) return { kind: 'renewed', session, access: answered.access }
  const heldOff = tools.holdOff.outcome(key, now)
  if (heldOff) return heldOff
  const { refreshToken, issuer } = session.grant
  if (!refreshToken) return withoutRefreshToken(tools, session, now)
  // 2. Send, and make the record agree with the answer.
  const known = { issuer, subject: session.card.subject, scopes: session.grant.scopes }
  const answer = await callInTurn(tools, key, ask, () => tools.provider.refresh(refreshToken, ask, known))
  if (answer.kind === 'blocked') return answer.outcome
  return settle(tools, { session, ask, key, lease: undefined, recovers: undefined }, answer)
}
