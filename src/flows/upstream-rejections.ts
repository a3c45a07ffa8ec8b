import type { AuditSink } from '../domain/audit-event.ts'
import type { Broker, TokenHolder } from '../domain/broker.ts'
import type { BearerCaller } from '../domain/caller.ts'
import type { Metrics } from '../domain/metric.ts'
import type { Route } from '../domain/route.ts'
import type { SessionStore } from '../domain/session-store.ts'
import type { HeldSession } from '../domain/session.ts'
import type { AccessToken, Ask, GrantName } from '../domain/token.ts'
import type { Log } from '../kernel/ports.ts'
import type { Clock, Instant } from '../kernel/time.ts'
import { between, minutes } from '../kernel/time.ts'
import type { Asking, Decision } from '../policy/decide.ts'

export interface UpstreamRejectionsDeps {
  readonly broker: Pick<Broker, 'replace'>
  readonly store: Pick<SessionStore, 'reopen'>
  /** The compiled `allow` of a route. */
  readonly decide: (route: Route) => ((asking: Asking) => Decision) | undefined
  readonly log: Log
  readonly metrics: Metrics
  readonly audit: AuditSink
  readonly clock: Pick<Clock, 'now'>
}

/** A request whose token an upstream refused; proxy/ has more of it. */
export interface Rejected {
  readonly route: Route
  readonly requestId: string
  readonly principal: 'user' | 'app' | 'none'
  readonly access?: AccessToken | undefined
  readonly held?: HeldSession | undefined
  readonly caller?: BearerCaller | undefined
}

export interface UpstreamRejections {
  /**
   * Counts and explains it; where the token is called invalid, asks for another one. A promise: the request may be sent again with what comes of it.
   * Never rejects.
   * @param mayRepeat otherwise the new token is for whoever comes next
   */
  note(
    rejected: Rejected,
    why: { readonly status: 401 | 403; readonly challenge: { readonly isBearer: boolean; readonly error: string | undefined } | undefined },
    mayRepeat: boolean,
  ): Promise<Replaced> | undefined
}

/** Another token; the session is over, as it turned out; or nothing. */
export type Replaced = AccessToken | 'session.ended' | 'session.refresh-lost' | undefined

/** Spec §5. An API that refuses whatever it is sent must not turn each request into a call to the provider. */
const REPLACED_EVERY = minutes(1)
const TOLD_EVERY = minutes(1)
const ENTRIES_MAX = 10_000

interface Replacement {
  readonly at: Instant
  /** Fingerprint of the token that was refused. */
  readonly rejected: string
  readonly outcome: Promise<Replaced>
}

