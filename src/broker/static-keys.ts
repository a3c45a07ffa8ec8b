import type { AccessToken, Ask } from '../domain/token.ts'
import type { Instant } from '../kernel/time.ts'
import { instant } from '../kernel/time.ts'
import type { Tools } from './deps.ts'

/** No provider says when an API key ends. */
const FAR = instant(8_640_000_000_000_000)

/** An API key from a file in the place of a token: nothing is asked for, nothing expires, and a new file takes effect with the next request. */
export const createStaticKeys = ({ keys }: Pick<Tools, 'keys'>): ((ask: Ask, now: Instant) => AccessToken | undefined) => {
  const made = new Map<string, AccessToken>()
  return (ask, now) => {
    const token = ask.keyFile === undefined ? undefined : keys?.apiKey(ask.keyFile)
    if (!token) return undefined
    const known = made.get(ask.key)
    if (known?.token === token) return known
    const access: AccessToken = { key: ask.key, token, issuedAt: now, expiresAt: FAR, scopes: ask.scopes, standsFor: 'application' }
    made.set(ask.key, access)
    return access
  }
}
