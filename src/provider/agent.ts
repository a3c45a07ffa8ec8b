import { readFileSync } from 'node:fs'
import { Agent } from 'undici'
import type { Dispatcher } from 'undici'

/** Response headers beyond this are cut off by the parser. */
const HEADER_BYTES_MAX = 16 * 1024

/**
 * Connections to one provider.
 * @param caFile PEM of the only authorities trusted for it; undefined: those of the system
 * @param client what we prove ourselves with in the handshake (RFC 8705), PEM
 */
export const createAgent = ({
  caFile,
  timeoutMs,
  client,
}: {
  readonly caFile: string | undefined
  readonly timeoutMs: number
  readonly client?: { readonly certificate: string; readonly key: string } | undefined
}): Dispatcher =>
  new Agent({
    maxHeaderSize: HEADER_BYTES_MAX,
    connections: 64,
    // No keep-alive: a provider that closes an idle connection just as a refresh token is written on it would leave the token's fate unknown, and with
    // strict rotation that can cost the session. A fresh connection that fails has carried nothing. TLS sessions are resumed, so it stays cheap.
    pipelining: 0,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    // Said, because undici leaves it to NODE_TLS_REJECT_UNAUTHORIZED otherwise.
    connect: {
      timeout: timeoutMs,
      rejectUnauthorized: true,
      ...(caFile !== undefined && { ca: readFileSync(caFile, 'utf8') }),
      // A session of another certificate is never resumed: the cache of sessions is the agent's own.
      ...(client && { cert: client.certificate, key: client.key }),
    },
  })
