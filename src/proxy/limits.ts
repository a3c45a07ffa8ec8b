import type { IncomingMessage } from 'node:http'
import type { TransformCallback } from 'node:stream'
import { Transform } from 'node:stream'
import type { ProblemCode } from '../domain/problem.ts'
import { BODY_TOO_LARGE } from './upstream-failure.ts'

/** Node drops header lines beyond its own limit without a word, ours and an ingress's among them; so refuse long before. */
const HEADER_LINES_MAX = 100

/** Judged by the two headers: in a hook `request.complete` is still false even for a GET. */
export const hasBody = (request: IncomingMessage): boolean =>
  request.headers['transfer-encoding'] !== undefined || !isZero(request.headers['content-length'])
const isZero = (length: string | undefined): boolean => length === undefined || /^0+$/.test(length)

/** What is wrong with a request before its body is looked at; undefined: nothing. The edge asks this for its own endpoints too. */
export const requestFault = (request: IncomingMessage, bodyBytesMax: number): ProblemCode | undefined => {
  const { rawHeaders, headers, method } = request
  if (rawHeaders.length > HEADER_LINES_MAX * 2) return 'request.headers-too-many'
  if (isDoubled(rawHeaders)) return 'request.malformed'
  if (!hasBody(request)) return undefined
  if (method === 'GET' || method === 'HEAD') return 'request.body-unexpected'
  const length = headers['content-length']
  return length !== undefined && Number(length) > bodyBytesMax ? 'request.body-too-large' : undefined
}

/** Two lines of one of these: one parser takes the first, the next the last. */
const SINGLE = ['host', 'content-type', 'origin', 'x-csrf'] as const
const isDoubled = (rawHeaders: readonly string[]): boolean => {
  let seen = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const raw = rawHeaders[i] ?? ''
    const { length } = raw
    if (length !== 4 && length !== 6 && length !== 12) continue
    const index = SINGLE.indexOf(raw.toLowerCase() as (typeof SINGLE)[number])
    if (index < 0) continue
    const bit = 1 << index
    if ((seen & bit) !== 0) return true
    seen |= bit
  }
  return false
}

/** Counts a body of unknown length; a body with a length is counted by the parser. */
export class BodyLimit extends Transform {
  #left: number
  constructor(bytesMax: number) {
    super()
    this.#left = bytesMax
  }
  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#left -= chunk.length
    if (this.#left < 0) done(new BodyTooLarge())
    else done(null, chunk)
  }
}

/** The largest body that is kept for a second try. */
export const KEPT_BYTES_MAX = 64 * 1024

/** A small body of known length on its way to the upstream, and a copy of it. */
export class KeptBody extends Transform {
  readonly #length: number
  readonly #chunks: Buffer[] = []
  #bytes = 0
  constructor(length: number) {
    super()
    this.#length = length
  }
  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#bytes += chunk.length
    this.#chunks.push(chunk)
    done(null, chunk)
  }
  /** undefined: it has not all arrived. */
  whole(): Buffer | undefined {
    return this.#bytes === this.#length ? Buffer.concat(this.#chunks) : undefined
  }
}

class BodyTooLarge extends Error {
  readonly code = BODY_TOO_LARGE
}
