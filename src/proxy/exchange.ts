import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { ProblemCode } from '../domain/problem.ts'
import { problem } from '../domain/problem.ts'
import { challengeOf } from './challenge.ts'
import type { OpenStream } from './connections.ts'
import type { Follower } from './follow.ts'
import { followDrain } from './follow.ts'
import type { ExchangeDeps, Forwarding, Lane, Replaced } from './forwarding.ts'
import type { UpstreamHeaders } from './inbound-headers.ts'
import { inboundHeaders, isEventStream, withoutLength } from './inbound-headers.ts'
import { KeptBody } from './limits.ts'
import { send } from './send.ts'
import { answerProblem, causeOf, problemDocument, problemOf } from './upstream-failure.ts'

/** Static: nobody reads its stack, and a stack per abandoned request costs. */
const GONE = new Error('the browser left')
const REPEATED = new Error('sent again with another token')

/**
 * One request and its answer. Raw dispatch: undici calls these methods as the upstream talks, they write to the browser, and both sides stop each other
 * through pause and drain. One object per request, no closures.
 *
 * `isDone` means that the answer's end is decided: whoever sets it owns what happens next, and whatever undici still says is ignored. That settles the
 * races between the browser leaving, the upstream failing and the answer being complete.
 */
export class Exchange implements Dispatcher.DispatchHandler, OpenStream, Follower {
  readonly #deps: ExchangeDeps
  readonly #lane: Lane
  readonly #forwarding: Forwarding
  readonly #chain: readonly string[]
  #isRepeated = false
  /** Whether this answer counts is not known yet. It stands still, but an answer to HEAD ends all the same: it has no body to stand still before. */
  #undecided: 'still' | 'ended' | undefined
  #controller: Dispatcher.DispatchController | undefined
  #old: Dispatcher.DispatchController | undefined
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
  #body: Readable | null = null

  constructor(deps: ExchangeDeps, lane: Lane, forwarding: Forwarding, chain: readonly string[]) {
    this.#deps = deps
    this.#lane = lane
    this.#forwarding = forwarding
    this.#chain = chain
    lane.inFlight += 1
    lane.total.inFlight += 1
  }

  /** Off it goes. */
  start(body: Readable | null): void {
    this.#body = body
    send(this.#lane, this.#forwarding, this.#chain, this.#forwarding.token, body, this)
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
    this.#bytes = answerProblem(response, answer, requestId, this.#lane.inbound.constants, isUploading || this.#deps.isDraining())
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
      address: this.#chain[0] ?? 'unknown',
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

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: UpstreamHeaders): void {
    if (status < 200 || this.#isDone || this.#isOld(controller)) return // 103 and kin are not forwarded
    if (status === 401 || status === 403) {
      const other = this.#rejected(status, headers['www-authenticate'])
      if (other) {
        this.#undecided = 'still'
        controller.pause()
        void other.then((replaced) => this.#repeat(controller, replaced, status, headers))
        return
      }
    }
    this.#begin(status, headers)
  }

  /** A token of ours was refused. A promise: another one may come. */
  #rejected(status: 401 | 403, header: string | string[] | undefined): Promise<Replaced> | undefined {
    if (this.#forwarding.token === undefined) return undefined
    const challenge = challengeOf(header)
    if (status === 403 && !challenge) return undefined // the API's own no
    const { request } = this.#forwarding
    const isKept = this.#body === null || (this.#body instanceof KeptBody && this.#body.whole() !== undefined)
    const mayRepeat = !this.#isRepeated && isKept && REPEATABLE.has(request.method ?? '')
    const other = this.#deps.onRejected(this.#forwarding, { status, challenge }, mayRepeat)
    return mayRepeat ? other : undefined
  }

  /** Once, and only what can be sent twice. The browser may have left, and the upstream may have cut its answer, while the provider was asked. */
  #repeat(controller: Dispatcher.DispatchController, other: Replaced, status: number, headers: UpstreamHeaders): void {
    const hasEnded = this.#undecided === 'ended'
    this.#undecided = undefined
    if (this.#isDone || this.#isOld(controller)) return
    if (other === undefined || (typeof other !== 'string' && this.#deps.isDraining())) {
      this.#begin(status, headers)
      if (hasEnded) this.onResponseEnd(controller)
      else controller.resume()
      return
    }
    this.#isRepeated = true
    this.#controller = undefined // from here on nothing of the first answer counts, nor that it was cut
    this.#old = controller
    controller.abort(REPEATED)
    // Its own answer belongs to a session that is over, and would be cut half way.
    if (typeof other === 'string') return this.refuse(other)
    const body = this.#body instanceof KeptBody ? (this.#body.whole() ?? null) : null
    this.#body = null
    this.#deps.metrics.count('sallyport_proxy_repeated_requests_total', { route: this.#forwarding.route.name })
    send(this.#lane, this.#forwarding, this.#chain, other.token, body, this)
  }

  /** Of an answer that was given up for a second one. */
  #isOld(controller: Dispatcher.DispatchController | undefined): boolean {
    return controller !== undefined && controller === this.#old
  }

  #begin(status: number, headers: UpstreamHeaders): void {
    const { request, response, requestId, session, principal, keepsNoPages } = this.#forwarding
    const head = inboundHeaders(headers, this.#lane.inbound, session !== undefined || principal !== 'none', keepsNoPages)
    head.push('x-request-id', requestId)
    const isUploading = this.#body !== null && !request.complete
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
    if (this.#isDone || this.#isOld(controller)) return
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
    followDrain(response)
    this.#limitStandstill()
  }

  /** Trailers are never forwarded. */
  onResponseEnd(controller: Dispatcher.DispatchController): void {
    if (this.#isDone || this.#isOld(controller)) return
    if (this.#undecided) {
      this.#undecided = 'ended'
      return
    }
    if (this.#head) this.#writeHead()
    this.#isDone = true
    if (this.#bytes > STANDSTILL_BYTES) this.#limitStandstill()
    if (this.#whole) this.#forwarding.response.end(this.#whole)
    else this.#forwarding.response.end()
  }

  /** The controller may be missing: the connection was never made. */
  onResponseError(controller: Dispatcher.DispatchController | undefined, error: unknown): void {
    if (this.#isDone || this.#isOld(controller)) return
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

/** RFC 9110 §9.2.2. What is not idempotent is sent again only if it never left (spec §7). */
const REPEATABLE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])

/** The system takes about that much at once, whoever reads it. */
const STANDSTILL_BYTES = 64 * 1024

/** Nobody received a status; nginx's number for it. */
const LEFT_BEFORE_ANSWER = 499
const endConnection = (socket: Socket): void => void socket.destroy()
