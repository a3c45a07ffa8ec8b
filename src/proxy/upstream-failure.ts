import type { ServerResponse } from 'node:http'
import type { ProblemDocument } from '../contract/problem-document.ts'
import type { ProblemCode } from '../domain/problem.ts'
import { problem } from '../domain/problem.ts'

/** Library error → problem, by its code alone. Nothing else of the error goes any further: its text may hold addresses and headers. */
export const problemOf = (code: string): ProblemCode => {
  switch (code) {
    case BODY_TOO_LARGE:
      return 'request.body-too-large'
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
    case 'UND_ERR_CONNECT_TIMEOUT':
      return 'proxy.upstream-timeout'
    case 'UND_ERR_INVALID_ARG':
    case 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH':
      return 'request.malformed'
    default:
      return 'proxy.upstream-unreachable'
  }
}
export const BODY_TOO_LARGE = 'BODY_TOO_LARGE'

/** The error's code if it is one of a closed grammar, for the log. */
export const causeOf = (error: unknown): string => {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,63}$/.test(code) ? code : 'UNKNOWN'
}

/** A whole answer; names are lower case. */
export interface ProblemAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly body: string
}

/** The bare document, for a forwarder that nobody told how to say it. */
export const problemDocument = (code: ProblemCode, requestId: string): ProblemAnswer => {
  const { status, title, fix, retryAfterSeconds } = problem(code)
  const document: ProblemDocument = { type: `urn:sallyport:problem:${code}`, title, status, code, fix, request_id: requestId }
  return {
    status,
    headers: {
      'content-type': 'application/problem+json; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...(retryAfterSeconds !== undefined && { 'retry-after': String(retryAfterSeconds) }),
    },
    body: JSON.stringify(document),
  }
}

/**
 * Answers on a response that Fastify no longer owns. Never after a head was written: a cut is then the only honest end.
 * @param constants the gateway's own headers, names and values in turn
 * @param isLast the connection cannot be used again: part of a request body is still on its way
 * @returns the bytes of the body
 */
export const answerProblem = (
  response: ServerResponse,
  { status, headers, body }: ProblemAnswer,
  requestId: string,
  constants: readonly string[],
  isLast: boolean,
): number => {
  const bytes = Buffer.from(body)
  const head = ['content-length', String(bytes.length), 'x-request-id', requestId]
  for (const [name, value] of Object.entries(headers)) for (const one of typeof value === 'string' ? [value] : value) head.push(name, one)
  for (let i = 0; i < constants.length; i += 2) {
    const name = constants[i] ?? ''
    if (!(name in headers)) head.push(name, constants[i + 1] ?? '')
  }
  if (isLast) head.push('connection', 'close')
  response.writeHead(status, head)
  response.end(bytes)
  return response.req.method === 'HEAD' ? 0 : bytes.length
}
