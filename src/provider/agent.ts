import { Agent, buildConnector } from 'undici'
import type { Dispatcher } from 'undici'

/** Response headers beyond this are cut off by the parser. */
const HEADER_BYTES_MAX = 16 * 1024

/**
 * Connections to one provider.
 * @param ca PEM of the only authorities trusted for it, asked at each connection; undefined: those of the system
 * @param client what we prove ourselves with in the handshake (RFC 8705), PEM
 */
export const createAgent = ({
  ca,
  timeoutMs,
  client,
}: {
  readonly ca: (() => string) | undefined
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
    connect: trusting(ca, {
      timeout: timeoutMs,
      // Said, because undici leaves it to NODE_TLS_REJECT_UNAUTHORIZED otherwise.
      rejectUnauthorized: true,
      // A session of another certificate is never resumed: the cache of sessions is the agent's own.
      ...(client && { cert: client.certificate, key: client.key }),
    }),
  })

type Connecting = Parameters<typeof buildConnector>[0] & object

/** A connector remembers TLS sessions: each bundle has its own, or one that began under authorities since removed would be taken up under the next. */
const trusting = (ca: (() => string) | undefined, options: Connecting): Connecting | buildConnector.connector => {
  if (!ca) return options
  let made: { readonly pem: string; readonly connect: buildConnector.connector } | undefined
  return (target, callback) => {
    const pem = ca()
    if (made?.pem !== pem) made = { pem, connect: buildConnector({ ...options, ca: pem }) }
    made.connect(target, callback)
  }
}
