import type { KeyObject } from 'node:crypto'
import type { AssertionAlgorithm } from '../domain/credential.ts'

/** ASVS 5.0 §11.2.3, FAPI 2.0 §5.4: no RSA key below 2048 bits. */
export const algorithmOf = (key: KeyObject): AssertionAlgorithm | 'weak' | 'unsupported' => {
  const details = key.asymmetricKeyDetails
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return (details?.modulusLength ?? 0) >= 2048 ? 'PS256' : 'weak'
    case 'ec':
      return details?.namedCurve === 'prime256v1' ? 'ES256' : 'unsupported'
    case 'ed25519':
      return 'EdDSA'
    default:
      return 'unsupported'
  }
}
