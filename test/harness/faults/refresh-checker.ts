import type { At, HistoryEvent, Issued, Sent } from './history.ts'

export interface RefreshBounds {
  /** An answer that took longer may have come too late for its sender, whose time began before the request was seen here. */
  readonly providerTimeoutMs: number
  /** How long a replica that received an answer needs at most to have stored it. */
  readonly saveMs: number
  /** A token that is younger is renewed by nobody: up to the last fifth of its life, less what clocks and lines may differ by. */
  readonly youngMs: number
}

export interface RefreshVerdict {
  readonly violations: readonly string[]
  readonly counts: {
    readonly refreshes: number
    /** Token calls without which somebody would have had no token. */
    readonly needed: number
    /** Issued while another good token for the same session and audience was at hand. */
    readonly redundant: number
    /** Calls whose outcome their sender could not know. */
    readonly unknown: number
    /** Answered by a no that says nothing was spent. */
    readonly answeredNo: number
    readonly recoveries: number
    readonly sessionsLost: number
  }
}

const FALLEN_MS = 500

/** What its sender knows of a refresh. */
type Outcome = 'received' | 'not-spent' | 'unknown'

/**
 * Spec §5, judged from outside: one session per user, so that a subject names its session. No refresh token is sent again after a replica that lived
 * received its rotation; at most one recovery per unknown outcome; nobody loses a session whose answers all arrived; nobody asks for what is at hand.
 */
export const checkRefreshes = (events: readonly HistoryEvent[], bounds: RefreshBounds): RefreshVerdict => {
  const violations: string[] = []
  const answered = kindOf(events, 'issued').toSorted((a, b) => a.at - b.at)
  const answers = new Map(answered.flatMap((answer) => (answer.sent === undefined ? [] : [[answer.sent, answer] as const])))
  const kills = kindOf(events, 'fault').filter(({ fault }) => fault === 'gateway-kill')
  const sessionOf = new Map(answered.flatMap(({ refresh, subject }) => (refresh && subject ? [[refresh, subject] as const] : [])))
  // A token that nobody issued is none: a replica tries its own credential with one (spec §6).
  const sent = kindOf(events, 'sent')
    .filter(({ spent }) => sessionOf.has(spent))
    .toSorted((a, b) => a.at - b.at)

  const fellWithin = (gateway: number, from: At, to: At): boolean =>
    kills.some((kill) => kill.gateway === gateway && kill.from >= from && kill.from <= to)
  const outcomeOf = ({ id, at, gateway }: Sent): Outcome => {
    const answer = answers.get(id)
    if (!answer?.delivered || answer.at - at > bounds.providerTimeoutMs) return 'unknown'
    if (answer.status === 429 || answer.status === 503) return 'not-spent'
    if (answer.status >= 500) return 'unknown'
    // What a gateway had written before it fell is read here a moment after its fall, and answered to a connection that looks whole.
    return fellWithin(gateway, at - FALLEN_MS, answer.at + bounds.saveMs) ? 'unknown' : 'received'
  }

  const toldOf = (one: Sent): string => {
    const answer = answers.get(one.id)
    const came = answer ? `${answer.status} after ${Math.round(answer.at - one.at)} ms${answer.delivered ? '' : ', lost'}` : 'no answer'
    const fell = kills.find((kill) => kill.gateway === one.gateway && kill.from >= one.at)
    return `${outcomeOf(one)}: ${came}${fell ? `, fell at ${Math.round(fell.from)} ms` : ''}`
  }

  // 1. What is sent twice.
  let recoveries = 0
  for (const [spent, sends] of Map.groupBy(sent, (one) => one.spent)) {
    const who = `${sessionOf.get(spent) ?? spent}: ${sends.map((one) => `gateway ${one.gateway} at ${Math.round(one.at)} ms (${toldOf(one)})`).join(', ')}`
    // A refusal that was cut in its body is a refusal all the same: its status says that nothing was issued.
    const spending = sends.filter(
      (one) => outcomeOf(one) !== 'not-spent' && !(outcomeOf(one) === 'unknown' && answers.get(one.id)?.status === 400),
    )
    if (spending.length > 1) recoveries += 1
    if (spending.length > 2) violations.push(`recovered more than once: ${who}`)
    else if (spending[1] && spending[0] && outcomeOf(spending[0]) === 'received')
      violations.push(`sent again after its rotation arrived: ${who}`)
  }

  // 2. Who was signed out.
  const hadUnknown = (user: string | undefined, before: At): boolean =>
    sent.some((one) => sessionOf.get(one.spent) === user && one.at <= before && outcomeOf(one) === 'unknown')
  const lost = new Map(kindOf(events, 'op').flatMap((op) => (op.status === 401 ? [[op.user, op] as const] : [])))
  for (const [user, op] of lost)
    if (!hadUnknown(user, op.to)) violations.push(`${user} was signed out (${op.code}) though every answer had arrived`)

  // 3. What was asked for in vain: calls ≤ needed + injected. A success that was not needed is owed to one whose answer got lost.
  const unknown = sent.filter((one) => outcomeOf(one) === 'unknown')
  const answeredNo = sent.filter((one) => outcomeOf(one) === 'not-spent').length
  const statusOf = ({ id }: Sent): number | undefined => answers.get(id)?.status
  const issued = sent.filter((one) => statusOf(one) === 200).length
  const redundant = countRedundant(answered, bounds.youngMs)
  const needed = issued - redundant
  const lostAnswers = unknown.filter((one) => statusOf(one) === 200).length
  if (redundant > lostAnswers)
    violations.push(`${redundant} tokens were asked for while one was at hand; ${lostAnswers} answers had got lost`)
  for (const one of sent)
    if (statusOf(one) === 400 && !hadUnknown(sessionOf.get(one.spent), one.at))
      violations.push(`${sessionOf.get(one.spent)} was refused a refresh at ${Math.round(one.at)} ms though every answer had arrived`)
  return {
    violations,
    counts: { refreshes: sent.length, needed, redundant, unknown: unknown.length, answeredNo, recoveries, sessionsLost: lost.size },
  }
}

const countRedundant = (answered: readonly Issued[], youngMs: number): number => {
  const last = new Map<string, At>()
  let count = 0
  for (const { sent, status, delivered, subject, audience, at } of answered) {
    if (status !== 200 || subject === undefined || audience === undefined) continue
    const key = `${subject} ${audience}`
    const before = last.get(key)
    if (sent !== undefined && before !== undefined && at - before < youngMs) count += 1
    if (delivered) last.set(key, at)
  }
  return count
}

const kindOf = <K extends HistoryEvent['kind']>(events: readonly HistoryEvent[], kind: K): Extract<HistoryEvent, { kind: K }>[] =>
  events.filter((event): event is Extract<HistoryEvent, { kind: K }> => event.kind === kind)
