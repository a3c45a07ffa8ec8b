import type { IncomingMessage } from 'node:http'
import type { ProblemCode } from '../domain/problem.ts'
import type { Route } from '../domain/route.ts'
import type { Answer } from './answer.ts'
import type { ProblemSettings } from './render-problem.ts'
import { problemAnswer } from './render-problem.ts'

/** What the forwarder says in an upstream's place: the same page or document, with the same headers, as everywhere else. */
export const proxiedProblem =
  (settings: ProblemSettings) =>
  (code: ProblemCode, request: IncomingMessage, route: Pick<Route, 'methods'>, requestId: string): Answer => {
    const { method = '', url = '/', headers } = request
    const extras = code === 'request.method-not-allowed' ? { allow: route.methods } : {} // RFC 9110 §15.5.6: a 405 says what is
    return problemAnswer(settings, code, { requestId, method, url, headers }, extras)
  }
