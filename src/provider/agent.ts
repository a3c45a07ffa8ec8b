import { readFileSync } from 'node:fs'
import { Agent } from 'undici'
import type { Dispatcher } from 'undici'

/** Response headers beyond this are cut off by the parser. */
const HEADER_BYTES_MAX = 16 * 1024

/**
 * Connections to one provider.
 * @param caFile PEM of the only authorities trusted for it; undefined: those of the system
 */
export const createAgent = ({ caFile, timeoutMs }: { readonly caFile: string | undefined; readonly timeoutMs: number }): Dispatcher =>
  new Agent({
    maxHeaderSize: HEADER_BYTES_MAX,
    connections: 64,
    pipelining: 1,
    // Shorter than any server's own limit: a connection that the server closes just as a refresh token is written would leave its fate unknown.
    keepAliveTimeout: 3000,
    keepAliveMaxTimeout: 3000,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    connect: { timeout: timeoutMs, ...(caFile !== undefined && { ca: readFileSync(caFile, 'utf8') }) },
  })
