import type { CredentialBoard } from '../domain/credential.ts'

/** Words about credentials within one process: nobody else is there to read them. */
export const createMemoryCredentialBoard = (): CredentialBoard => {
  const fields = new Map<string, string>()
  const listeners = new Set<(field: string) => void>()
  return {
    put: async (field, sealed, _forMs, isTold) => {
      fields.set(field, sealed)
      if (isTold) for (const listener of listeners) listener(field)
      return 'stored'
    },
    read: async () => new Map(fields),
    drop: async (names) => {
      for (const name of names) fields.delete(name)
    },
    onTold: (listener) => void listeners.add(listener),
  }
}
