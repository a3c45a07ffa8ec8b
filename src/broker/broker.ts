import type { Broker } from '../domain/broker.ts'
import type { HeldSession, Session } from '../domain/session.ts'
import type { UserAsk } from '../domain/route.ts'
import type { Ask, GrantName } from '../domain/token.ts'
import { assertNever } from '../kernel/assert.ts'
import type { Instant, Millis } from '../kernel/time.ts'
import { countdown } from '../kernel/time.ts'
import { createAppTokens } from './app-tokens.ts'
import { createBearerTokens } from './bearer-tokens.ts'
import { Breaker } from './breaker.ts'
import { createChangeWatcher } from './change-watch.ts'
import type { BrokerDeps, Line, Tools } from './deps.ts'
import { createDerivedTokens } from './derived-tokens.ts'
import type { Need } from './freshness.ts'
import { answeredBy, isConfirmed, isConfirmedWithin, isGood, isInLastFifth, isUnexpired } from './freshness.ts'
import { HoldOff } from './hold-off.ts'
import { PendingSaves } from './pending-saves.ts'
import { createParallelRefresh } from './refresh-in-parallel.ts'
import { createLeasedRefresh } from './refresh-under-lease.ts'
import type { Refused, Renewal, Unavailable } from './renewal.ts'
import { refused, unavailable } from './renewal.ts'
import { Slots } from './slots.ts'
import { createStaticKeys } from './static-keys.ts'
import { exchange } from './strategy-exchange.ts'
import { onBehalfOf } from './strategy-on-behalf-of.ts'
import { serviceAccount } from './strategy-service-account.ts'
import { makeAsk } from './token-key.ts'

export interface RunningBroker extends Broker {
  /** At shutdown: waits, at most `limit`, for refreshes, revocations and unstored refresh tokens; false when some were left. */
  drain(limit: Millis): Promise<boolean>
  /** Stops listening to the store. */
  close(): void
}

