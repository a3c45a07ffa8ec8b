import type { IncomingMessage } from 'node:http'

/** What stands in `Authorization`. */
export type Presented =
  | { readonly kind: 'nothing' }
  /** Two lines: one reader takes the first, the next the last. */
  | { readonly kind: 'doubled' }
  /** A scheme that is not ours; it says nothing about who calls. */
  | { readonly kind: 'other' }
  | { readonly kind: 'malformed' }
  | { readonly kind: 'token'; readonly token: string }

const SCHEME = /^bearer(?: |$)/i
/** RFC 6750 §2.1: b64token, and nothing around it. */
const BEARER = /^bearer ([A-Za-z0-9._~+/-]+=*)$/i

/** In the header alone: an access token in a form or a query is not looked for (RFC 9700 §4.3.2). */
export const presentedBearer = ({ headers, rawHeaders }: IncomingMessage): Presented => {
  const { authorization } = headers
  if (authorization === undefined) return { kind: 'nothing' }
  // Node keeps the first of several and says nothing.
  let lines = 0
  for (let i = 0; i < rawHeaders.length; i += 2)
    if (rawHeaders[i]?.length === 13 && rawHeaders[i]?.toLowerCase() === 'authorization') lines += 1
  if (lines !== 1) return { kind: 'doubled' }
  if (!SCHEME.test(authorization)) return { kind: 'other' }
  const token = BEARER.exec(authorization)?.[1]
  return token === undefined ? { kind: 'malformed' } : { kind: 'token', token }
}

export type ChallengeError = 'invalid_token' | 'insufficient_scope' | 'insufficient_user_authentication'

/**
 * RFC 6750 §3, RFC 9728 §5.1, RFC 9470 §3. Without a code where no token was sent (RFC 6750 §3.1).
 * @param metadata URL of the document about the resource
 */
export const challenge = (metadata: string, error?: ChallengeError): string =>
  `Bearer ${error === undefined ? '' : `error="${error}", `}resource_metadata="${metadata}"`
