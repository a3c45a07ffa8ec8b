import type { CredentialWord } from '../domain/credential.ts'
import type { Rotation } from './rotation.ts'

/**
 * Orders that this replica knows and the store has no longer, or only an earlier one of: a failover to a server that had not heard of it yet, or somebody who deletes. Whoever knows
 * one says it again, at its own moment, so that a withdrawal reaches those who had not listened and those who start later.
 */
export const lostOrders = ({ withdrawn, restored }: Rotation, heard: readonly CredentialWord[]): readonly CredentialWord[] => {
  const there = new Map(heard.map(({ kind, id, at }) => [`${kind} ${id}`, at]))
  const known: readonly CredentialWord[] = [
    ...[...withdrawn].map(([id, at]) => ({ kind: 'withdrawn', id, at }) as const),
    ...[...restored].map(([id, at]) => ({ kind: 'promoted', id, at }) as const),
  ]
  return known.filter(({ kind, id, at }) => (there.get(`${kind} ${id}`) ?? 0) < at)
}
