import type { Socket } from 'node:net'
import { REQUEST_ID_HEADER } from '../contract/headers.ts'
import type { ProblemCode } from '../domain/problem.ts'
import { problem } from '../domain/problem.ts'
import type { EdgeContext } from './edge-context.ts'
import { problemAnswer } from './render-problem.ts'
import { newRequestId } from './request-id.ts'

/** What the parser could not read never becomes a request: a fixed answer by hand, then the connection ends (RFC 9112 §11.2: never guess at framing). */
export const answerClientError = (context: EdgeContext, error: Error & { readonly code?: string }, socket: Socket): void => {
  const code = codeFor(error.code)
  // While an answer is being made on this connection, anything we wrote would be taken for it (pipelining).
  const isBusy = Reflect.get(socket, '_httpMessage') != null
  if (error.code === 'ECONNRESET' || !socket.writable || isBusy) {
    socket.destroy()
    return
  }
  const requestId = newRequestId()
  const { status, headers, body } = problemAnswer(context.problems, code, { requestId, method: '', url: '/', headers: {} })
  const lines = Object.entries({
    ...headers,
    [REQUEST_ID_HEADER]: requestId,
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  })
  const head = lines.map(([name, value]) => `${name}: ${String(value)}\r\n`).join('')
  socket.end(`HTTP/1.1 ${status} ${REASONS[status] ?? 'Error'}\r\n${head}\r\n${body}`)
  // No timeout of the server watches a connection whose parser gave up: whoever never closes their side would hold it for ever. Not at once, or
  // what they still send would make the system drop the answer on its way.
  setTimeout(() => socket.destroy(), LINGER_MS).unref()
  context.metrics.count('sallyport_problem_answers_total', { code })
  context.log.debug({ requestId, code, status: problem(code).status }, 'request could not be parsed')
}

const LINGER_MS = 1000
const REASONS: Readonly<Record<number, string>> = { 400: 'Bad Request', 408: 'Request Timeout', 431: 'Request Header Fields Too Large' }

const codeFor = (code: string | undefined): ProblemCode => {
  if (code === 'HPE_HEADER_OVERFLOW') return 'request.headers-too-many'
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'request.timeout'
  return 'request.malformed'
}
