import type { AuditEvent } from '../../src/domain/audit-event.ts'
import type { KeyFiles } from '../../src/domain/key-file.ts'
import type { Metrics } from '../../src/domain/metric.ts'
import type { HeldSession, Session } from '../../src/domain/session.ts'
import type { AccessToken, Ask, TokenOutcome } from '../../src/domain/token.ts'
import type { BrokerSettings } from '../../src/broker/deps.ts'
import { BROKER_DEFAULTS } from '../../src/broker/deps.ts'
import type { RunningBroker } from '../../src/broker/broker.ts'
import { createBroker } from '../../src/broker/broker.ts'
import type { Log } from '../../src/kernel/ports.ts'
import { minutes } from '../../src/kernel/time.ts'
import { manualClock, type ManualClock } from './clock.ts'
import type { FakeProviderOptions, FakeProviderPort } from './fake-provider-port.ts'
import { createFakeProvider } from './fake-provider-port.ts'
import type { FakeReplicaStore, SharedStore } from './fake-session-store.ts'
import { createSharedStore } from './fake-session-store.ts'
import type { Gates } from './gates.ts'
import { a, the } from './the.ts'

export interface Replica {
  readonly broker: RunningBroker
  readonly store: FakeReplicaStore
}

/** Brokers of several replicas over one store and one provider, with everything they told to log, audit and metrics. */
export interface Fleet {
  readonly clock: ManualClock
  readonly provider: FakeProviderPort
  readonly shared: SharedStore
  replica(name?: string, gates?: Gates): Replica
  /** A session whose token for `ask` has just expired, in the store. */
  session(over?: {
    readonly tokens?: readonly AccessToken[]
    readonly subject?: string
    readonly withoutRefreshToken?: boolean
    readonly confirmedAgo?: number
  }): Session
  held(session: Session): HeldSession
  readonly audit: AuditEvent[]
  readonly counted: { readonly name: string; readonly labels: Readonly<Record<string, string>> }[]
  /** Every log line, as text. */
  readonly lines: string[]
}

export const createFleet = (
  options: Partial<FakeProviderOptions> & {
    readonly settings?: Partial<BrokerSettings>
    readonly asks?: readonly Ask[]
    readonly keys?: KeyFiles
  } = {},
): Fleet => {
  const clock = manualClock()
  const provider = createFakeProvider({ clock, ...options })
  const shared = createSharedStore(clock)
  const audit: AuditEvent[] = []
  const counted: { readonly name: string; readonly labels: Readonly<Record<string, string>> }[] = []
  const lines: string[] = []
  const line =
    (level: string) =>
    (facts: object, message: string): void => {
      lines.push(`${level} ${message} ${JSON.stringify(facts)}`)
    }
  const log: Log = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') }
  const metrics: Metrics = {
    count: (name, labels) => void counted.push({ name, labels }),
    gauge: () => {},
    observe: (name, _seconds, labels) => void counted.push({ name, labels }),
  }
  const settings: BrokerSettings = { ...BROKER_DEFAULTS, recheckMs: minutes(60), recheckGraceMs: minutes(60), ...options.settings }

  return {
    clock,
    provider,
    shared,
    audit,
    counted,
    lines,
    replica: (name = 'one', gates) => {
      const store = shared.replica(name, gates)
      const asks = options.asks ?? [the.orders, the.invoices]
      return {
        store,
        broker: createBroker({
          store,
          provider,
          clock,
          log,
          metrics,
          audit: { record: (event) => void audit.push(event) },
          settings,
          asks,
          ...(options.keys && { keys: options.keys }),
        }),
      }
    },
    session: ({ tokens = [], subject = the.alice.sub, withoutRefreshToken = false, confirmedAgo = 0 } = {}) =>
      shared.add(
        a.session({
          now: clock.now(),
          card: { subject },
          grant: {
            refreshToken: withoutRefreshToken ? undefined : provider.grant(subject),
            confirmedAt: (clock.now() - confirmedAgo) as Session['grant']['confirmedAt'],
          },
          tokens,
        }),
      ),
    held: (session) => ({ session, lastSeenAt: clock.now(), stale: false }),
  }
}

/** What an outcome came to, in one word: `issued`, a problem code, or the code of the unavailability. */
export const wordOf = (outcome: TokenOutcome | { readonly kind: 'confirmed' | 'refreshed' }): string =>
  outcome.kind === 'refused' || outcome.kind === 'unavailable' ? outcome.code : outcome.kind
