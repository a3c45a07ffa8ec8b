import { createHash } from 'node:crypto'
import type { OnceStore } from '../domain/session-store.ts'
import { after } from '../kernel/time.ts'
import type { Clock } from '../kernel/time.ts'
import { ExpiringMap } from './expiring-map.ts'

/** A caller's digest or name may have any shape; in a key it is 43 characters. */
export const onceName = (text: string): string => createHash('sha256').update(text).digest('base64url')

export const createMemoryOnceStore = ({ clock }: { readonly clock: Clock }): OnceStore => {
  const claimed = new ExpiringMap<string, true>(clock)
  const records = new ExpiringMap<string, string>(clock)
  return {
    claim: async (purpose, digest, forMs) => {
      const name = `${purpose} ${onceName(digest)}`
      if (claimed.has(name)) return 'again'
      claimed.set(name, true, after(clock.now(), forMs))
      return 'first'
    },
    seen: async (purpose, digest) => claimed.has(`${purpose} ${onceName(digest)}`),
    release: async (purpose, digest) => {
      claimed.delete(`${purpose} ${onceName(digest)}`)
    },
    put: async (purpose, name, sealed, forMs) => {
      records.set(`${purpose} ${onceName(name)}`, sealed, after(clock.now(), forMs))
      return 'stored'
    },
    take: async (purpose, name) => {
      const key = `${purpose} ${onceName(name)}`
      const sealed = records.get(key)
      records.delete(key)
      return sealed ?? 'absent'
    },
  }
}
