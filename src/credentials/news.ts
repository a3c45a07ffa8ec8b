import type { Entry, Rotation } from './rotation.ts'

/** `accepted`: by the provider, here or elsewhere. `another`: there is one to try that was not there, or not first. */
export type News = 'accepted' | 'another'

/** What a step changed for whoever was refused before it. */
export const newsOf = (before: Rotation, now: Rotation): News | undefined => {
  if (before.entries === now.entries) return undefined
  const old = new Map(before.entries.map((entry) => [entry.id, entry]))
  const isNewlyAccepted = ({ id, acceptedAt, toldAt }: Entry): boolean => {
    const was = old.get(id)
    // Another replica's word of what it was told before we were told the opposite is no news.
    return later(acceptedAt, was?.acceptedAt) || later(toldAt, Math.max(was?.toldAt ?? 0, was?.rejectedAt ?? 0))
  }
  if (now.entries.some(isNewlyAccepted)) return 'accepted'
  const isAnother = ({ id, phase }: Entry): boolean => !old.has(id) || (phase === 'active' && old.get(id)?.phase !== 'active')
  return now.entries.some(isAnother) ? 'another' : undefined
}

const later = (at: number | undefined, before: number | undefined): boolean => at !== undefined && at > (before ?? 0)
