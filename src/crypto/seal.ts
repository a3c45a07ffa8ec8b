import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto'
import type { Sealer, SealPurpose, Unsealed } from '../domain/sealer.ts'
import type { Secret } from '../kernel/secret.ts'
import type { Keyring, SealingKey } from './keyring.ts'
import { isKid } from './keyring.ts'
import { randomNonce } from './random.ts'

/** First character of every sealed text; moves when anything about the derivation or the layout does. */
const FORMAT = '1'
const NONCE_BYTES = 12
const TAG_BYTES = 16
const DATA_KEY_BYTES = 32
/** Nothing we seal comes near; a longer text is somebody else's. */
const SEALED_CHARS_MAX = 4 * 1024 * 1024
/** Longer than a data key, so that no data key can stand for "none" (HMAC pads short salts with zeros). */
const NO_DATA_KEY = Buffer.from('sallyport: sealed under the keyring alone, no data key')
const CACHED_KEYS_MAX = 64

export interface SealerDeps {
  readonly keyring: Keyring
}

type DataKey = Secret<'data-key'>

/** The Sealer of spec §3. `1.<kid>.<base64url(nonce | ciphertext | tag)>`. */
export const createSealer = ({ keyring }: SealerDeps): Sealer => {
  // Only keys that follow from the ring alone: a cache of keys derived with a data key would open sessions without their cookie.
  const derived = new Map<string, Buffer>()

  const keyFor = (purpose: SealPurpose, { kid, key }: SealingKey, salt: Buffer | undefined): Buffer => {
    if (salt) return derive(key, salt, purpose)
    const name = `${purpose} ${kid}`
    const known = derived.get(name)
    if (known) return known
    const fresh = derive(key, NO_DATA_KEY, purpose)
    if (derived.size >= CACHED_KEYS_MAX) derived.clear()
    derived.set(name, fresh)
    return fresh
  }

  return {
    seal: (purpose, place, text, dataKey) => {
      const sealing = keyring.sealing()
      const salt = dataKey && dataKeyBytes(dataKey)
      if (dataKey && !salt) throw new Error('a data key is 32 bytes, base64url')
      const nonce = randomNonce()
      const cipher = createCipheriv('aes-256-gcm', keyFor(purpose, sealing, salt), nonce, { authTagLength: TAG_BYTES })
      cipher.setAAD(associated(purpose, sealing.kid, place))
      const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
      return `${FORMAT}.${sealing.kid}.${sealed.toString('base64url')}`
    },

    open: (purpose, place, sealed, dataKey): Unsealed => {
      const parts = split(sealed)
      const salt = dataKey && dataKeyBytes(dataKey)
      if (!parts || (dataKey && !salt)) return { kind: 'invalid' }
      const key = keyring.find(parts.kid)
      if (key === 'key-removed') {
        return { kind: 'key-removed' }
      }
      if (key === 'key-unknown') {
        void keyring.reload() // rate-limited; whoever asks again finds the key
        return { kind: 'key-unknown' }
      }
      const { bytes } = parts
      const end = bytes.length - TAG_BYTES
      try {
        const decipher = createDecipheriv('aes-256-gcm', keyFor(purpose, key, salt), bytes.subarray(0, NONCE_BYTES), {
          authTagLength: TAG_BYTES,
        })
        decipher.setAAD(associated(purpose, key.kid, place))
        decipher.setAuthTag(bytes.subarray(end))
        return {
          kind: 'opened',
          text: Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, end)), decipher.final()]).toString('utf8'),
        }
      } catch {
        return { kind: 'invalid' }
      }
    },

    kidOf: (sealed) => split(sealed)?.kid,

    index: (...parts) => {
      const mac = createHmac('sha256', keyring.indexKey())
      mac.update(listOf(['sallyport index', FORMAT, ...parts]))
      return mac.digest().subarray(0, 16).toString('base64url')
    },
  }
}

/** RFC 5869. The data key goes in as the salt: without it the derived key is as far away as without the ring. */
const derive = (key: SealingKey['key'], salt: Buffer, purpose: SealPurpose): Buffer =>
  Buffer.from(hkdfSync('sha256', key, salt, `sallyport ${FORMAT} ${purpose}`, 32))

const dataKeyBytes = (dataKey: DataKey): Buffer | undefined => {
  const text = dataKey.reveal()
  const bytes = Buffer.from(text, 'base64url')
  return bytes.length === DATA_KEY_BYTES && bytes.toString('base64url') === text ? bytes : undefined
}

const associated = (purpose: SealPurpose, kid: string, place: readonly string[]): Buffer => listOf([FORMAT, purpose, kid, ...place])

/**
 * One byte string per list of strings: each part after its length. Lone surrogates, which a provider's JSON can contain, would all become U+FFFD
 * in UTF-8 and two subjects one; such a part goes in as UTF-16, marked by the top bit of its length.
 */
const listOf = (parts: readonly string[]): Buffer =>
  Buffer.concat(
    parts.flatMap((part) => {
      const wellFormed = part.isWellFormed()
      const bytes = Buffer.from(part, wellFormed ? 'utf8' : 'utf16le')
      const length = Buffer.alloc(4)
      length.writeUInt32BE(wellFormed ? bytes.length : (bytes.length | 0x80000000) >>> 0)
      return [length, bytes]
    }),
  )

const split = (sealed: string): { readonly kid: string; readonly bytes: Buffer } | undefined => {
  if (sealed.length > SEALED_CHARS_MAX || !sealed.startsWith(`${FORMAT}.`)) return undefined
  const dot = sealed.indexOf('.', FORMAT.length + 1)
  const kid = sealed.slice(FORMAT.length + 1, dot)
  if (dot < 0 || !isKid(kid)) return undefined
  const text = sealed.slice(dot + 1)
  const bytes = Buffer.from(text, 'base64url')
  // Node skips what is not base64url and ignores spare bits: only the one canonical spelling may open.
  return bytes.length >= NONCE_BYTES + TAG_BYTES && bytes.toString('base64url') === text ? { kid, bytes } : undefined
}
