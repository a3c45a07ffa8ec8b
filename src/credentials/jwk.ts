import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import type { JsonWebKey, KeyObject } from 'node:crypto'
import type { AssertionAlgorithm, JwkCredential } from '../domain/credential.ts'
import { algorithmOf } from './private-key.ts'

/** Why a JWK is not used; a closed set, for logs. */
type JwkFault =
  | 'jwk-unreadable'
  | 'jwk-set'
  | 'key-symmetric'
  | 'key-public'
  | 'key-unreadable'
  | 'key-mismatch'
  | 'key-weak'
  | 'key-unsupported'
  | 'key-not-for-signing'
  | 'algorithm-mismatch'
  | 'kid-absent'

export type JudgedJwk =
  | { readonly kind: 'usable'; readonly credential: JwkCredential }
  | { readonly kind: 'unusable'; readonly fault: JwkFault }

const unusable = (fault: JwkFault): JudgedJwk => ({ kind: 'unusable', fault })

/** RFC 7638 thumbprints and UUIDs are far shorter; it goes into every assertion and into logs. */
const KID = /^[\x21-\x7e]{1,128}$/

/** One private JSON Web Key (RFC 7517 §4) as text. What is missing is not guessed, and a key for something else is not borrowed. */
export const judgeJwk = (text: string, file: string): JudgedJwk => {
  const jwk = parse(text)
  if (!jwk) return unusable('jwk-unreadable')
  if ('keys' in jwk) return unusable('jwk-set') // which of them would be a guess
  if (jwk['kty'] === 'oct' || 'k' in jwk) return unusable('key-symmetric')
  if (!('d' in jwk)) return unusable('key-public')
  if (!isForSigning(jwk)) return unusable('key-not-for-signing')
  const privateKey = readKey(jwk)
  if (!privateKey) return unusable('key-unreadable')
  if (!isWhole(privateKey, jwk)) return unusable('key-mismatch')
  const natural = algorithmOf(privateKey)
  if (natural === 'weak') return unusable('key-weak')
  if (natural === 'unsupported') return unusable('key-unsupported')
  const algorithm = algorithmFor(natural, jwk['alg'])
  if (!algorithm) return unusable('algorithm-mismatch')
  const { kid } = jwk
  if (typeof kid !== 'string' || !KID.test(kid)) return unusable('kid-absent')
  return { kind: 'usable', credential: { kind: 'jwk', privateKey, algorithm, kid, file } }
}

/** RFC 7518 §3.1. `Ed25519` is RFC 9864's name for what the key cannot but sign. */
const algorithmFor = (natural: AssertionAlgorithm, alg: unknown): AssertionAlgorithm | undefined => {
  if (alg === undefined || alg === natural) return natural
  if (natural === 'PS256' && alg === 'RS256') return 'RS256'
  return natural === 'EdDSA' && alg === 'Ed25519' ? natural : undefined
}

/** RFC 7517 §4.2, §4.3: both optional. */
const isForSigning = ({ use, key_ops: operations }: Record<string, unknown>): boolean =>
  (use === undefined || use === 'sig') && (operations === undefined || (Array.isArray(operations) && operations.includes('sign')))

/** The public half of a JWK is written beside the private one and need not belong to it: the provider would be told the wrong key. */
const isWhole = (privateKey: KeyObject, written: JsonWebKey): boolean => {
  const publicKey = createPublicKey(privateKey)
  const real = publicKey.export({ format: 'jwk' })
  // Node takes the public half of an Ed25519 key from the private one, whatever is written, and that of the others as written.
  if (real.x !== written.x || real.y !== written.y || real.n !== written.n || real.e !== written.e) return false
  const digest = privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256'
  const sample = Buffer.from('sallyport')
  try {
    return verify(digest, sample, publicKey, sign(digest, sample, privateKey))
  } catch {
    return false
  }
}

// What JSON.parse and Node say about a broken key can quote it: the reason stops here.
const parse = (text: string): Record<string, unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

const readKey = (jwk: JsonWebKey): KeyObject | undefined => {
  try {
    return createPrivateKey({ key: jwk, format: 'jwk' })
  } catch {
    return undefined
  }
}
