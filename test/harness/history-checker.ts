import type { At, Fault, HistoryEvent, Issued, Operation, Sent } from './faults/history.ts'

export interface Bounds {
  /** How long after its acknowledgement a logout may go unnoticed where the store is reached. */
  readonly liveMs: number
  /** … where it is not: `store.grace` and a moment. */
  readonly cutOffMs: number
  /** How long after a fault of the store a replica may still be finding its way back. */
  readonly recoveryMs: number
  /** How long one call to the provider may take. */
  readonly providerTimeoutMs: number
}

export type Rule =
  | 'another-user'
  | 'another-audience'
  | 'another-session'
  | 'token-unknown'
  | 'principal'
  | 'alive-after-logout'
  | 'pending-forgotten'
  | 'ended-without-cause'
  | 'refused-without-cause'
  | 'sent-again'
  | 'sent-thrice'
  | 'key-without-ttl'

export interface Violation {
  readonly rule: Rule
  readonly at: At
  readonly what: string
}

export interface Verdict {
  readonly violations: readonly Violation[]
  readonly counts: Readonly<Record<string, number>>
}

interface Story {
  readonly events: readonly HistoryEvent[]
  readonly ops: readonly Operation[]
  readonly faults: readonly Fault[]
  readonly sent: readonly Sent[]
  readonly answers: ReadonlyMap<number, Issued>
  readonly issued: ReadonlyMap<string, Issued>
  /** Hash of a refresh token, or `jti` → the sign-in it descends from. */
  readonly families: ReadonlyMap<string, string>
  /** The same, by session, from the tokens its API calls carried. */
  readonly familyOf: ReadonlyMap<string, string>
  readonly healedAt: At
  readonly bounds: Bounds
}

type Report = (rule: Rule, at: At, what: string) => void
type Count = (name: string, by?: number) => void

/** Judges a finished history by itself: it knows nothing of the gateways but what their clients, upstreams, provider and store saw. */
export const checkHistory = (events: readonly HistoryEvent[], bounds: Bounds): Verdict => {
  const violations: Violation[] = []
  const counts: Record<string, number> = {}
  const report: Report = (rule, at, what) => void violations.push({ rule, at, what })
  const count: Count = (name, by = 1) => void (counts[name] = (counts[name] ?? 0) + by)
  const story = tell(events, bounds, report)
  for (const op of story.ops) {
    count('operations')
    count(`status ${op.status}`)
    judgeAnswer(story, op, report, count)
    judgeSignIn(story, op, report)
  }
  judgeEnds(story, report, count)
  judgeSpending(story, report, count)
  for (const { key, ttl } of kindOf(events, 'key')) {
    count('keys')
    if (ttl === -1) report('key-without-ttl', story.healedAt, key)
  }
  for (const { fault } of story.faults) count(`fault ${fault}`)
  for (const { reason } of kindOf(events, 'ended')) count(`audited as ended: ${reason}`)
  return { violations, counts }
}

const kindOf = <K extends HistoryEvent['kind']>(events: readonly HistoryEvent[], kind: K): Extract<HistoryEvent, { kind: K }>[] =>
  events.filter((event): event is Extract<HistoryEvent, { kind: K }> => event.kind === kind)

const tell = (events: readonly HistoryEvent[], bounds: Bounds, report: Report): Story => {
  const ops = kindOf(events, 'op').toSorted((a, b) => a.from - b.from)
  const sent = kindOf(events, 'sent').toSorted((a, b) => a.at - b.at)
  const answered = kindOf(events, 'issued').toSorted((a, b) => a.at - b.at)
  const spentBy = new Map(sent.map(({ id, spent }) => [id, spent]))
  const families = new Map<string, string>()
  for (const { sent: id, refresh, token } of answered) {
    const spent = id === undefined ? undefined : spentBy.get(id)
    const family = spent === undefined ? refresh : (families.get(spent) ?? spent)
    if (family === undefined) continue // the application's own
    if (refresh !== undefined) families.set(refresh, family)
    if (token !== undefined) families.set(token, family)
  }
  const familyOf = new Map<string, string>()
  const sessionOf = new Map<string, string>()
  for (const { op, session, seen, to } of ops) {
    const family = seen && families.get(seen.token)
    if (op === 'app' || session === undefined || family === undefined) continue
    const [its, theirs] = [familyOf.get(session) ?? family, sessionOf.get(family) ?? session]
    if (its !== family) report('another-session', to, `${session} carried tokens of two sign-ins`)
    if (theirs !== session) report('another-session', to, `${session} and ${theirs} carried tokens of one sign-in`)
    familyOf.set(session, its)
    sessionOf.set(family, theirs)
  }
  return {
    events,
    ops,
    faults: kindOf(events, 'fault'),
    sent,
    answers: new Map(answered.flatMap((answer) => (answer.sent === undefined ? [] : [[answer.sent, answer] as const]))),
    issued: new Map(answered.flatMap((answer) => (answer.token === undefined ? [] : [[answer.token, answer] as const]))),
    families,
    familyOf,
    healedAt: kindOf(events, 'healed')[0]?.at ?? Number.POSITIVE_INFINITY,
    bounds,
  }
}

