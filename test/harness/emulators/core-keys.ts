import { createHash, generateKeyPair as generateKeys, type KeyObject, X509Certificate } from 'node:crypto'
import { promisify } from 'node:util'
import { exportJWK, jwtVerify, SignJWT, type JWK, type JWTPayload } from 'jose'
import { selfSigned } from '../self-signed.ts'
import type { Json } from './core-exchange.ts'

const generate = promisify(generateKeys)

export interface SigningKey {
  readonly kid: string
  readonly algorithm: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  /** As `jwks_uri` serves it. */
  readonly jwk: JWK
}

export interface SigningKeyOptions {
  /** `RS256` unless told; PS256, ES256, EdDSA. */
  readonly algorithm?: string
  /** RSA only: the key comes with `x5c` and `x5t`, and `kid` is `x5t`, as Entra does it. */
  readonly withCertificate?: boolean
}

/** Keys of emulators that have stopped: making an RSA key costs more than most tests. No two that run share one. */
const spare: { readonly key: SigningKey; readonly kind: string }[] = []

export const newSigningKey = async (options: SigningKeyOptions = {}): Promise<SigningKey> => {
  const at = spare.findIndex(({ kind }) => kind === kindOf(options))
  return at < 0 ? makeSigningKey(options) : (spare.splice(at, 1)[0]?.key ?? makeSigningKey(options))
}
const kindOf = ({ algorithm = 'RS256', withCertificate = false }: SigningKeyOptions): string => `${algorithm} ${withCertificate}`

const makeSigningKey = async ({ algorithm = 'RS256', withCertificate = false }: SigningKeyOptions = {}): Promise<SigningKey> => {
  if (withCertificate) {
    const { certificate, privateKey, publicKey } = selfSigned()
    const { raw } = new X509Certificate(certificate)
    const kid = createHash('sha1').update(raw).digest('base64url')
    const jwk = { ...(await exportJWK(publicKey)), kid, x5t: kid, use: 'sig', x5c: [raw.toString('base64')] }
    return { kid, algorithm, privateKey, publicKey, jwk }
  }
  const { privateKey, publicKey } = await keyPairFor(algorithm)
  const bare = await exportJWK(publicKey)
  const kid = createHash('sha256').update(JSON.stringify(bare)).digest('base64url')
  return { kid, algorithm, privateKey, publicKey, jwk: { ...bare, kid, use: 'sig', alg: algorithm } }
}

const keyPairFor = (algorithm: string): Promise<{ privateKey: KeyObject; publicKey: KeyObject }> => {
  if (algorithm === 'ES256') return generate('ec', { namedCurve: 'prime256v1' })
  if (algorithm === 'EdDSA') return generate('ed25519')
  return generate('rsa', { modulusLength: 2048 })
}

/** The signing keys of an emulator: one signs, all that are published can be checked with. */
export interface SigningKeys {
  readonly active: SigningKey
  published(): readonly SigningKey[]
  sign(claims: Json, header?: Json, by?: SigningKey): Promise<string>
  /** The claims of a token one of the published keys signed, whatever its dates say; undefined for everything else. */
  verify(token: string): Promise<{ readonly header: Json; readonly claims: JWTPayload } | undefined>
  /** A key is published and signs from now on, in one step; the old ones stay published until they are withdrawn. */
  roll(): Promise<SigningKey>
  /** Publishes a key that does not sign yet. */
  announce(): Promise<SigningKey>
  withdraw(kid: string): void
  /** For the next emulator of this process; this one has stopped. */
  release?(): void
}

/** `count` keys are published from the start; the first one signs. */
export const signingKeys = async (options: SigningKeyOptions & { readonly count?: number } = {}): Promise<SigningKeys> => {
  const kind = kindOf(options)
  let keys = await Promise.all(Array.from({ length: options.count ?? 1 }, () => newSigningKey(options)))
  const first = (): SigningKey => {
    const [key] = keys
    if (!key) throw new Error('an emulator without a signing key')
    return key
  }
  return {
    get active() {
      return first()
    },
    published: () => keys,
    sign: (claims, header = {}, by = first()) =>
      new SignJWT(claims).setProtectedHeader({ alg: by.algorithm, kid: by.kid, typ: 'JWT', ...header }).sign(by.privateKey),
    verify: async (token) => {
      for (const key of keys) {
        // Dates are the emulator's affair: it has a clock of its own, and words of its own for an expired token.
        const found = await jwtVerify(token, key.publicKey, { currentDate: new Date(0), clockTolerance: Number.MAX_SAFE_INTEGER })
          .then(({ payload, protectedHeader }) => ({ claims: payload, header: { ...protectedHeader } as Json }))
          .catch(() => undefined)
        if (found) return found
      }
      return undefined
    },
    roll: async () => {
      const key = await newSigningKey(options)
      keys = [key, ...keys]
      return key
    },
    announce: async () => {
      const key = await newSigningKey(options)
      keys = [...keys, key]
      return key
    },
    withdraw: (kid) => {
      keys = keys.filter((key) => key.kid !== kid)
    },
    release: () => void spare.push(...keys.map((key) => ({ key, kind }))),
  }
}
