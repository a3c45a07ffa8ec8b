/** Milliseconds since the run began, by the one clock of the process that drives it. */
export type At = number

export type ClientOp = 'sign-in' | 'api' | 'app' | 'user' | 'refresh' | 'logout' | 'probe'

/** What an API saw of the token a request carried; decoded, and known to the provider's record by `token`. */
export interface SeenToken {
  readonly subject: string
  readonly audience: string
  /** `jti`. */
  readonly token: string
  /** It was past its `exp` when it came. */
  readonly expired: boolean
}

/** One request of a client, with its answer. Appended when it is over; `from` and `to` order it against everything else. */
export interface Operation {
  readonly kind: 'op'
  readonly op: ClientOp
  /** The session it was sent with; after `sign-in` the one it made. `undefined`: none came of it. */
  readonly session: string | undefined
  /** The session a sign-in was started with: replacing it is asked for. */
  readonly replaces?: string | undefined
  /** Whose session this is by what its client asked for. */
  readonly user: string
  readonly gateway: number
  readonly from: At
  readonly to: At
  /** 0: no answer. */
  readonly status: number
  readonly code?: string | undefined
  /** Whom the answer of the gateway itself named (`/bff/user`). */
  readonly claimed?: string | undefined
  /** The audience the route was configured with, and what its upstream saw. */
  readonly audience?: string | undefined
  readonly seen?: SeenToken | undefined
}

export type FaultName =
  | 'redis-kill'
  | 'redis-freeze'
  | 'redis-restart'
  | 'redis-readonly'
  | 'redis-failover'
  | 'redis-slow'
  | 'redis-cut'
  | 'redis-cut-inside'
  | 'redis-drop'
  | 'gateway-kill'
  | 'gateway-freeze'
  | 'provider-cut'
  | 'provider-slow'
  | 'clock-offset'

export interface Fault {
  readonly kind: 'fault'
  readonly fault: FaultName
  /** `undefined`: all of them. */
  readonly gateway?: number | undefined
  readonly from: At
  /** When it was over: the process is back, or the proxy lets pass again. */
  readonly to: At
  /** For `gateway-kill`: what was on the wire when it fell. */
  readonly on?: string | undefined
}

/** A refresh token arrived at the provider: `spent` is a hash of it. */
export interface Sent {
  readonly kind: 'sent'
  readonly id: number
  readonly gateway: number
  readonly at: At
  readonly spent: string
}

/** What the provider answered at its token endpoint. */
export interface Issued {
  readonly kind: 'issued'
  /** Of the `sent` it answers; `undefined` for codes and the application's own tokens. */
  readonly sent: number | undefined
  readonly gateway: number
  readonly at: At
  readonly status: number
  /** The gateway lived when the whole answer was handed to its connection. */
  readonly delivered: boolean
  /** Hash of the new refresh token. */
  readonly refresh: string | undefined
  readonly token: string | undefined
  readonly subject: string | undefined
  readonly audience: string | undefined
}

/** `session.ended` in a gateway's audit stream. */
export interface Ended {
  readonly kind: 'ended'
  readonly gateway: number
  readonly session: string
  readonly reason: string
}

/** A key that was in the store at the end; -1: without a TTL. */
export interface Key {
  readonly kind: 'key'
  readonly key: string
  readonly ttl: number
}

/** Everything was let to heal by then: from here on no fault excuses anything. */
export interface Healed {
  readonly kind: 'healed'
  readonly at: At
}

export type HistoryEvent = Operation | Fault | Sent | Issued | Ended | Key | Healed