/** A sign-in needs everything at once: the store, the provider, and times that all of them believe. */
const judgeSignIn = ({ faults, bounds }: Story, { op, gateway, status, from, to }: Operation, report: Report): void => {
  if (op !== 'sign-in' || status < 500) return
  if (to - from > bounds.providerTimeoutMs) return // a provider on a busy machine, that took longer than it may
  const during = faults.some((fault) => fault.fault !== 'clock-offset' && fault.to + bounds.recoveryMs >= from && fault.from <= to)
  if (!during) report('refused-without-cause', to, `a sign-in at ${gateway} was answered ${status} and nothing had happened`)
}

const judgeAnswer = (story: Story, op: Operation, report: Report, count: Count): void => {
  const { session, user, claimed, seen, audience, to } = op
  const whose = `${op.op} of ${session} (${user})`
  if (claimed !== undefined && claimed !== user) report('another-user', to, `${whose} was answered as ${claimed}`)
  if (!seen) return
  if (seen.expired) count('expired tokens sent')
  if (seen.audience !== audience) report('another-audience', to, `${whose}: ${seen.audience} instead of ${audience}`)
  const record = story.issued.get(seen.token)
  if (!record) report('token-unknown', to, `${whose}: ${seen.token}`)
  const isApp = record !== undefined && !story.families.has(seen.token)
  if (op.op === 'app') {
    if (!isApp) report('principal', to, `${whose} carried a token of ${seen.subject}`)
  } else if (isApp) report('principal', to, `${whose} carried the application's token`)
  else if (seen.subject !== user) report('another-user', to, `${whose} carried a token of ${seen.subject}`)
}

/** A request that asked for the end of a session, whatever was answered. */
const asksForEnd = (op: Operation, session: string): boolean =>
  (op.op === 'logout' && op.session === session) || (op.op === 'sign-in' && op.replaces === session)
const OVER = new Set(['session.absent', 'session.ended', 'session.replaced', 'session.refresh-lost', 'session.key-removed'])
const isOver = (op: Operation): boolean => op.status === 401 && OVER.has(op.code ?? '')
/** The session answered: what came of it behind may still have failed. */
const isAlive = (op: Operation): boolean => op.session !== undefined && op.op !== 'logout' && op.status >= 200 && op.status < 300

const judgeEnds = (story: Story, report: Report, count: Count): void => {
  const bySession = Map.groupBy(
    story.ops.filter(({ session }) => session !== undefined),
    ({ session }) => session ?? '',
  )
  const replacing = Map.groupBy(
    story.ops.filter(({ replaces }) => replaces !== undefined),
    ({ replaces }) => replaces ?? '',
  )
  for (const [session, ops] of bySession) {
    count('sessions')
    const all = [...ops, ...(replacing.get(session) ?? [])]
    judgeLogout(story, session, all, report, count)
    judgeLoss(story, session, all, report, count)
  }
}

const judgeLogout = (story: Story, session: string, ops: readonly Operation[], report: Report, count: Count): void => {
  const { bounds } = story
  const done = ops.find((op) => op.op === 'logout' && op.status === 200)
  const pending = ops.find((op) => op.op === 'logout' && op.status === 202)
  if (done) {
    count('logouts acknowledged')
    for (const op of ops) {
      if (!isAlive(op) || op.from <= done.to) continue
      const late = op.from - done.to
      const cutOff = storeFaults(story, op.gateway, done.to - bounds.recoveryMs, op.from)
      if (late <= (cutOff ? bounds.cutOffMs : bounds.liveMs)) count('alive within the bound')
      // Asynchronous replication: the server that acknowledged was lost before another had it.
      else if (story.faults.some((fault) => fault.fault === 'redis-failover' && fault.to >= done.from && fault.from <= op.to))
        count('ends lost by a failover')
      else report('alive-after-logout', op.from, `${session} answered at ${op.gateway} ${Math.round(late)} ms after its logout`)
    }
  } else if (pending) {
    count('logouts pending')
    const killed = story.faults.some(
      ({ fault, gateway, from }) => fault === 'gateway-kill' && gateway === pending.gateway && from >= pending.from,
    )
    const alive = ops.find((op) => isAlive(op) && op.from > story.healedAt)
    if (alive && !killed) report('pending-forgotten', alive.from, `${session} answered after its pending logout at ${pending.gateway}`)
    else if (alive) count('pending logouts lost with their replica')
  }
}