/** One broker per provider and replica. */
export const createBroker = (deps: BrokerDeps): RunningBroker => {
  const { clock, log, settings } = deps
  const running = new Set<Promise<unknown>>()
  const behind = (work: Promise<unknown>): void => {
    const guarded = work
      .catch((error: unknown) => log.error({ reason: error instanceof Error ? error.name : 'unknown' }, 'work behind a request failed'))
      .finally(() => running.delete(guarded))
    running.add(guarded)
  }
  const newLine = (): Line => ({ breaker: new Breaker(), slots: new Slots(settings.inFlightMax, settings.slotWaitMs, clock) })
  // A service account's key names an endpoint of its own: who throttles there, or does not answer, must not hold up every refresh here.
  const [provider, accounts] = [newLine(), newLine()]
  const tools: Tools = {
    ...deps,
    behind,
    line: (grant) => (grant === 'service_account' ? accounts : provider),
    holdOff: new HoldOff(),
    pending: new PendingSaves({ ...deps, behind }),
    changes: createChangeWatcher(deps.store, clock),
  }
  deps.onCredential?.((news) => (news === 'accepted' ? tools.holdOff.accepted(clock.now()) : tools.holdOff.another(clock.now())))
  const refresh = deps.provider.profile.rotation === 'none' ? createParallelRefresh(tools) : createLeasedRefresh(tools)
  const apps = createAppTokens(tools)
  const { replaceBearer, ...bearers } = createBearerTokens(tools, [exchange, onBehalfOf], apps.obtain)
  const staticKey = createStaticKeys(tools)
  const aheadHoldOff = new HoldOff()
  const ahead = new Set<string>()
  const anyAsk = makeAsk('refresh', undefined, [])

  const keyOf = (session: Session, ask: Ask): string => `${session.ref} ${ask.key}`

  /** Without I/O while a refusal or an outage is fresh; else one flight per session, ask and need. */
  const renew = async (session: Session, ask: Ask, need: Need): Promise<Renewal> => {
    const key = keyOf(session, ask)
    const now = clock.now()
    const heldOff = tools.holdOff.outcome(key, now)
    if (heldOff) return heldOff
    const blocked = tools.line(ask.grant).breaker.blockedFor(now)
    if (blocked !== undefined) return unavailable('provider.unavailable', blocked)
    const flight = `${key} ${flightOf(need)}`
    const flying = (ask.grant === 'refresh' ? refresh : derive)(flight, { session, ask, need, key })
    behind(flying)
    return flying
  }

  const derive = createDerivedTokens(tools, {
    strategies: [exchange, onBehalfOf, serviceAccount],
    renew,
    renewByAny: (session, need) => renewByAny(session, need),
    actorToken: apps.obtain,
  })

  const startAhead = (session: Session, ask: Ask, now: Instant): void => {
    const key = keyOf(session, ask)
    if (ahead.has(key) || aheadHoldOff.outcome(key, now)) return
    ahead.add(key)
    const work = async (): Promise<void> => {
      try {
        const outcome = await renew(session, ask, { kind: 'ahead' })
        if (outcome.kind === 'unavailable') aheadHoldOff.failed(key, outcome, clock.now(), undefined)
        else aheadHoldOff.succeeded(key)
      } finally {
        ahead.delete(key)
      }
    }
    behind(work())
  }

  const isHeldConfirmed = (held: HeldSession, now: Instant): boolean => isConfirmed(held.session, settings.recheckMs, now)
  /** The provider, or the store that a refresh would need, is away: so much longer. */
  const isWithinGrace = (held: HeldSession): boolean =>
    isConfirmedWithin(held.session, settings.recheckMs + settings.recheckGraceMs, clock.now())

  const peekUser: Broker['peekUser'] = (held, ask, now) => {
    const token = held.session.tokens.get(ask.key)
    if (!isUserGrant(ask.grant) || !token || !isGood(token, now) || !isHeldConfirmed(held, now)) return undefined
    if (!held.stale && held.session.grant.refreshToken && isInLastFifth(token, now)) startAhead(held.session, ask, now)
    return token
  }

  const user: Broker['user'] = async (held, ask) => {
    // 1. The two kinds of token are never mixed up (spec §1, rule 3).
    if (!isUserGrant(ask.grant)) {
      log.error({ grant: ask.grant, hint: 'a fault of the gateway' }, 'a user token was asked for with a grant that yields none')
      return refused('token.invalid')
    }
    // 2. What we hold is enough, or all there is while the store is away.
    const need: Need = { kind: 'token' }
    const answered = answeredBy(held.session, ask, need, settings.recheckMs, clock.now())
    const renewal: Renewal = answered
      ? { kind: 'renewed', session: held.session, access: answered.access }
      : held.stale
        ? unavailable('store.unavailable')
        : await renew(held.session, ask, need)
    // 3. A transient failure serves the token that is still accepted.
    if (renewal.kind === 'renewed') return renewal.access ? { kind: 'issued', access: renewal.access } : refused('token.invalid')
    const access = held.session.tokens.get(ask.key)
    return isTransient(renewal) && access && isUnexpired(access, clock.now()) && isWithinGrace(held) ? { kind: 'issued', access } : renewal
  }

  /** One that was answered before and is not held off; where none is left, one that names no audience. */
  const askToConfirmWith = (session: Session): Ask => {
    const now = clock.now()
    const open = deps.asks.filter((ask) => !tools.holdOff.outcome(keyOf(session, ask), now))
    return open.find((ask) => session.tokens.has(ask.key)) ?? open[0] ?? anyAsk
  }

  /** The provider's word on the session, by whichever ask it does not refuse: a refusal of one audience says nothing about the session. */
  const renewByAny = async (session: Session, need: Need): Promise<Renewal> => {
    const tried = new Set<string>()
    for (;;) {
      const ask = askToConfirmWith(session)
      const renewal = await renew(session, ask, need)
      tried.add(ask.key)
      const isOfOneAudience = renewal.kind === 'refused' && OF_ONE_AUDIENCE.has(renewal.code)
      if (!isOfOneAudience || tried.has(askToConfirmWith(session).key)) return renewal
    }
  }

  const confirm: Broker['confirm'] = async (held) => {
    if (isHeldConfirmed(held, clock.now())) return { kind: 'confirmed' }
    const renewal = held.stale ? unavailable('store.unavailable') : await renewByAny(held.session, { kind: 'confirmed' })
    if (renewal.kind === 'renewed') return { kind: 'confirmed' }
    return isTransient(renewal) && isWithinGrace(held) ? { kind: 'confirmed' } : renewal
  }

  const refreshNow: Broker['refreshNow'] = async (held) => {
    const { session } = held
    if (isConfirmedWithin(session, settings.refreshCooldownMs, clock.now())) return { kind: 'refreshed', session }
    if (held.stale) return unavailable('store.unavailable')
    const renewal = await renewByAny(session, { kind: 'forced', seenRtGen: session.rtGen })
    return renewal.kind === 'renewed' ? { kind: 'refreshed', session: renewal.session } : renewal
  }

  const replace: Broker['replace'] = async (whose, ask, rejected) => {
    if (whose.kind === 'bearer') return replaceBearer(whose.caller, ask, rejected)
    if (whose.kind === 'application')
      return ask.grant === 'client_credentials' ? apps.replace(ask, rejected) : refused('token.credential-rejected')
    const { session, stale } = whose.held
    if (!isUserGrant(ask.grant)) return refused('token.invalid')
    if (stale) return unavailable('store.unavailable')
    const renewal = await renew(session, ask, { kind: 'another', than: rejected })
    if (renewal.kind !== 'renewed') return renewal
    return renewal.access ? { kind: 'issued', access: renewal.access } : refused('token.invalid')
  }

  const drain = async (limit: Millis): Promise<boolean> => {
    const left = countdown(clock, limit)
    while (running.size > 0 && left() > 0) {
      const abort = new AbortController()
      const waited = clock.sleep(left(), abort.signal).catch(() => undefined)
      await Promise.race([Promise.all(running), waited])
      abort.abort()
    }
    return running.size === 0
  }

  return {
    peekUser,
    user,
    peekApp: (ask, now) => {
      if (ask.grant === 'static') return staticKey(ask, now)
      return ask.grant === 'client_credentials' ? apps.peek(ask, now) : undefined
    },
    app: async (ask) => {
      if (ask.grant === 'client_credentials') return apps.obtain(ask)
      if (ask.grant === 'static') {
        const access = staticKey(ask, clock.now())
        return access ? { kind: 'issued', access } : refused('token.key-absent')
      }
      log.error({ grant: ask.grant, hint: 'a fault of the gateway' }, 'an application token was asked for with a user grant')
      return refused('token.invalid')
    },
    ...bearers,
    replace,
    isConfirmed: isHeldConfirmed,
    confirm,
    refreshNow,
    drain,
    close: () => tools.changes.close(),
  }
}

