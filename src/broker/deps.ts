import type { AuditSink } from '../domain/audit-event.ts'
import type { KeyFiles } from '../domain/key-file.ts'
import type { Metrics } from '../domain/metric.ts'
import type { Provider } from '../domain/provider.ts'
import type { SessionStore } from '../domain/session-store.ts'
import type { Ask, GrantName } from '../domain/token.ts'
import type { Log } from '../kernel/ports.ts'
import type { Clock, Millis } from '../kernel/time.ts'
import { millis, minutes, seconds } from '../kernel/time.ts'
import type { Breaker } from './breaker.ts'
import type { ChangeWatcher } from './change-watch.ts'
import type { HoldOff } from './hold-off.ts'
import type { PendingSaves } from './pending-saves.ts'
import type { Slots } from './slots.ts'

export interface BrokerSettings {
  /** `session.recheck`: every session must have been confirmed by the provider within this. */
  readonly recheckMs: Millis
  /** `session.recheck_grace`: so much longer while the provider is away. */
  readonly recheckGraceMs: Millis
  /** Life of a lease; renewed at a third of it. */
  readonly leaseMs: Millis
  /** How long an ask waits for another replica's lease before it is told to come back. */
  readonly leaseWaitMs: Millis
  /** After a confirmation younger than this, POST /bff/session/refresh answers with what is there. */
  readonly refreshCooldownMs: Millis
  /** How long a refusal that concerns one audience is remembered per session and ask. */
  readonly refusalMs: Millis
  /** The same for a rejected client credential, unless one is accepted before: a rotation may cure it any moment. */
  readonly credentialRefusalMs: Millis
  /** How long a request waits for a save that failed and is retried. */
  readonly saveWaitMs: Millis
  /** So many requests of this replica may be at the token endpoint at once. */
  readonly inFlightMax: number
  /** How long an ask waits for one of them to end. */
  readonly slotWaitMs: Millis
}

/** Everything but `recheckMs` and `recheckGraceMs`, which are settings of the operator. */
export const BROKER_DEFAULTS = {
  leaseMs: seconds(10),
  leaseWaitMs: seconds(15),
  refreshCooldownMs: seconds(10),
  refusalMs: minutes(1.5),
  credentialRefusalMs: seconds(10),
  saveWaitMs: millis(1000),
  inFlightMax: 100,
  slotWaitMs: seconds(5),
} as const satisfies Omit<BrokerSettings, 'recheckMs' | 'recheckGraceMs'>

export interface BrokerDeps {
  readonly store: SessionStore
  readonly provider: Provider
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly audit: AuditSink
  readonly settings: BrokerSettings
  /** For `static` and `service_account`; absent where no route has them. */
  readonly keys?: KeyFiles
  /** `accepted`: the provider takes one of our credentials. `another`: there is another one to try. */
  readonly onCredential?: (listener: (news: 'accepted' | 'another') => void) => void
  /** Asks of the user routes, the one of the login first; a session is confirmed with one of them. */
  readonly asks: readonly Ask[]
}

/** One token endpoint: whether it is called, and by how many at once. */
export interface Line {
  readonly breaker: Breaker
  readonly slots: Slots
}

/** What the parts of the broker share, per replica. */
export interface Tools extends BrokerDeps {
  /** Of the token endpoint that the grant is asked for at. */
  readonly line: (grant: GrantName) => Line
  readonly holdOff: HoldOff
  readonly pending: PendingSaves
  readonly changes: ChangeWatcher
  /** Runs on behind the request; its failure is logged, never thrown; `drain` waits for it. */
  readonly behind: (work: Promise<unknown>) => void
}
