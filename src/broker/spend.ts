import type { Lease, Session, SpendingMark } from '../domain/session.ts'
import type { Ask } from '../domain/token.ts'
import { assertNever } from '../kernel/assert.ts'
import type { Instant, Millis } from '../kernel/time.ts'
import { after, between, countdown, millis, seconds } from '../kernel/time.ts'
import { call } from './call.ts'
import type { Watch } from './change-watch.ts'
import type { Tools } from './deps.ts'
import { endUnrenewed, revokeBehind } from './endings.ts'
import type { Step } from './renewal.ts'
import { AGAIN, LEASE_LOST, refused, unavailable } from './renewal.ts'
import { settle } from './settle.ts'

/** Longer than any replica needs to save what it kept in memory once the store is back (pending-saves.ts). */
const AFTER_RECONNECT = seconds(3)
/** How far clocks may disagree about whether a session is younger than the server that holds it. */
const CLOCKS_APART = seconds(1)

export interface Holding {
  readonly lease: Lease
  readonly watch: Watch
}

/** Sends the session's refresh token once, under the lease, with the mark written right before; profiles that rotate. */
export const spend = async (tools: Tools, holding: Holding, session: Session, ask: Ask, key: string): Promise<Step> => {
  // Before the mark, so that an open breaker costs the store nothing, and the time a mark names is not spent on waiting.
  const { breaker, slots } = tools.line(ask.grant)
  const blocked = breaker.blockedFor(tools.clock.now())
  if (blocked !== undefined) return unavailable('provider.unavailable', blocked)
  const release = await slots.take()
  if (!release) return unavailable('provider.unavailable')
  try {
    return await spendInTurn(tools, holding, session, ask, key)
  } finally {
    release()
  }
}

const spendInTurn = async (tools: Tools, { lease, watch }: Holding, session: Session, ask: Ask, key: string): Promise<Step> => {
  const { provider, store } = tools
  const { refreshToken, issuer } = session.grant
  if (!refreshToken) return refused('session.ended')

  // 1. Of what another server acknowledged, this one may have lost the newest: who received it stores it again, or saves it for the first time now.
  const others = await waitForOthers(tools, watch, session)
  if (others === 'changed') return AGAIN
  if (others === 'too-long') return unavailable('store.unavailable')

  // 2. The lease decides who may send. The mark tells whoever comes after a crash that this token may be spent.
  let recovers: SpendingMark | undefined
  const marked = await store.markSpending(lease, session, provider.requestTimeoutMs)
  switch (marked.kind) {
    case 'marked':
      break
    case 'found': {
      const found = await recover(tools, { lease, watch }, session, marked.mark, marked.now)
      if (found !== 'send') return found
      recovers = marked.mark
      break
    }
    case 'superseded':
      return AGAIN
    case 'lease-lost':
      return LEASE_LOST
    case 'absent':
      return AGAIN // looking again tells why it ended
    case 'unavailable':
      return unavailable('store.unavailable')
    default:
      return assertNever(marked)
  }

  // 3. Send. From here on every way out settles the mark, or leaves it on purpose.
  const known = { issuer, subject: session.card.subject, scopes: session.grant.scopes }
  const answer = await call(tools, key, ask, () => provider.refresh(refreshToken, ask, known))
  if (answer.kind === 'blocked') {
    await store.clearMark(lease, session, recovers) // another ask became the probe between our look and our call
    return answer.outcome
  }
  return settle(tools, { session, ask, key, lease, recovers }, answer)
}

/**
 * Somebody sent this very token and did not save. Waits for that save as long as it may still come, then acts by profile: a tolerant provider
 * forgives a second use; a strict one gets exactly one recovery attempt, because the first request may never have reached it.
 */
const recover = async (
  tools: Tools,
  { lease, watch }: Holding,
  session: Session,
  mark: SpendingMark,
  storeNow: Instant,
): Promise<Step | 'send'> => {
  const { clock, log, provider, store } = tools
  const senderDone = after(clock.now(), between(storeNow, after(mark.sentAt, mark.timeoutMs))) // the store's clock, carried over to ours
  const waited = await waitForSender(tools, watch, session, senderDone)
  if (waited === 'changed') return AGAIN
  if (waited === 'too-long') return unavailable('store.unavailable')

  // A strict provider gets one recovery and forgives no second: not into the very stall that lost the first answer, or a stall would sign users out.
  // So does one with a grace: the attempt is made within it, or `config check` has warned, and when it gets lost as well, nobody knows whether it still is.
  if (provider.profile.rotation !== 'tolerant' && !(await provider.answers())) return unavailable('provider.unavailable')

  const forgives = provider.profile.rotation === 'tolerant'
  const taken = await store.takeOverMark(lease, session, mark, provider.requestTimeoutMs, forgives)
  switch (taken) {
    case 'taken':
      log.warn({ sessionRef: session.ref, provider: provider.name }, 'a refresh got lost, trying its refresh token once more')
      return 'send'
    case 'recovered-before':
      if (session.grant.refreshToken) revokeBehind(tools, session, session.grant.refreshToken) // its unknown successor is of the same family
      return endUnrenewed(tools, session, 'refresh-lost')
    case 'superseded':
    case 'absent':
      return AGAIN
    case 'lease-lost':
      return LEASE_LOST
    case 'unavailable':
      return unavailable('store.unavailable')
    default:
      return assertNever(taken)
  }
}

type Waited = 'changed' | 'over' | 'too-long'

/**
 * After a failover, a lease and a mark may be missing as well: another replica may be sending this very token just now. So nobody sends one that is older
 * than the server's reign before every call has ended that could have been made under its predecessor.
 */
const waitForOthers = async (tools: Tools, watch: Watch, session: Session): Promise<Waited> => {
  const { clock, provider, store } = tools
  const settles = Math.max(AFTER_RECONNECT, provider.requestTimeoutMs + CLOCKS_APART)
  if (between(session.card.createdAt, clock.now()) + CLOCKS_APART < store.serverAge()) return 'over' // never held by another
  return waitFor(tools, watch, session, () => millis(settles - store.serverAge()))
}

const waitForSender = async (tools: Tools, watch: Watch, session: Session, senderDone: Instant): Promise<Waited> => {
  const { clock, store } = tools
  const left = countdown(clock, between(clock.now(), senderDone))
  return waitFor(tools, watch, session, () =>
    millis(Math.max(left(), between(clock.now(), after(store.connectedSince(), AFTER_RECONNECT)))),
  )
}

/**
 * `changed`: the record moved or went before the time was over; events that leave `rt_gen` alone do not count. `too-long`: our own store
 * connection comes and goes, so that the time after its return is never over; whoever asks comes back rather than wait for ever.
 * @param leftMs asked anew each time: the connection may have come back, and the server may have been replaced, while we waited
 */
const waitFor = async (tools: Tools, watch: Watch, session: Session, leftMs: () => Millis): Promise<Waited> => {
  const { clock, settings, store } = tools
  const mostLeft = countdown(clock, millis(Math.max(leftMs(), settings.leaseWaitMs)))
  for (;;) {
    const left = leftMs()
    if (left <= 0) return 'over'
    if (left > mostLeft()) return 'too-long'
    if (!(await watch.next(left))) continue
    const looked = await store.reopen(session)
    if (looked.kind === 'absent' || looked.kind === 'ended') return 'changed'
    if (looked.kind === 'found' && looked.held.session.rtGen !== session.rtGen) return 'changed'
  }
}
