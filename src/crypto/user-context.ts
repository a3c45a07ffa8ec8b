import { createECDH, createPrivateKey, hkdfSync, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { Instant } from '../kernel/time.ts'
import { toNumericDate } from '../kernel/time.ts'
import type { PresentKey, VisibleKeyring } from './keyring.ts'
import { randomName } from './random.ts'

export interface UserContextKeys {
  /** `typ: sallyport-context+jwt`, ES256, valid for 60 s. @param constant the inside of a JSON object: claims that the caller of this has chosen */
  sign(constant: string, requestId: string, now: Instant): string
  /** Of all keys here: the next one, the one that signs, and those that did until a moment ago (RFC 7517 §5). */
  jwks(): { readonly keys: readonly PublicJwk[] }
}

export interface PublicJwk {
  readonly kty: 'EC'
  readonly crv: 'P-256'
  readonly x: string
  readonly y: string
  readonly kid: string
  readonly use: 'sig'
  readonly alg: 'ES256'
}

interface SigningKey {
  readonly privateKey: KeyObject
  readonly jwk: PublicJwk
  /** base64url, with its dot. */
  readonly header: string
}

const LIFE_SECONDS = 60

/**
 * Signs what upstreams are told of users. The keys lie in a folder like the sealing keys and rotate like them (`sallyport keys rotate --dir`): a new one is
 * published at once and signs when it has been here for `keys_settle`, so that no upstream meets a signature whose key it cannot have seen.
 */
export const createUserContextKeys = (keyring: VisibleKeyring): UserContextKeys => {
  const derived = new WeakMap<KeyObject, SigningKey>()
  const keyOf = ({ kid, key }: Pick<PresentKey, 'kid' | 'key'>): SigningKey => {
    const known = derived.get(key)
    if (known) return known
    const made = signingKey(kid, key)
    derived.set(key, made)
    return made
  }
  for (const key of keyring.present()) keyOf(key)
  return {
    sign: (constant, requestId, now) => {
      const { privateKey, header } = keyOf(keyring.sealing())
      const iat = toNumericDate(now)
      const own = `"iat":${iat},"exp":${iat + LIFE_SECONDS},"txn":"${randomName()}","request_id":${JSON.stringify(requestId)}`
      const signed = `${header}${base64url(`{${constant},${own}}`)}`
      return `${signed}.${sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
    },
    jwks: () => ({ keys: keyring.present().map((key) => keyOf(key).jwk) }),
  }
}

const base64url = (text: string): string => Buffer.from(text).toString('base64url')

/** Order of P-256 (SP 800-186 §3.2.1.3). */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
const BYTES = 32

/**
 * A P-256 key from the 32 bytes of a key file: one kind of file, one command, for both folders. 48 bytes modulo n − 1, plus 1 (FIPS 186-5 §A.2.1, extra
 * random bits): no candidate is favoured by more than 2^-128. The purpose is part of the derivation: the same file in `session.keys_dir` would still be
 * another key.
 */
const signingKey = (kid: string, seed: KeyObject): SigningKey => {
  const bytes = Buffer.from(hkdfSync('sha256', seed.export(), Buffer.alloc(0), 'sallyport user context ES256', 48))
  const scalar = (BigInt(`0x${bytes.toString('hex')}`) % (ORDER - 1n)) + 1n
  const d = Buffer.from(scalar.toString(16).padStart(BYTES * 2, '0'), 'hex')
  const curve = createECDH('prime256v1')
  curve.setPrivateKey(d)
  const point = curve.getPublicKey() // 0x04, x, y
  const x = point.subarray(1, 1 + BYTES).toString('base64url')
  const y = point.subarray(1 + BYTES).toString('base64url')
  const publicPart = { kty: 'EC', crv: 'P-256', x, y } as const
  return {
    privateKey: createPrivateKey({ format: 'jwk', key: { ...publicPart, d: d.toString('base64url') } }),
    jwk: { ...publicPart, kid, use: 'sig', alg: 'ES256' },
    header: `${base64url(JSON.stringify({ alg: 'ES256', typ: 'sallyport-context+jwt', kid }))}.`,
  }
}
