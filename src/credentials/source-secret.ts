import type { CredentialId, SecretCredential } from '../domain/credential.ts'
import { seen } from './loaded.ts'
import type { Look, Source } from './loaded.ts'

/** Names a thing that must not be told by a name all replicas agree on: HMAC under a key they share. */
export type NameOf = (...parts: readonly string[]) => string

/** A client secret that was read with the configuration. */
export const secretSource = (secret: SecretCredential['secret'], method: SecretCredential['method'], nameOf: NameOf): Source => {
  const look = loadedSecret(secret, method, nameOf, '')
  return { setting: 'client_secret', place: '', isStaged: false, look: async () => look }
}

/** People choose short secrets: a plain digest, on a page or in Redis, could be tried against a list. */
export const loadedSecret = (
  secret: SecretCredential['secret'],
  method: SecretCredential['method'],
  nameOf: NameOf,
  file: string,
): Look => {
  const id = nameOf('client-secret', secret.fingerprint()) as CredentialId
  return seen([{ id, credential: { kind: 'secret', secret, method }, file, notBefore: undefined, notAfter: undefined }])
}
