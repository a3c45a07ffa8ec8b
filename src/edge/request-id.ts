import { randomFillSync } from 'node:crypto'

const BYTES = 16
const pool = Buffer.allocUnsafe(BYTES * 384)
let next = pool.length

/** 32 hex characters. One call to the kernel for 384 of them. */
export const newRequestId = (): string => {
  if (next === pool.length) {
    randomFillSync(pool)
    next = 0
  }
  next += BYTES
  return pool.toString('hex', next - BYTES, next)
}

const GRAMMAR = /^[\w-]{1,64}$/

/** A trusted proxy may name the request; anybody else would be writing into our logs. */
export const requestIdOf = (given: string | string[] | undefined, fromTrustedPeer: () => boolean): string =>
  typeof given === 'string' && GRAMMAR.test(given) && fromTrustedPeer() ? given : newRequestId()
