import { randomBytes } from 'node:crypto'
import type { Instant } from '../kernel/time.ts'

const TIME_BYTES = 5
const ID = /^[A-Za-z0-9_-]{21}[AQgw]$/

/** 5 bytes of time in tenths of a second, so that the oldest attempts of a browser can be told, then 88 random bits. No secret. */
export const newAttemptId = (now: Instant): string => {
  const bytes = randomBytes(16)
  bytes.writeUIntBE(Math.floor(now / 100), 0, TIME_BYTES)
  return bytes.toString('base64url')
}

/** One spelling per 16 bytes. */
export const isAttemptId = (text: string): boolean => ID.test(text)

/** For `sort`, oldest first. base64url does not sort like its bytes. */
export const byAge = (a: string, b: string): number => Buffer.compare(Buffer.from(a, 'base64url'), Buffer.from(b, 'base64url'))
