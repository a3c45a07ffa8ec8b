import type { IncomingMessage } from 'node:http'
import { GatewayError } from '../domain/problem.ts'

/** The media type of a form; parameters aside. */
export const FORM = 'application/x-www-form-urlencoded'

/**
 * The text of a posted form: so many bytes at most, within so much time. The server's own limit on a request is minutes, made for uploads; nobody
 * takes that long over a form. @throws GatewayError
 */
export const formParser =
  (bytesMax: number, timeoutMs: number) =>
  (_request: unknown, body: IncomingMessage): Promise<string> =>
    new Promise((resolve, reject) => {
      const chunks: Buffer[] = []
      let bytes = 0
      const settle = (end: () => void): void => {
        clearTimeout(timer)
        body.off('data', take).off('end', done).off('error', cut).off('close', cut)
        body.on('error', () => {}) // a reset of what nobody reads any more
        end()
      }
      const fail = (code: ConstructorParameters<typeof GatewayError>[0]): void => settle(() => reject(new GatewayError(code)))
      const take = (chunk: Buffer): void => {
        bytes += chunk.length
        chunks.push(chunk)
        if (bytes > bytesMax) fail('request.body-too-large')
      }
      const done = (): void => settle(() => resolve(Buffer.concat(chunks).toString('utf8')))
      const cut = (): void => fail('request.malformed')
      const timer = setTimeout(() => fail('request.timeout'), timeoutMs)
      if (Number(body.headers['content-length'] ?? 0) > bytesMax) return fail('request.body-too-large')
      body.on('data', take).on('end', done).on('error', cut).on('close', cut)
    })
