import type { ProblemCode } from '../domain/problem.ts'
import type { EndReason, Opened } from '../domain/session.ts'

/** Nobody could look: 503, the cookie untouched; never anonymous, never logged out. */
export const outageOf = (opened: Opened): 'store.unavailable' | 'store.key-unknown' | undefined => {
  if (opened.kind === 'unavailable') return 'store.unavailable'
  if (opened.kind === 'key-unknown') return 'store.key-unknown'
  return undefined
}

/** Why there is no session, as the browser may know it. */
export const problemOf = (opened: Exclude<Opened, { kind: 'found' }>): ProblemCode => {
  if (opened.kind === 'ended') return endedProblem(opened.reason)
  return outageOf(opened) ?? 'session.absent'
}

const endedProblem = (reason: EndReason): ProblemCode => {
  if (reason === 'replaced') return 'session.replaced'
  if (reason === 'key-removed') return 'session.key-removed'
  if (reason === 'refresh-lost') return 'session.refresh-lost'
  return 'session.ended'
}
