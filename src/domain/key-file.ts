import type { KeyObject } from 'node:crypto'
import type { Secret } from '../kernel/secret.ts'

/** A key that Google issued for a service account; what its JSON file says, read and checked. */
export interface ServiceAccountKey {
  readonly email: string
  readonly keyId: string
  /** RSA; signs RS256. */
  readonly privateKey: KeyObject
  /** Where assertions are sent, and their `aud`. https. */
  readonly tokenEndpoint: URL
}

/** Keys that routes name by their file; read again when the file changes. Synchronous: a request may ask. undefined: not usable (yet). */
export interface KeyFiles {
  /** `grant: static`. */
  apiKey(file: string): Secret<'access-token'> | undefined
  serviceAccount(file: string): ServiceAccountKey | undefined
}
