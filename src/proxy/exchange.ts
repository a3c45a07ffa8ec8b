import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type { Dispatcher, Pool } from 'undici'
import type { ProblemCode } from '../domain/problem.ts'
import { problem } from '../domain/problem.ts'
import type { Route } from '../domain/route.ts'
import type { SessionRef } from '../domain/session.ts'
import type { Metrics } from '../domain/metric.ts'
import type { AccessLog, Log } from '../kernel/ports.ts'
import type { Secret } from '../kernel/secret.ts'
import type { Instant } from '../kernel/time.ts'
import type { Connections, OpenStream } from './connections.ts'
import type { InboundRules, UpstreamHeaders } from './inbound-headers.ts'
import { inboundHeaders, isEventStream } from './inbound-headers.ts'
import type { OutboundRules } from './outbound-headers.ts'
import type { ProblemAnswer } from './upstream-failure.ts'
import { answerProblem, causeOf, problemDocument, problemOf } from './upstream-failure.ts'

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
  /** `idleEndsAt`: unless it is used again. */
  readonly session: { readonly ref: SessionRef; readonly endsAt: Instant; readonly idleEndsAt?: Instant | undefined } | undefined
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
  /** An upstream answered 401 to a token of ours. */
  readonly onUpstreamUnauthorized: (route: Route, session: SessionRef | undefined, requestId: string) => void
}

/** A route as compiled for forwarding, with its count of requests under way. */
export interface Lane {
  readonly pool: Pool
  readonly outbound: OutboundRules
  readonly inbound: InboundRules
  inFlight: number
  /** Of all routes. */
  readonly total: { inFlight: number }
}

/** Static: nobody reads its stack, and a stack per abandoned request costs. */
const GONE = new Error('the browser left')

/**
 * One request and its answer. Raw dispatch: undici calls these methods as the upstream talks, they write to the browser, and both sides stop each other
 * through pause and drain. One object per request, no closures.
 *
 * `isDone` means that the answer's end is decided: whoever sets it owns what happens next, and whatever undici still says is ignored. That settles the
 * races between the browser leaving, the upstream failing and the answer being complete.
 */
export class Exchange implements Dispatcher.DispatchHandler, OpenStream {
  readonly #deps: ExchangeDeps
  readonly #lane: Lane
  readonly #forwarding: Forwarding
  readonly #address: string
  #controller: Dispatcher.DispatchController | undefined
  /** The head, held back until the first byte of the body: a failure before it is still a clean 502 or 504. */
  #head: string[] | undefined
  /** A body that arrived in one piece, kept so that head and body leave in one write. */
  #whole: Buffer | undefined
  #length = -1
  #bytes = 0
  #status = 0
  #isSse = false
  #isOpenStream = false
  #isDone = false
  #isGone = false
  #isClosed = false
  body: Readable | null = null

  constructor(deps: ExchangeDeps, lane: Lane, forwarding: Forwarding, address: string) {
    this.#deps = deps
    this.#lane = lane
    this.#forwarding = forwarding
    this.#address = address
    lane.inFlight += 1
    lane.total.inFlight += 1
  }

  /** Answers in the upstream's place. */
  refuse(code: ProblemCode): void {
    const { request, response, route, requestId } = this.#forwarding
    this.#isDone = true
    this.#head = undefined
    const isUploading =
      !request.complete && (request.headers['transfer-encoding'] !== undefined || request.headers['content-length'] !== undefined)
    this.#deps.metrics.count('sallyport_problem_answers_total', { code })
    const answer = this.#deps.problem?.(code, request, route, requestId) ?? problemDocument(code, requestId)
    this.#status = answer.status
    answerProblem(response, answer, requestId, this.#lane.inbound.constants, isUploading || this.#deps.isDraining())
    if (isUploading) request.resume() // so that a browser that writes first still reads the answer
  }

  /** The response's only close listener: finished, cut or abandoned. The one place that accounts for a request. */
  closed(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    if (!this.#isDone) {
      this.#isDone = true
      this.#isGone = true
      this.#controller?.abort(GONE)
    }
    this.#lane.inFlight -= 1
    this.#lane.total.inFlight -= 1
    if (this.#isOpenStream) this.#deps.connections.remove(this)
    const { request, response, route, path, requestId, session, principal, startedAt } = this.#forwarding
    this.#deps.accessLog.record({
      requestId,
      method: request.method ?? '',
      route: route.name,
      path,
      status: response.headersSent ? this.#status : LEFT_BEFORE_ANSWER,
      ms: performance.now() - startedAt,
      bytes: this.#bytes,
      address: this.#address,
      sessionRef: session?.ref,
      principal,
      cut: !response.writableFinished,
    })
  }

  /** OpenStream: the session ended, or the gateway is going. */
  cut(): void {
    this.#isDone = true
    this.#controller?.abort(GONE)
    this.#destroy()
  }