/** A request that finds no good token joins the renewal that an earlier one has begun behind its back, and the other way round: one call per audience. */
const flightOf = (need: Need): string => {
  switch (need.kind) {
    case 'token':
    case 'ahead':
      return 'token'
    case 'confirmed':
      return 'confirmed'
    case 'forced':
      return `forced ${need.seenRtGen}`
    case 'another':
      return `another ${need.than.token.fingerprint()}`
    default:
      return assertNever(need)
  }
}

const USER_GRANTS: ReadonlySet<GrantName> = new Set<UserAsk['grant']>(['refresh', 'exchange', 'on_behalf_of', 'service_account'])
const isUserGrant = (grant: GrantName): grant is UserAsk['grant'] => USER_GRANTS.has(grant)

/** What the provider, or our reading of its answer, said of one token. */
const OF_ONE_AUDIENCE: ReadonlySet<Refused['code']> = new Set<Refused['code']>([
  'session.step-up-required',
  'token.consent-required',
  'token.audience-denied',
  'token.principal-mismatch',
  'token.invalid',
])

/** Not the user's fault and not a word on the session: nobody answered, or the gateway could not prove itself. */
const isTransient = (outcome: Refused | Unavailable): boolean =>
  outcome.kind === 'unavailable' || outcome.code === 'token.credential-rejected'
