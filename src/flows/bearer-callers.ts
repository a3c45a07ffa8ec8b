import { hash } from 'node:crypto'
import type { AuditSink } from '../domain/audit-event.ts'
import type { BearerCaller, BearerRead } from '../domain/caller.ts'
import type { Metrics } from '../domain/metric.ts'
import type { Provider } from '../domain/provider.ts'
import { Secret } from '../kernel/secret.ts'
import { SingleFlight } from '../kernel/single-flight.ts'
import type { Clock, Instant, Millis } from '../kernel/time.ts'
import { after, earliest, minutes, seconds } from '../kernel/time.ts'
import type { Asking } from '../policy/decide.ts'
import type { Visitor } from './visitor.ts'

export interface BearerCallersDeps {
  readonly provider: Pick<Provider, 'name' | 'readBearerToken'>
  /** `provider.bearer.audiences`: the gateway's own names as an API. */
  readonly audiences: readonly string[]
  readonly requireType: boolean
  readonly limit: FailureLimit
  readonly audit: AuditSink
  readonly metrics: Metrics
  readonly clock: Pick<Clock, 'now'>
}

/** What one address may get wrong; edge/guard-failures.ts. */
export interface FailureLimit {
  /** How long it has to wait; undefined: it need not. */
  waitOf(address: string, now: Instant): Millis | undefined
  note(address: string, now: Instant): void
}

/** A caller whose token was verified here, as rules see it. */
export interface KnownCaller {
  readonly caller: BearerCaller
  readonly asking: Asking
  /** Without its application: where an application's own token is attached, a user is let in as a user, whatever it came through. */
  readonly askingAsUser: Asking
}

export type CallerRead =
  | { readonly kind: 'valid'; readonly known: KnownCaller }
  | { readonly kind: 'invalid' }
  | { readonly kind: 'limited'; readonly retryAfter: Millis }
  | { readonly kind: 'overloaded' }
  | { readonly kind: 'unavailable'; readonly retryAfter: Millis }

export interface BearerCallers {
  /** Synchronous, no I/O: what is known of this very token. `refused`: it was, a moment ago. */
  peek(token: string, now: Instant): KnownCaller | 'refused' | undefined
  read(token: string, visitor: Visitor): Promise<CallerRead>
}

/** Whoever has good tokens can have many, and fat ones: bounded by their length as well, which what is read of them goes with. */
const KNOWN_MAX = { entries: 10_000, chars: 16 * 1024 * 1024 }
const REFUSED_MAX = { entries: 5000, chars: 0 }
/** A token does not get better; but one that was sent too early, or before its key was announced, does. */
const REFUSED_FOR = seconds(30)
/** However long it lives: a key that the provider took away stops counting within this, and what the copy of the keys is old (keys.ts, as long again). */
const KNOWN_FOR = minutes(10)
/** Signatures that are looked at, or wait for keys, at once. */
const READING_MAX = 64

interface Remembered<T> {
  readonly value: T
  readonly until: Instant
  /** Of the token, where it is kept. */
  readonly chars: number
}

/**
 * Callers that bring an access token. What was found out is kept by the token's digest, in memory, bounded, and never beyond the token's own end; garbage
 * has a memory of its own, so that no flood of it pushes a good caller out.
 */
export const createBearerCallers = (deps: BearerCallersDeps): BearerCallers => {
  const { provider, limit, audit, metrics, clock } = deps
  const rules = { audiences: deps.audiences, requireType: deps.requireType }
  const known = createMemory<KnownCaller>(KNOWN_MAX)
  const refused = createMemory<'refused'>(REFUSED_MAX)
  const flights = new SingleFlight<BearerRead>()

  const peek: BearerCallers['peek'] = (token, now) => {
    const name = nameOf(token)
    return known.find(name, now) ?? refused.find(name, now)
  }

  /** Once per token, whoever waits for it. */
  const verify = (token: string, name: string, visitor: Visitor): Promise<BearerRead> =>
    flights.run(name, async () => {
      const read = await provider.readBearerToken(Secret.of('access-token', token), rules)
      const now = clock.now()
      const { requestId, address } = visitor
      if (read.kind === 'valid') {
        const { caller } = read
        const { subject, tenant, kind, clientId } = caller
        const until = after(now, KNOWN_FOR)
        known.keep(name, { value: knownOf(caller), until: earliest(caller.expiresAt, until), chars: token.length })
        audit.record({ requestId, address, provider: provider.name, subject, tenant, event: 'caller.accepted', kind, client: clientId })
      } else if (read.kind === 'invalid') {
        refused.keep(name, { value: 'refused', until: after(now, REFUSED_FOR), chars: 0 })
        limit.note(address, now)
        audit.record({ requestId, address, provider: provider.name, event: 'caller.refused', check: read.check })
      }
      metrics.count('sallyport_caller_tokens_total', { outcome: OUTCOMES[read.kind] })
      return read
    })

  return {
    peek,
    read: async (token, visitor) => {
      const now = clock.now()
      // 1. Whoever sent much that was wrong waits, whatever it sends now.
      const wait = limit.waitOf(visitor.address, now)
      if (wait !== undefined) {
        metrics.count('sallyport_caller_tokens_total', { outcome: 'limited' })
        return { kind: 'limited', retryAfter: wait }
      }
      // 2. Somebody may have brought it meanwhile.
      const found = peek(token, now)
      if (found) return found === 'refused' ? { kind: 'invalid' } : { kind: 'valid', known: found }
      if (flights.size >= READING_MAX) {
        metrics.count('sallyport_caller_tokens_total', { outcome: 'overloaded' })
        return { kind: 'overloaded' }
      }
      // 3. Look.
      const read = await verify(token, nameOf(token), visitor)
      if (read.kind === 'unavailable') return { kind: 'unavailable', retryAfter: read.retryAfter }
      if (read.kind === 'invalid') return { kind: 'invalid' }
      return { kind: 'valid', known: knownOf(read.caller) }
    },
  }
}

const OUTCOMES = { valid: 'accepted', invalid: 'refused', unavailable: 'unavailable' } as const satisfies Record<BearerRead['kind'], string>

/** All 256 bits: whoever found two tokens of one name could speak for somebody else. */
const nameOf = (token: string): string => hash('sha256', token, 'base64url')

interface Memory<T> {
  find(name: string, now: Instant): T | undefined
  keep(name: string, entry: Remembered<T>): void
}

/** The oldest go first. */
const createMemory = <T>(most: { readonly entries: number; readonly chars: number }): Memory<T> => {
  const entries = new Map<string, Remembered<T>>()
  let chars = 0
  const drop = (name: string): void => {
    chars -= entries.get(name)?.chars ?? 0
    entries.delete(name)
  }
  return {
    find: (name, now) => {
      const entry = entries.get(name)
      if (!entry || entry.until > now) return entry?.value
      drop(name)
      return undefined
    },
    keep: (name, entry) => {
      drop(name) // to the young end
      entries.set(name, entry)
      chars += entry.chars
      for (const oldest of entries.keys()) {
        if (entries.size <= most.entries && chars <= most.chars) return
        drop(oldest)
      }
    },
  }
}

const knownOf = (caller: BearerCaller): KnownCaller => {
  const grant = { claims: caller.claims, scopes: caller.scopes }
  const card = { tenant: caller.tenant }
  return { caller, asking: { grant, card, clientId: caller.clientId }, askingAsUser: { grant, card } }
}
