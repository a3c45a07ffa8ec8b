import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'
import type { BearerCaller } from '../domain/caller.ts'
import type { Metrics } from '../domain/metric.ts'
import type { ProblemCode } from '../domain/problem.ts'
import type { Route } from '../domain/route.ts'
import type { HeldSession, SessionRef } from '../domain/session.ts'
import type { AccessToken } from '../domain/token.ts'
import type { AccessLog, Log } from '../kernel/ports.ts'
import type { Secret } from '../kernel/secret.ts'
import type { Instant } from '../kernel/time.ts'
import type { Challenge } from './challenge.ts'
import type { Connections } from './connections.ts'
import type { InboundRules } from './inbound-headers.ts'
import type { OutboundRules } from './outbound-headers.ts'
import type { ProblemAnswer } from './upstream-failure.ts'

/** One request to forward; everything about it has been decided. */
export interface Forwarding {
  readonly request: IncomingMessage
  /** Hijacked: nobody else writes to it. */
  readonly response: ServerResponse
  readonly route: Route
  /** Canonical, matched to `route`. */
  readonly path: string
  /** With its question mark, or ''. */
  readonly query: string
  readonly requestId: string
  readonly token: Secret<'access-token'> | undefined
  /** What `token` is of, and whose: for when the upstream refuses it. */
  readonly access?: AccessToken | undefined
  readonly held?: HeldSession | undefined
  readonly caller?: BearerCaller | undefined
  /** Who calls, as the gateway says it: header names and values in turn. */
  readonly identity?: readonly string[] | undefined
  /**
   * Whose answer it is, and when streams of it end; a bearer caller's has no ref and ends with the token. `idleEndsAt`: unless it is used again.
   */
  readonly session:
    | { readonly ref: SessionRef | undefined; readonly endsAt: Instant; readonly idleEndsAt?: Instant | undefined }
    | undefined
  readonly principal: 'user' | 'app' | 'none'
  /** An HTML answer is kept by nobody, the browser's back/forward cache included. */
  readonly keepsNoPages?: boolean
  /** `performance.now()` when the request arrived. */
  readonly startedAt: number
}

export interface ExchangeDeps {
  readonly accessLog: AccessLog
  readonly log: Log
  readonly metrics: Metrics
  readonly connections: Connections
  readonly isDraining: () => boolean
  /** How a problem is said, a page to a person; without it: the bare document. */
  readonly problem?: (code: ProblemCode, request: IncomingMessage, route: Route, requestId: string) => ProblemAnswer
  /**
   * An upstream answered 401, or 403 with a challenge, to a token of ours. A promise: another token may come of it, and the request can be sent again with
   * it; never rejects.
   * @param mayRepeat the request can be sent a second time
   */
  readonly onRejected: (forwarding: Forwarding, rejection: Rejection, mayRepeat: boolean) => Promise<Replaced> | undefined
}

/** Another token; the session is over, as it turned out; or nothing, and the upstream's answer stands. */
export type Replaced = AccessToken | 'session.ended' | 'session.refresh-lost' | undefined

export interface Rejection {
  readonly status: 401 | 403
  readonly challenge: Challenge | undefined
}

/** A route as compiled for forwarding, with its count of requests under way. */
export interface Lane {
  readonly pool: Dispatcher
  readonly outbound: OutboundRules
  readonly inbound: InboundRules
  inFlight: number
  /** Of all routes. */
  readonly total: { inFlight: number }
}
