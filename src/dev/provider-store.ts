import type { Adapter, AdapterPayload } from 'oidc-provider'

interface Kept {
  payload: AdapterPayload
  readonly expiresAt: number
}

/** What a grant's end takes with it. Not the interaction in which somebody else is just signing in: it names the grant as well. */
const OF_GRANT = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken'])

/** What the embedded provider remembers, in memory, bounded only by time: it serves a handful of people for as long as a demo lasts. */
export const providerStore = (): ((model: string) => Adapter) => {
  const kept = new Map<string, Kept>()
  const byUid = new Map<string, string>()
  const byGrant = new Map<string, Set<string>>()

  const find = (key: string): AdapterPayload | undefined => {
    const found = kept.get(key)
    if (found && found.expiresAt > Date.now()) return found.payload
    kept.delete(key)
    return undefined
  }

  return (model) => {
    const keyOf = (id: string): string => `${model}:${id}`
    return {
      upsert: async (id, payload, expiresIn) => {
        const key = keyOf(id)
        kept.set(key, { payload, expiresAt: expiresIn ? Date.now() + expiresIn * 1000 : Number.POSITIVE_INFINITY })
        if (payload.uid) byUid.set(payload.uid, key)
        if (payload.grantId && OF_GRANT.has(model)) byGrant.set(payload.grantId, (byGrant.get(payload.grantId) ?? new Set()).add(key))
      },
      find: async (id) => find(keyOf(id)),
      findByUid: async (uid) => find(byUid.get(uid) ?? ''),
      findByUserCode: async () => undefined, // the device grant is not offered
      consume: async (id) => {
        const found = kept.get(keyOf(id))
        if (found) found.payload = { ...found.payload, consumed: Math.floor(Date.now() / 1000) }
      },
      destroy: async (id) => {
        kept.delete(keyOf(id))
      },
      revokeByGrantId: async (grantId) => {
        for (const key of byGrant.get(grantId) ?? []) kept.delete(key)
        byGrant.delete(grantId)
      },
    }
  }
}
