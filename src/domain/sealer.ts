import type { Secret } from '../kernel/secret.ts'

/** What a sealed text is for; part of the key derivation and of the associated data, so that one can never be read as another. */
export type SealPurpose = 'grant' | 'rest' | 'token' | 'card' | 'state' | 'attempt' | 'logout-continue'

export type Unsealed =
  | { readonly kind: 'opened'; readonly text: string }
  /** The key id sorts after every key here: another replica knows it already; a reload is under way. Answer 503, leave the cookie. */
  | { readonly kind: 'key-unknown' }
  /** The key id is older and gone: whatever was sealed with it has ended. */
  | { readonly kind: 'key-removed' }
  /** Tampered, moved to another place, wrong data key, wrong format. */
  | { readonly kind: 'invalid' }

/** Authenticated encryption with rotating keys (AES-256-GCM; HKDF-SHA256 from the keyring and, where given, the data key). */
export interface Sealer {
  /**
   * @param place where the sealed text lives, length-prefixed into the associated data: app, ref, token key …
   * @param dataKey 32 bytes base64url; with it the keyring alone does not open
   */
  seal(purpose: SealPurpose, place: readonly string[], text: string, dataKey?: Secret<'data-key'>): string
  open(purpose: SealPurpose, place: readonly string[], sealed: string, dataKey?: Secret<'data-key'>): Unsealed
  /** The id of the key a sealed text names, without opening it. */
  kidOf(sealed: string): string | undefined
  /** HMAC-SHA256 under the index key, which does not rotate with the keyring; parts are length-prefixed. 22 base64url characters. */
  index(...parts: readonly string[]): string
}