/** What an upstream's no comes to: 401, or 403 with a challenge, to a token of ours. */
export const createUpstreamRejections = (deps: UpstreamRejectionsDeps): UpstreamRejections => {
  const { broker, log, metrics, audit, clock } = deps
  const replacements = new Map<string, Replacement>()
  const told = new Map<string, Instant>()

  const explain = ({ route, requestId, principal, access, held, caller }: Rejected, status: number, error: string | undefined): void => {
    const now = clock.now()
    const key = `${route.name} ${status}`
    // One line in a minute says as much as thousands; the metric counts them all.
    const isTold = isWithin(told.get(key), now, TOLD_EVERY)
    if (!isTold) told.set(key, now)
    const ask = askOf(route, caller)
    const facts = {
      requestId,
      route: route.name,
      status,
      principal,
      ...(held && { sessionRef: held.session.ref }),
      ...(ask?.audience !== undefined && { audience: ask.audience }),
      ...(ask && { grant: ask.grant, scopes: (access?.scopes ?? ask.scopes).join(' ') }),
      ...(access && ask?.grant !== 'static' && { expiresInSeconds: Math.round(between(now, access.expiresAt) / 1000) }),
      // An API may repeat what it was sent, and an opaque token or a key looks much like a code.
      ...(error !== undefined && { upstreamCode: HINTS.has(error) ? error : 'other' }),
      hint: ask?.grant === 'static' ? HINT_KEY : (HINTS.get(error ?? '') ?? (status === 401 ? HINT_401 : HINT_403)),
    }
    if (isTold) log.debug(facts, 'upstream rejected our token')
    else log.warn(facts, 'upstream rejected our token')
  }

  const replace = async (rejected: Rejected, whose: TokenHolder, ask: Ask, access: AccessToken): Promise<Replaced> => {
    let replaced: Replaced
    try {
      const outcome = await broker.replace(whose, ask, access)
      // What came back may be the very token that was refused: a provider that keeps its own cache.
      if (outcome.kind === 'issued' && !outcome.access.token.equals(access.token)) replaced = outcome.access
      if (outcome.kind === 'refused' && (outcome.code === 'session.ended' || outcome.code === 'session.refresh-lost'))
        replaced = outcome.code
    } catch (error) {
      log.error({ requestId: rejected.requestId, cause: error instanceof Error ? error.name : 'unknown' }, 'token could not be replaced')
    }
    const { route, requestId, held, caller } = rejected
    audit.record({
      requestId,
      sessionRef: held?.session.ref,
      subject: held?.session.card.subject ?? caller?.subject,
      tenant: held?.session.card.tenant ?? caller?.tenant,
      event: 'token.rejected-upstream',
      route: route.name,
      principal: rejected.principal === 'app' ? 'app' : 'user',
      audience: ask.audience,
      outcome: typeof replaced === 'object' ? 'replaced' : 'kept',
    })
    return replaced
  }

  /** Once per token, and once a minute per session (or caller, or application) and audience. All who were refused with the same token share what comes. */
  const replacementOf = (rejected: Rejected): Promise<Replaced> | undefined => {
    const { access, route, caller } = rejected
    const ask = askOf(route, caller)
    const whose = holderOf(rejected)
    if (!access || !ask || !whose || !REPLACEABLE.has(ask.grant)) return undefined
    const key = `${nameOf(whose)} ${ask.key}`
    const now = clock.now()
    const fingerprint = access.token.fingerprint()
    const before = replacements.get(key)
    if (before?.rejected === fingerprint) return before.outcome
    if (isWithin(before?.at, now, REPLACED_EVERY)) return undefined
    const outcome = replace(rejected, whose, ask, access)
    replacements.delete(key) // to the young end
    replacements.set(key, { at: now, rejected: fingerprint, outcome })
    for (const oldest of replacements.keys()) {
      if (replacements.size <= ENTRIES_MAX) break
      replacements.delete(oldest)
    }
    return outcome
  }

  /** A renewed session brings newer claims; what let this request in was decided by the older ones (spec §1). */
  const decideAgain = async ({ route, requestId, principal, held }: Rejected, outcome: Promise<Replaced>): Promise<Replaced> => {
    const replaced = await outcome
    if (typeof replaced !== 'object' || !held || principal !== 'user' || route.allow?.kind === 'signed-in') return replaced
    try {
      const looked = await deps.store.reopen(held.session)
      return looked.kind === 'found' && deps.decide(route)?.(looked.held.session).effect !== 'refuse' ? replaced : undefined
    } catch (error) {
      log.error({ requestId, cause: error instanceof Error ? error.name : 'unknown' }, 'a rule could not be asked again')
      return undefined
    }
  }

  return {
    note: (rejected, { status, challenge }, mayRepeat) => {
      metrics.count('sallyport_broker_upstream_rejections_total', { route: rejected.route.name, status: String(status) })
      explain(rejected, status, challenge?.error)
      // RFC 6750 §3.1: only this says that another token might do.
      if (status !== 401 || !challenge?.isBearer || challenge.error !== 'invalid_token') return undefined
      const outcome = replacementOf(rejected)
      return mayRepeat && outcome ? decideAgain(rejected, outcome) : undefined
    },
  }
}

const isWithin = (at: Instant | undefined, now: Instant, length: number): boolean => {
  if (at === undefined) return false
  const since = between(at, now)
  return since >= 0 && since < length // a clock that was set back mutes nothing
}

const askOf = ({ token }: Route, caller: BearerCaller | undefined): Ask | undefined => {
  if (token.principal === 'none') return undefined
  return token.principal === 'user' && caller ? token.bearerAsk : token.ask
}

const holderOf = ({ principal, held, caller }: Rejected): TokenHolder | undefined => {
  if (principal === 'app') return { kind: 'application' }
  if (caller) return { kind: 'bearer', caller }
  return held && { kind: 'session', held }
}

const nameOf = (whose: TokenHolder): string => {
  if (whose.kind === 'session') return whose.held.session.ref
  return whose.kind === 'bearer' ? `bearer ${whose.caller.token.fingerprint()}` : 'application'
}

/** The others are somebody else's to renew: the caller's own token, a key from a file. */
const REPLACEABLE: ReadonlySet<GrantName> = new Set<GrantName>([
  'refresh',
  'exchange',
  'on_behalf_of',
  'client_credentials',
  'service_account',
])

const HINT_KEY = 'compare the key in token.key_file of the route, its header and its scheme, with what the API takes'
const HINT_401 = 'compare token.audience of the route with the audience, issuer and keys that the API validates by'
const HINT_403 = 'compare token.scopes of the route, and token.principal, with what the API asks for'
/** By the codes of RFC 6750 §3.1, RFC 9470 §3 and Entra. */
const HINTS: ReadonlyMap<string, string> = new Map([
  ['invalid_request', 'the API could not read the token where it was sent: compare what it expects with `Authorization: Bearer`'],
  ['invalid_token', HINT_401],
  ['insufficient_scope', HINT_403],
  ['insufficient_user_authentication', 'the API wants a stronger or a newer sign-in, which this release does not ask for by itself'],
  ['insufficient_claims', 'the API answers with a claims challenge, which this release does not pass on to a sign-in'],
])
