import { createHash, createPublicKey, type KeyObject } from 'node:crypto'

/**
 * A name for a key pair that both sides work out by themselves: SHA-256 of the public key (SubjectPublicKeyInfo, DER), base64url. Keycloak calls the key
 * of a registered certificate by it and takes no other; where keys are published, it is as good a `kid` as any.
 */
export const keyIdOf = (key: KeyObject): string => {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64url')
}
