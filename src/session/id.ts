import { createHash, randomBytes } from 'node:crypto'
import type { SessionCookie, SessionRef } from '../domain/session.ts'
import { Secret } from '../kernel/secret.ts'

const ID_BYTES = 16
const COOKIE_BYTES = 48
/** 48 bytes are exactly 64 characters, without padding or spare bits: one spelling per value. */
const COOKIE = /^[A-Za-z0-9_-]{64}$/

/** What a session cookie says: which session, and with what its body opens. The session id itself is not needed again. */
export interface CookieParts {
  readonly ref: SessionRef
  readonly dataKey: Secret<'data-key'>
}

/** @returns undefined for anything but 64 base64url characters that are the one spelling of their 48 bytes */
export const cookieParts = (text: string): CookieParts | undefined => {
  if (!COOKIE.test(text)) return undefined
  const bytes = Buffer.from(text, 'base64url')
  return bytes.length === COOKIE_BYTES && bytes.toString('base64url') === text ? partsOf(bytes) : undefined
}

/** A new session id and data key from the CSPRNG: 128 and 256 bits. */
export const newCookie = (): CookieParts & { readonly cookie: SessionCookie } => {
  const bytes = randomBytes(COOKIE_BYTES)
  return { ...partsOf(bytes), cookie: Secret.of('session-cookie', bytes.toString('base64url')) }
}

const partsOf = (bytes: Buffer): CookieParts => ({
  ref: createHash('sha256').update(bytes.subarray(0, ID_BYTES)).digest().subarray(0, 16).toString('base64url') as SessionRef,
  dataKey: Secret.of('data-key', bytes.subarray(ID_BYTES).toString('base64url')),
})
