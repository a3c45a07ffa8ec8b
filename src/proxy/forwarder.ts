import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import type { ProblemCode } from '../domain/problem.ts'
import type { Route } from '../domain/route.ts'
import type { Agents } from './agents.ts'
import { Exchange } from './exchange.ts'
import { follow } from './follow.ts'
import type { ExchangeDeps, Forwarding, Lane } from './forwarding.ts'
import type { HeaderDeps } from './header-rules.ts'
import { inboundRules, outboundRules } from './header-rules.ts'
import { BodyLimit, hasBody, KEPT_BYTES_MAX, KeptBody, requestFault } from './limits.ts'
import type { TrustedProxies } from './trusted-proxies.ts'

export interface ForwarderDeps extends ExchangeDeps, HeaderDeps {
  readonly agents: Agents
  readonly trustedProxies: TrustedProxies
}

export interface Forwarder {
  /** Takes the exchange over: answers, logs and accounts for it exactly once. Synchronous; never throws for what a request can contain. */
  forward(forwarding: Forwarding): void
  inFlight(): number
  /** Stops the gauges. The agents are closed by whoever made them. */
  close(): void
}

const GAUGES_MS = 1000

export const createForwarder = (deps: ForwarderDeps): Forwarder => {
  // Compiled on first use and kept as long as the route object lives: a reloaded route table brings new ones.
  const lanes = new WeakMap<Route, Lane>()
  const total = { inFlight: 0 }
  const laneOf = (route: Route): Lane => {
    const known = lanes.get(route)
    if (known) return known
    const lane = compileLane(deps, route, total)
    lanes.set(route, lane)
    return lane
  }
  // Not set per request: a gauge is read every few seconds at most.
  const gauges = setInterval(() => {
    deps.metrics.gauge('sallyport_proxy_in_flight_requests', total.inFlight, {})
    deps.metrics.gauge('sallyport_proxy_open_streams', deps.connections.count(), {})
  }, GAUGES_MS).unref()

  const forward: Forwarder['forward'] = (forwarding) => {
    const { request, response, route } = forwarding
    const lane = laneOf(route)
    // Read now: undici takes the socket off a request whose upload it destroys.
    const exchange = new Exchange(deps, lane, forwarding, deps.trustedProxies.chainOf(request))
    // 1. One listener accounts for whatever happens. A browser that left while the token was fetched has closed already: no event will come.
    follow(response, exchange)
    if (response.closed || response.destroyed) {
      exchange.closed()
      return
    }
    // 2. What must not reach the upstream.
    const fault = faultOf(forwarding, lane)
    if (fault !== undefined) {
      if (fault === 'gateway.failed')
        deps.log.error({ requestId: forwarding.requestId, route: route.name, code: fault }, 'token does not fit the route')
      exchange.refuse(fault)
      return
    }
    // 3. Off it goes.
    exchange.start(hasBody(request) ? bodyOf(request, route) : null)
  }
  return { forward, inFlight: () => total.inFlight, close: () => clearInterval(gauges) }
}

/** Checked again here although the edge did: a mistake there must not send a token to the wrong place. */
const faultOf = ({ request, route, path, token, principal }: Forwarding, lane: Lane): ProblemCode | undefined => {
  if (!isUnder(route.path, path)) return 'request.path-ambiguous'
  if (!route.methods.includes(request.method ?? '')) return 'request.method-not-allowed'
  // Spec §1: never an application's token on a user's route or the other way round, and no silent call without one.
  if (principal !== route.token.principal || (token === undefined) !== (principal === 'none')) return 'gateway.failed'
  const fault = requestFault(request, route.limits.bodyBytesMax)
  if (fault !== undefined) return fault
  return lane.inFlight > route.limits.inFlightMax ? 'proxy.overloaded' : undefined
}

const isUnder = (prefix: string, path: string): boolean =>
  path.startsWith(prefix) && (path.length === prefix.length ? path !== '' : path[prefix.length] === '/')

/** Counted where its length is not known; kept where it is small and might be sent again. */
const bodyOf = (request: IncomingMessage, route: Route): Readable => {
  const { 'content-length': length } = request.headers
  if (length === undefined) return request.pipe(new BodyLimit(route.limits.bodyBytesMax))
  const isKept = (request.method === 'PUT' || request.method === 'DELETE') && Number(length) <= KEPT_BYTES_MAX
  return isKept && route.token.principal !== 'none' ? request.pipe(new KeptBody(Number(length))) : request
}

const compileLane = (deps: ForwarderDeps, route: Route, total: Lane['total']): Lane => ({
  pool: deps.agents.poolFor(route),
  inFlight: 0,
  total,
  outbound: outboundRules(route, deps),
  inbound: inboundRules(route, deps),
})
