import type { Configuration } from 'openid-client'
import type { Log } from '../kernel/ports.ts'
import type { Secret } from '../kernel/secret.ts'
import type { Clock, Millis } from '../kernel/time.ts'
import type { ClientFacts } from './authorize.ts'
import type { Call } from './call.ts'
import type { Discovery, Metadata } from './discovery.ts'
import type { Groups } from './groups.ts'
import type { Keys } from './keys.ts'

/** `grant` of the metrics: a closed set. */
export type CallName =
  | 'authorization_code'
  | 'refresh'
  | 'client_credentials'
  | 'exchange'
  | 'on_behalf_of'
  | 'service_account'
  | 'revocation'
  | 'par'

/** What the operations of one provider share; put together in provider.ts. */
export interface Room {
  readonly name: string
  readonly client: ClientFacts
  readonly discovery: Discovery
  readonly keys: Keys
  /** undefined: an overage stays one. */
  readonly groups?: Groups
  readonly clock: Clock
  readonly log: Log
  /** Of one request. */
  readonly timeoutMs: Millis
  /** Counted, timed, logged; @param budgetMs for this request */
  call(name: CallName, metadata: Metadata, budgetMs: Millis, run: (configuration: Configuration) => Promise<unknown>): Promise<Call>
  revoke(token: Secret<'refresh-token'>): Promise<'revoked' | 'unsupported' | 'unavailable'>
}
