import { randomBytes, randomInt } from 'node:crypto'

const LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789'

/** 256 bits for a new key. */
export const randomKey = (): Buffer => randomBytes(32)
/** A GCM nonce of 96 bits (NIST SP 800-38D §8.2.2). */
export const randomNonce = (): Buffer => randomBytes(12)
/** Six characters of `[a-z0-9]`: tells keys apart that were made in the same second; no secret. */
export const randomSuffix = (): string => Array.from({ length: 6 }, () => LETTERS[randomInt(LETTERS.length)]).join('')
/** 128 bits, 22 base64url characters: names one thing that happened; no secret. */
export const randomName = (): string => randomBytes(16).toString('base64url')
