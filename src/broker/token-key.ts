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

/** What some grants need to know beyond audience and scopes; undefined members are as if absent. */
export interface AskParts {
  readonly subject?: Ask | undefined
  readonly actor?: Ask | undefined
  readonly keyFile?: string | undefined
  readonly subjectClaim?: string | undefined
}

/** The one constructor of an `Ask`: scopes sorted and without duplicates, the key derived from all of it. */
export const makeAsk = <G extends GrantName>(
  grant: G,
  audience: string | undefined,
  scopes: readonly string[],
  parts: AskParts = {},
): Ask & { readonly grant: G } => {
  const sorted = [...new Set(scopes)].sort()
  const { subject, actor, keyFile, subjectClaim } = parts
  const given = {
    ...(subject && { subject }),
    ...(actor && { actor }),
    ...(keyFile !== undefined && { keyFile }),
    ...(subjectClaim !== undefined && { subjectClaim }),
  }
  return { grant, audience, scopes: sorted, key: tokenKey(grant, audience, [...sorted, ...named(given)]), ...given }
}

/** A blank cannot stand in a scope (RFC 6749 §3.3), so no scope can be spelled to look like one of these. Grants without parts keep the keys they had. */
const named = ({ subject, actor, keyFile, subjectClaim }: AskParts): readonly string[] => [
  ...(subject ? [` subject ${subject.key}`] : []),
  ...(actor ? [` actor ${actor.key}`] : []),
  ...(keyFile === undefined ? [] : [` key ${keyFile}`]),
  ...(subjectClaim === undefined ? [] : [` claim ${subjectClaim}`]),
]
