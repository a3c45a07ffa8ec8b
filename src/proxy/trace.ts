import { randomFillSync } from 'node:crypto'

const SPAN_BYTES = 8
const TRACE_BYTES = 16
const pool = Buffer.allocUnsafe(6144)
let next = pool.length

/** One call to the kernel for many ids. */
const randomHex = (bytes: number): string => {
  if (next + bytes > pool.length) {
    randomFillSync(pool)
    next = 0
  }
  next += bytes
  return pool.toString('hex', next - bytes, next)
}

const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

/** W3C Trace Context §3.2: one valid header of version 00; anything else starts a new trace. */
export const isTraceparent = (value: string | string[] | undefined): value is string => typeof value === 'string' && TRACEPARENT.test(value)

/**
 * The parent for the upstream: the same trace with a span of ours, or a new trace. A new one is marked sampled: SDKs follow their parent by default,
 * so an unsampled parent from a gateway that does not sample would switch every upstream's traces off.
 */
export const traceparentFrom = (incoming: string | string[] | undefined): string =>
  isTraceparent(incoming)
    ? `${incoming.slice(0, 36)}${randomHex(SPAN_BYTES)}${incoming.slice(52)}`
    : `00-${randomHex(TRACE_BYTES)}-${randomHex(SPAN_BYTES)}-01`
