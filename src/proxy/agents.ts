import { readFileSync } from 'node:fs'
import { buildConnector, Pool } from 'undici'
import type { Route } from '../domain/route.ts'

/** PEM. */
export interface ClientPair {
  readonly cert: Buffer
  readonly key: Buffer
}

export interface Agents {
  /** One pool per upstream and way to connect to it; made on first use. Throws when the route's CA file cannot be read: ask for all routes at start. */
  poolFor(route: Pick<Route, 'upstream' | 'tls' | 'limits'>): Pool
  /** From here on connections prove themselves with this pair wherever a route names its file; those that stand go on as they are. */
  use(certificateFile: string, pair: ClientPair): void
  /** Waits for what is under way. */
  close(): Promise<void>
  /** Ends it. */
  destroy(): Promise<void>
}

/** Below the 5 s after which Node, and many others, close an idle connection: a request that meets a closing connection is a 502, and nothing is retried. */
const KEEP_ALIVE_MS = 4000
const KEEP_ALIVE_HINT_MAX_MS = 55_000

/**
 * Connections to upstreams. TLS is always verified, whatever the environment says; HTTP/1.1 only; one request at a time per connection; no cap, because
 * undici would queue without a deadline: `limits.in_flight` refuses instead. No interceptor: nothing is retried, redirected, cached or decompressed.
 */
export const agents = (): Agents => {
  const pools = new Map<string, Pool>()
  const pairs = new Map<string, ClientPair>()
  const all = (act: (pool: Pool) => Promise<void>): Promise<void> => Promise.allSettled([...pools.values()].map(act)).then(() => undefined)
  return {
    poolFor: ({ upstream, tls, limits }) => {
      const key = JSON.stringify([upstream.origin, tls.caFile, tls.serverName, tls.client?.certificateFile, limits.connectTimeoutMs])
      const known = pools.get(key)
      if (known) return known
      const pool = new Pool(upstream.origin, {
        connections: null,
        pipelining: 1,
        allowH2: false,
        keepAliveTimeout: KEEP_ALIVE_MS,
        keepAliveMaxTimeout: KEEP_ALIVE_HINT_MAX_MS,
        autoSelectFamily: true,
        connect: proving(tls.client && (() => pairs.get(tls.client?.certificateFile ?? '')), {
          timeout: limits.connectTimeoutMs,
          rejectUnauthorized: true,
          ...(tls.caFile !== undefined && { ca: readFileSync(tls.caFile, 'utf8') }),
          ...(tls.serverName !== undefined && { servername: tls.serverName }),
        }),
      })
      pools.set(key, pool)
      return pool
    },
    use: (certificateFile, pair) => void pairs.set(certificateFile, pair),
    close: () => all((pool) => pool.close()),
    destroy: () => all((pool) => pool.destroy()),
  }
}

type Connecting = Parameters<typeof buildConnector>[0] & object

/** A connector remembers TLS sessions: each pair has its own, or a session that one began would be taken up under another. */
const proving = (pairNow: (() => ClientPair | undefined) | undefined, options: Connecting): Connecting | buildConnector.connector => {
  if (!pairNow) return options
  let made: { readonly pair: ClientPair | undefined; readonly connect: buildConnector.connector } | undefined
  return (target, callback) => {
    const pair = pairNow()
    if (!made || made.pair !== pair) made = { pair, connect: buildConnector({ ...options, ...pair }) }
    made.connect(target, callback)
  }
}
