import type { ProblemCode } from '../domain/problem.ts'

/** Header lines of one request. Node drops lines beyond its own count limit without a word, which can silence a header an ingress appended. */
export const HEADER_LINES_MAX = 100

/**
 * Nothing is ever derived from the Host header; it only has to be ours, once, byte for byte.
 * @param rawHeaders name and value alternate, as they came
 * @param host of `public_url`, with its port unless it is the scheme's own
 */
export const hostRefusal = (url: string, rawHeaders: readonly string[], host: string): ProblemCode | undefined => {
  if (rawHeaders.length > HEADER_LINES_MAX * 2) return 'request.headers-too-many'
  // Absolute-form and `*` are for forward proxies and servers as a whole: this is neither.
  if (url.charCodeAt(0) !== 47) return 'request.malformed'
  let found: string | undefined
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]
    if (name === undefined || name.length !== 4 || name.toLowerCase() !== 'host') continue
    if (found !== undefined) return 'request.malformed' // Node keeps the first; whoever stands before us may have kept the last
    found = rawHeaders[i + 1]
  }
  if (found === undefined) return 'request.malformed' // RFC 9112 §3.2
  return found === host ? undefined : 'request.host-unknown'
}
