import type { FastifyRequest } from 'fastify'
import type { AuditWho } from '../domain/audit-event.ts'
import type { Route } from '../domain/route.ts'
import { type EdgeContext, visitorOf } from './edge-context.ts'

/** @param claims what the rule read, as one object that stays the same for as long as they do. @param who asked only for what is told */
export type NoteAllowed = <Claims extends object>(request: FastifyRequest, claims: Claims, who: (claims: Claims) => AuditWho) => void

/**
 * Audits whom the rule of a route let in: the other half of `access.denied`. Once for each state of somebody's claims, because with the same claims the
 * answer is the same; every single request is in the access log. Where a rule says no more than "signed in" and the upstream is called as the user, its own log names them.
 */
export const noteAllowed = (context: EdgeContext, { name, allow, token }: Route): NoteAllowed => {
  const { principal } = token
  if (!allow || (allow.kind === 'signed-in' && principal === 'user')) return () => {}
  const told = new WeakSet()
  return (request, claims, who) => {
    if (told.has(claims)) return
    told.add(claims)
    const { requestId, address } = visitorOf(context, request)
    context.audit.record({ requestId, address, ...who(claims), event: 'access.allowed', route: name, principal })
  }
}
