import type { CredentialId, CredentialWord } from '../domain/credential.ts'
import { between, minutes } from '../kernel/time.ts'
import type { Clock, Instant } from '../kernel/time.ts'
import type { Loaded } from './loaded.ts'
import { parsePublicJwk, publicJwkOf } from './public-key.ts'
import type { PublicJwk } from './public-key.ts'
import type { Rotation } from './rotation.ts'
import type { Words } from './words.ts'

/** A replica that is gone takes its words with it after a day. */
const SAY_AGAIN_MS = minutes(8 * 60)
const KEEP_MS = minutes(24 * 60)

/**
 * The document of public keys is the same on all replicas, also while only one of them has the next file: each tells the others the keys it holds. Which
 * phase a key is in is each replica's own view and does not count; withdrawn and expired ones are left out.
 */
export const createPublisher = (words: Words, clock: Clock) => {
  const saidAt = new Map<CredentialId, Instant>()
  let others: readonly CredentialWord[] = []

  return {
    publish: (held: readonly Loaded[], state: Rotation): void => {
      for (const { id, credential } of held) {
        const said = saidAt.get(id)
        const isNews = said === undefined || Math.abs(between(said, clock.now())) >= SAY_AGAIN_MS
        const jwk = isNews && !state.withdrawn.has(id) ? publicJwkOf(credential) : undefined
        if (!jwk) continue
        saidAt.set(id, clock.now())
        void words.say({ kind: 'published', id, text: JSON.stringify(jwk) }).then((done) => done === 'unavailable' && saidAt.delete(id))
      }
    },
    heard: (all: readonly CredentialWord[]): void => {
      others = all.filter(({ kind }) => kind === 'published')
      // What the store lost is said again at the next look.
      const there = new Set(others.map(({ id }) => id))
      for (const id of saidAt.keys()) if (!there.has(id)) saidAt.delete(id)
    },
    keys: (held: readonly Loaded[], { withdrawn }: Rotation, now: Instant): readonly PublicJwk[] => {
      const keys = new Map<CredentialId, PublicJwk>()
      for (const { id, at, text } of others) {
        const jwk = between(at, now) < KEEP_MS ? parsePublicJwk(text ?? '') : undefined
        if (jwk) keys.set(id, jwk)
      }
      for (const { id, credential, notAfter } of held) {
        const jwk = notAfter !== undefined && now >= notAfter ? undefined : publicJwkOf(credential)
        if (jwk) keys.set(id, jwk)
        else keys.delete(id)
      }
      return [...keys]
        .filter(([id]) => !withdrawn.has(id))
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([, jwk]) => jwk)
    },
  }
}