const STORE = /^redis-/
const storeFaults = (story: Story, gateway: number, from: At, to: At): boolean =>
  story.faults.some(
    (fault) =>
      (STORE.test(fault.fault) || fault.fault === 'gateway-kill') &&
      (fault.gateway === undefined || fault.gateway === gateway) &&
      fault.to + story.bounds.recoveryMs >= from &&
      fault.from <= to,
  )

/** What can cost a session: the answer to a refresh was lost, or the store lost what it had acknowledged. */
const judgeLoss = (story: Story, session: string, ops: readonly Operation[], report: Report, count: Count): void => {
  const over = ops.filter(isOver).toSorted((a, b) => a.to - b.to)[0]
  if (!over || ops.some((op) => asksForEnd(op, session) && op.from <= over.to)) return
  count('sessions lost')
  const family = story.familyOf.get(session)
  const since = ops.reduce((first, op) => Math.min(first, op.from), over.from)
  if (failedOver(story, since, over.to)) return count('sessions lost by a failover')
  // Of a session that never carried a token we do not know which refreshes were its own: any may have been.
  const its = story.sent.filter(
    ({ at, spent }) => at >= since && at <= over.to && (family === undefined || story.families.get(spent) === family),
  )
  if (its.some((one) => isUnknown(story, one))) return count('sessions lost by an unknown outcome')
  report('ended-without-cause', over.to, `${session} (${over.code}, seen at ${over.gateway}) ended and nothing had happened to it`)
}

const failedOver = (story: Story, from: At, to: At): boolean =>
  story.faults.some((fault) => fault.fault === 'redis-failover' && fault.to >= from && fault.from <= to)

/** Nobody may know what became of this refresh: its answer never arrived, or its receiver fell before it could store it. */
const isUnknown = (story: Story, { id, at, gateway }: Sent): boolean => {
  const answer = story.answers.get(id)
  if (!answer?.delivered || answer.at - at > story.bounds.providerTimeoutMs) return true
  return story.faults.some(
    (fault) =>
      fault.gateway === gateway &&
      fault.to >= at &&
      // It saves as soon as the store lets it; until then its death loses the only copy. One that is stopped has received nothing.
      ((fault.fault === 'gateway-kill' && fault.from >= at && fault.from <= savedBy(story, gateway, answer.at)) ||
        (fault.fault === 'gateway-freeze' && fault.from <= answer.at + story.bounds.liveMs)),
  )
}

/** When a replica that lives has surely stored what it received: as soon as its store was within reach for a moment. */
const savedBy = (story: Story, gateway: number, received: At): At => {
  let by = received + story.bounds.liveMs
  const outages = story.faults
    .filter((fault) => STORE.test(fault.fault) && (fault.gateway === undefined || fault.gateway === gateway))
    .toSorted((a, b) => a.from - b.from)
  for (const { from, to } of outages) if (from <= by && to + story.bounds.recoveryMs >= by) by = to + story.bounds.recoveryMs
  return by
}

/** It had the answer in its hands, and neither it nor its own way to the store was away between then and the second send. */
const receiverLived = (story: Story, sent: Sent, until: At): boolean => {
  const { gateway } = sent
  const received = story.answers.get(sent.id)?.at
  if (received === undefined || received > until || isUnknown(story, sent)) return false
  return !story.faults.some(
    (fault) =>
      fault.gateway === gateway && fault.fault !== 'clock-offset' && fault.to + story.bounds.recoveryMs >= received && fault.from <= until,
  )
}

/** RFC 9700 §4.14.2: whoever shows a spent refresh token kills its family. */
const judgeSpending = (story: Story, report: Report, count: Count): void => {
  count('refreshes', story.sent.length)
  for (const [spent, sends] of Map.groupBy(story.sent, (one) => one.spent)) {
    const [first, second] = sends
    // A token that nobody issued is none: a replica tries its own credential with one (spec §6).
    if (!first || !second || !story.families.has(spent)) continue
    count('recovery attempts')
    const what = `${spent} by ${sends.map(({ gateway, at }) => `${gateway} at ${Math.round(at)}`).join(', ')}`
    if (failedOver(story, first.at, second.at)) {
      // Lost by the store, but not by who received it: that one stores it again before anybody sends.
      if (receiverLived(story, first, second.at)) report('sent-again', second.at, `${what}, after a failover`)
      else count('sent again after a failover')
    }
    if (failedOver(story, first.at, second.at)) continue
    if (sends.length > 2) report('sent-thrice', sends[2]?.at ?? 0, what)
    else if (!isUnknown(story, first)) {
      const received = story.answers.get(first.id)?.at ?? first.at
      if (second.at > savedBy(story, first.gateway, received) || !storeFaults(story, first.gateway, first.at, second.at))
        report('sent-again', second.at, what)
      else count('sent again while the store was away')
    }
  }
}
