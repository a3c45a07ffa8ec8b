import { createHash } from 'node:crypto'
import type { Ask, GrantName, TokenKey } from '../domain/token.ts'

/**
 * Names one access token: 128 bits of SHA-256 over grant, audience and sorted scopes, 22 base64url characters. Every part is length-prefixed, so that
 * no audience can be spelled to look like another audience with a scope. An absent audience and an empty one differ. Stored: changing it loses every
 * stored access token once (they are asked for again), so it changes only with the stored format's version.
 */
const tokenKey = (grant: GrantName, audience: string | undefined, scopes: readonly string[]): TokenKey => {
  const hash = createHash('sha256')
  for (const part of [grant, audience === undefined ? '-' : '+', audience ?? '', ...scopes]) {
    const bytes = Buffer.from(part, 'utf8')
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    hash.update(length).update(bytes)
  }
  return hash.digest().subarray(0, 16).toString('base64url') as TokenKey
}

/** The one constructor of an `Ask`: scopes sorted and without duplicates, the key derived from all of it. */
export const makeAsk = <G extends GrantName>(
  grant: G,
  audience: string | undefined,
  scopes: readonly string[],
): Ask & { readonly grant: G } => {
  const sorted = [...new Set(scopes)].sort()
  return { grant, audience, scopes: sorted, key: tokenKey(grant, audience, sorted) }
}
