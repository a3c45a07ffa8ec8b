import { createHmac, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, type JWK, jwtVerify, type JWTPayload, SignJWT } from 'jose'
import type { Json } from '../core-exchange.ts'
import { newSigningKey, type SigningKey, type SigningKeys } from '../core-keys.ts'
import type { SignatureAlgorithm } from './settings.ts'

/** What the admin console says of a key: it signs; it only checks and stays published; it is neither. */
type State = 'active' | 'passive' | 'disabled'
interface RealmKey extends SigningKey {
  state: State
}

/** The keys of a realm. What is meant for others is signed with published keys; refresh tokens with a secret of the realm (HS512). */
export interface RealmKeys extends SigningKeys {
  signAs(algorithm: SignatureAlgorithm, claims: Json, header?: Json): Promise<string>
  signRefresh(claims: Json): string
  readRefresh(token: string): JWTPayload | undefined
  setState(kid: string, state: State): void
  /** As if an administrator had deleted the secret: all refresh tokens are void. */
  rollSecret(): void
  /** What `jwks_uri` serves: one key among them is for encryption, as in every realm. */
  document(): Promise<readonly JWK[]>
}

/** Nobody encrypts with it, so one does for all emulators of a process. */
let encryptionKey: Promise<JWK> | undefined
const encryption = (): Promise<JWK> => {
  encryptionKey ??= newSigningKey().then(({ jwk }) => ({ ...jwk, use: 'enc', alg: 'RSA-OAEP' }))
  return encryptionKey
}

/** RS256 from the start; other algorithms get their key with their first use, as with "fallback" keys. */
export const realmKeys = async (): Promise<RealmKeys> => {
  let keys: RealmKey[] = [{ ...(await newSigningKey()), state: 'active' }]
  let secret = randomBytes(64)
  let secretId = randomUUID()
  const making = new Map<string, Promise<RealmKey>>()

  const keyFor = async (algorithm: string): Promise<RealmKey> => {
    const found = keys.find((key) => key.state === 'active' && key.algorithm === algorithm)
    if (found) return found
    const made =
      making.get(algorithm) ??
      newSigningKey({ algorithm }).then((key) => {
        const one: RealmKey = { ...key, state: 'active' }
        keys = [...keys, one]
        making.delete(algorithm)
        return one
      })
    making.set(algorithm, made)
    return made
  }
  const sign = (claims: Json, header: Json, by: SigningKey): Promise<string> =>
    new SignJWT(claims).setProtectedHeader({ alg: by.algorithm, typ: 'JWT', kid: by.kid, ...header }).sign(by.privateKey)
  const active = (): RealmKey => {
    const key = keys.find(({ state, algorithm }) => state === 'active' && algorithm === 'RS256')
    if (!key) throw new Error('the realm has no active RS256 key')
    return key
  }
  const add = async (state: State): Promise<RealmKey> => {
    const key: RealmKey = { ...(await newSigningKey()), state }
    keys = [key, ...keys]
    return key
  }
  const hmac = (text: string): Buffer => createHmac('sha512', secret).update(text).digest()

  return {
    get active() {
      return active()
    },
    published: () => keys.filter(({ state }) => state !== 'disabled'),
    sign: (claims, header = {}, by = active()) => sign(claims, header, by),
    signAs: async (algorithm, claims, header = {}) => sign(claims, header, await keyFor(algorithm)),
    verify: async (token) => {
      const kid = kidOf(token)
      const key = keys.find((one) => one.state !== 'disabled' && one.kid === kid)
      if (!key) return undefined
      return jwtVerify(token, key.publicKey, { currentDate: new Date(0), clockTolerance: Number.MAX_SAFE_INTEGER }).then(
        ({ payload, protectedHeader }) => ({ claims: payload, header: { ...protectedHeader } as Json }),
        () => undefined,
      )
    },
    roll: async () => {
      const before = active()
      const key = await add('active')
      before.state = 'passive'
      return key
    },
    announce: () => add('passive'),
    withdraw: (kid) => {
      keys = keys.filter((key) => key.kid !== kid)
    },
    setState: (kid, state) => {
      const key = keys.find((one) => one.kid === kid)
      if (!key) throw new Error('no such key')
      key.state = state
    },
    signRefresh: (claims) => {
      const encode = (value: Json): string => Buffer.from(JSON.stringify(value)).toString('base64url')
      const text = `${encode({ alg: 'HS512', typ: 'JWT', kid: secretId })}.${encode(claims)}`
      return `${text}.${hmac(text).toString('base64url')}`
    },
    readRefresh: (token) => {
      const at = token.lastIndexOf('.')
      const given = Buffer.from(token.slice(at + 1), 'base64url')
      const wanted = hmac(token.slice(0, at))
      if (at < 0 || given.length !== wanted.length || !timingSafeEqual(given, wanted)) return undefined
      return decodeJwt(token)
    },
    document: async () => [await encryption(), ...keys.filter(({ state }) => state !== 'disabled').map(({ jwk }) => jwk)],
    rollSecret: () => {
      secret = randomBytes(64)
      secretId = randomUUID()
    },
  }
}

const kidOf = (token: string): string | undefined => {
  try {
    return decodeProtectedHeader(token).kid
  } catch {
    return undefined
  }
}
