import type { CredentialBoard } from '../domain/credential.ts'

/** Words about credentials within one process: nobody else is there to read them. */
export const createMemoryCredentialBoard = (): CredentialBoard => {
  const fields = new Map<string, string>()
  return {
    put: async (field, sealed) => {
      fields.set(field, sealed)
      return 'stored'
    },
    read: async () => new Map(fields),
    drop: async (names) => {
      for (const name of names) fields.delete(name)
    },
  }
}
