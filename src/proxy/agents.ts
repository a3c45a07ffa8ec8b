import { Dispatcher, Pool } from 'undici'
import type { Route } from '../domain/route.ts'
import type { TlsPair } from '../kernel/tls-files.ts'

export interface Agents {
  /**
   * One dispatcher per upstream and way to connect to it; made on first use, and good for as long as the route. Throws when `trust` was not told of the route's
   * CA file: ask for all routes at start.
   */
  poolFor(route: Pick<Route, 'upstream' | 'tls' | 'limits'>): Dispatcher
  /** From here on connections prove themselves with this pair wherever a route names its file. */
  use(certificateFile: string, pair: TlsPair): void
  /** From here on upstreams are verified by these authorities (PEM) wherever a route names their file. */
  trust(caFile: string, pem: string): void
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
  const lines = new Map<string, { readonly tls: Route['tls']; readonly line: Line }>()
  const pairs = new Map<string, TlsPair>()
  const authorities = new Map<string, string>()
  const all = (act: (line: Line) => Promise<void>): Promise<void> =>
    Promise.allSettled([...lines.values()].map(({ line }) => act(line))).then(() => undefined)
  const renew = (isMeant: (tls: Route['tls']) => boolean): void => {
    for (const { tls, line } of lines.values()) if (isMeant(tls)) line.renew()
  }
  /** A pool's connector remembers TLS sessions: what one began under another pair or other authorities is never taken up again. */
  const open = ({ upstream, tls, limits }: Parameters<Agents['poolFor']>[0]): Pool => {
    const ca = tls.caFile === undefined ? undefined : authorities.get(tls.caFile)
    // Without them any public authority would do.
    if (tls.caFile !== undefined && ca === undefined) throw new Error('the authorities of an upstream were not read')
    return new Pool(upstream.origin, {
      connections: null,
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_HINT_MAX_MS,
      autoSelectFamily: true,
      connect: {
        timeout: limits.connectTimeoutMs,
        rejectUnauthorized: true,
        ...(ca !== undefined && { ca }),
        ...(tls.serverName !== undefined && { servername: tls.serverName }),
        ...(tls.client && pairs.get(tls.client.certificateFile)),
      },
    })
  }
  return {
    poolFor: (route) => {
      const { upstream, tls, limits } = route
      const key = JSON.stringify([upstream.origin, tls.caFile, tls.serverName, tls.client?.certificateFile, limits.connectTimeoutMs])
      const known = lines.get(key)
      if (known) return known.line
      const line = new Line(() => open(route))
      lines.set(key, { tls, line })
      return line
    },
    use: (certificateFile, pair) => {
      pairs.set(certificateFile, pair)
      renew(({ client }) => client?.certificateFile === certificateFile)
    },
    trust: (caFile, pem) => {
      authorities.set(caFile, pem)
      renew((tls) => tls.caFile === caFile)
    },
    close: () => all((line) => line.end('close')),
    destroy: () => all((line) => line.end('destroy')),
  }
}

/**
 * Where requests go in, whichever pool takes them. What a connection proves and whom it trusts is decided when it is made: once that has changed, the next
 * request opens a new one, and those that stand end with the request that is on them, event streams included; none is cut.
 */
class Line extends Dispatcher {
  readonly #open: () => Pool
  readonly #leaving = new Set<Pool>()
  #pool: Pool
  constructor(open: () => Pool) {
    super()
    this.#open = open
    this.#pool = open()
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    return this.#pool.dispatch(options as Parameters<Pool['dispatch']>[0], handler)
  }
  renew(): void {
    const old = this.#pool
    this.#pool = this.#open()
    this.#leaving.add(old)
    const gone = (): void => void this.#leaving.delete(old)
    old.close().then(gone, gone)
  }
  async end(how: 'close' | 'destroy'): Promise<void> {
    await Promise.allSettled([this.#pool, ...this.#leaving].map((pool) => pool[how]()))
  }
}