  drained(): void {
    this.#forwarding.response.socket?.setTimeout(0)
    this.#controller?.resume()
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    // The browser left while we waited for a connection: the upstream never sees the request.
    if (this.#isGone) controller.abort(GONE)
  }

  onRequestUpgrade(controller: Dispatcher.DispatchController, _status: number, _headers: unknown, socket: { destroy(): unknown }): void {
    socket.destroy() // we never ask for one
    this.onResponseError(controller, new Error('unasked upgrade'))
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: UpstreamHeaders): void {
    if (status < 200 || this.#isDone) return // 103 and kin are not forwarded
    const { request, response, route, requestId, session, principal, token, keepsNoPages } = this.#forwarding
    if (status === 401 && token !== undefined) {
      this.#deps.metrics.count('sallyport_broker_upstream_rejections_total', { route: route.name })
      this.#deps.onUpstreamUnauthorized(route, session?.ref, requestId)
    }
    const head = inboundHeaders(headers, this.#lane.inbound, session !== undefined || principal !== 'none', keepsNoPages)
    head.push('x-request-id', requestId)
    const isUploading = this.body !== null && !request.complete
    if (isUploading || this.#deps.isDraining()) head.push('connection', 'close')
    this.#status = status
    this.#head = head
    const length = headers['content-length']
    if (typeof length === 'string') this.#length = Number(length)
    if (status === 204 || status === 304 || request.method === 'HEAD') {
      // Ended here: undici reports a length mismatch for a 304 with Content-Length, later, when nobody listens any more.
      if (status === 204) this.#head = withoutLength(head)
      this.#writeHead()
      this.#isDone = true
      response.end()
      return
    }
    this.#isSse = isEventStream(headers['content-type'])
    if (this.#isSse) {
      this.#writeHead()
      response.flushHeaders()
      this.#becomeStream()
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isDone) return
    if (this.#head) this.#writeHead()
    this.#bytes += chunk.length
    if (chunk.length === this.#length) {
      this.#whole = chunk
      return
    }
    if (!this.#isOpenStream && this.#length < 0 && !this.#becomeStream()) return
    const { response } = this.#forwarding
    if (response.write(chunk)) return
    controller.pause()
    response.once('drain', onDrain)
    this.#limitStandstill()
  }

  /** Trailers are never forwarded. */
  onResponseEnd(): void {
    if (this.#isDone) return
    if (this.#head) this.#writeHead()
    this.#isDone = true
    if (this.#bytes > STANDSTILL_BYTES) this.#limitStandstill()
    if (this.#whole) this.#forwarding.response.end(this.#whole)
    else this.#forwarding.response.end()
  }

  /** The controller may be missing: the connection was never made. */
  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: unknown): void {
    if (this.#isDone) return
    const { response, route, requestId } = this.#forwarding
    const cause = causeOf(error)
    const code = problemOf(cause)
    if (problem(code).status >= 500) this.#deps.log.warn({ requestId, route: route.name, code, cause }, 'upstream failed')
    if (!response.headersSent) {
      this.refuse(code)
      return
    }
    this.#isDone = true
    this.#destroy() // a cut, never a short but complete body
  }

  /**
   * A browser that takes nothing any more holds a connection, its upstream's and a place among `limits.in_flight`; undici does not time a paused
   * answer. Node counts what is taken as life, and takes the limit away when the answer has left.
   */
  #limitStandstill(): void {
    const { response, route } = this.#forwarding
    response.socket?.setTimeout(route.limits.bodyTimeoutMs)
  }

  /**
   * Ends the connection. An answer that waits behind another one (pipelining) has none yet: Node would give it its turn all the same, send what is
   * buffered of it and leave the browser waiting for the rest for ever. So the connection ends when its turn comes.
   */
  #destroy(): void {
    const { response } = this.#forwarding
    if (response.socket === null) response.once('socket', endConnection)
    response.destroy()
  }

  #writeHead(): void {
    const head = this.#head
    this.#head = undefined
    if (head) this.#forwarding.response.writeHead(this.#status, head)
  }

  /** From here on the answer ends when its session does. False: the session ended while the upstream thought. */
  #becomeStream(): boolean {
    const { session } = this.#forwarding
    this.#isOpenStream = this.#deps.connections.add(session?.ref, session?.endsAt, this, session?.idleEndsAt)
    if (!this.#isOpenStream) this.cut()
    return this.#isOpenStream
  }
}

/** The system takes about that much at once, whoever reads it. */
const STANDSTILL_BYTES = 64 * 1024

/** Nobody received a status; nginx's number for it. */
const LEFT_BEFORE_ANSWER = 499

/** Finds the exchange of a response without a closure per request. */
const EXCHANGE = Symbol('exchange')
interface Carrier extends ServerResponse {
  [EXCHANGE]?: Exchange
}
export const follow = (response: ServerResponse, exchange: Exchange): void => {
  const carrier: Carrier = response
  carrier[EXCHANGE] = exchange
  response.on('close', onClose)
}
function onClose(this: Carrier): void {
  this[EXCHANGE]?.closed()
}
const endConnection = (socket: Socket): void => void socket.destroy()
function onDrain(this: Carrier): void {
  this[EXCHANGE]?.drained()
}

const withoutLength = (head: readonly string[]): string[] => {
  const at = head.indexOf('content-length')
  return at < 0 ? [...head] : [...head.slice(0, at), ...head.slice(at + 2)]
}
