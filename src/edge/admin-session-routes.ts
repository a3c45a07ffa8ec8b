import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { AdminEnded, AdminKeys, AdminSession, AdminSessions } from '../contract/admin.ts'
import type { AuditEvent, AuditSink } from '../domain/audit-event.ts'
import type { ProblemCode } from '../domain/problem.ts'
import type { ListedSession } from '../domain/session-directory.ts'
import type { Ended } from '../domain/session-store.ts'
import type { SessionRef } from '../domain/session.ts'
import type { EndedMany, Listed, SessionFilter } from '../flows/session-admin.ts'
import type { Instant } from '../kernel/time.ts'
import { instant } from '../kernel/time.ts'

export interface AdminSessionsDeps {
  readonly list: (filter: SessionFilter, cursor: string | undefined, limit: number) => Promise<Listed>
  readonly find: (ref: SessionRef) => Promise<ListedSession | 'absent' | 'unreadable' | 'unavailable'>
  readonly end: (ref: SessionRef, requestId: string) => Promise<Ended>
  readonly endMany: (filter: SessionFilter, cursor: string | undefined, requestId: string) => Promise<EndedMany>
  readonly keys: () => Promise<AdminKeys | 'unavailable'>
  readonly audit: AuditSink
}

/** Answers a problem of the catalogue. */
export type Refuse = (request: FastifyRequest, reply: FastifyReply, code: ProblemCode) => FastifyReply

const REF = /^[\w-]{22}$/
const CURSOR = /^[as]\.[\w.-]{1,200}$/
const LIMIT_MAX = 1_000
const TEXT_MAX = 1_024

/** Sessions and sealing keys, for operators. Each command is an audit event with its outcome; one that could not be read says why it was not run. */
export const registerAdminSessions = (app: FastifyInstance, deps: AdminSessionsDeps, refuse: Refuse): void => {
  type Command = Omit<Extract<AuditEvent, { event: 'admin.command' }>, 'event' | 'requestId'>
  const audit = (request: FastifyRequest, command: Command): void =>
    deps.audit.record({ requestId: request.id, event: 'admin.command', ...command })
  const invalid = (request: FastifyRequest, reply: FastifyReply): FastifyReply => refuse(request, reply, 'request.parameter-invalid')
  const refOf = (request: FastifyRequest<{ Params: { ref: string } }>): SessionRef | undefined =>
    REF.test(request.params.ref) ? (request.params.ref as SessionRef) : undefined

  app.get<{ Querystring: Record<string, unknown> }>('/admin/sessions', async (request, reply) => {
    const read = filterOf(request.query, ['limit', 'cursor'])
    const limit = Number(request.query['limit'] ?? 100)
    if (!read || !Number.isInteger(limit) || limit < 1 || limit > LIMIT_MAX) return invalid(request, reply)
    const listed = await deps.list(read.filter, read.cursor, limit)
    const who = whoOf(read.filter)
    if (listed.kind === 'unavailable') {
      audit(request, { ...who, command: 'sessions.list', outcome: 'unavailable' })
      return refuse(request, reply, 'store.unavailable')
    }
    const { sessions, unreadable, next } = listed.page
    audit(request, { ...who, command: 'sessions.list', outcome: 'ok', count: sessions.length })
    return reply.send({ sessions: sessions.map(told), unreadable, next: next ?? null } satisfies AdminSessions)
  })

  app.get<{ Params: { ref: string } }>('/admin/sessions/:ref', async (request, reply) => {
    const sessionRef = refOf(request)
    if (sessionRef === undefined) return invalid(request, reply)
    const found = await deps.find(sessionRef)
    const outcome = typeof found === 'string' ? found : 'ok'
    audit(request, { sessionRef, command: 'sessions.show', outcome })
    if (found === 'unavailable') return refuse(request, reply, 'store.unavailable')
    return typeof found === 'string' ? refuse(request, reply, 'session.unknown') : reply.send(told(found))
  })

  app.delete<{ Params: { ref: string } }>('/admin/sessions/:ref', async (request, reply) => {
    const sessionRef = refOf(request)
    if (sessionRef === undefined) return invalid(request, reply)
    const outcome = await deps.end(sessionRef, request.id)
    audit(request, { sessionRef, command: 'sessions.end', outcome })
    // This replica serves it no more and goes on trying; the others may until the store has it.
    return outcome === 'unavailable' ? refuse(request, reply, 'logout.pending') : reply.send({ outcome })
  })

  app.post<{ Body: unknown }>('/admin/sessions/end', async (request, reply) => {
    const body = typeof request.body === 'object' && request.body !== null && !Array.isArray(request.body) ? { ...request.body } : undefined
    const read = body && filterOf(body, ['all', 'cursor'])
    const isAll = body !== undefined && Reflect.get(body, 'all') === true
    // Everything only by its own word: a filter that was mistyped, or left empty by a script, must not sign everybody out.
    if (!read || isAll === Object.keys(read.filter).length > 0) return invalid(request, reply)
    const result = await deps.endMany(read.filter, read.cursor, request.id)
    audit(request, {
      ...whoOf(read.filter),
      command: isAll ? 'sessions.end-all' : 'sessions.end',
      outcome: result.kind,
      count: result.ended,
    })
    if (result.kind === 'unavailable') return refuse(request, reply, 'store.unavailable')
    return reply.send({ ended: result.ended, next: result.next ?? null } satisfies AdminEnded)
  })

  app.get('/admin/keys', async (request, reply) => {
    const keys = await deps.keys()
    audit(request, { command: 'keys.status', outcome: keys === 'unavailable' ? keys : 'ok' })
    return keys === 'unavailable' ? refuse(request, reply, 'store.unavailable') : reply.send(keys)
  })
}

const FILTERS = { subject: 'subject', tenant: 'tenant', provider: 'provider', created_before: 'createdBefore' } as const

/** @returns undefined when anything in it is unknown, doubled, empty or malformed */
const filterOf = (
  given: Readonly<Record<string, unknown>>,
  beside: readonly string[],
): { readonly filter: SessionFilter; readonly cursor: string | undefined } | undefined => {
  const filter: Partial<Record<keyof SessionFilter, string | Instant>> = {}
  for (const [name, value] of Object.entries(given)) {
    if (beside.includes(name)) continue
    const field = Object.hasOwn(FILTERS, name) ? FILTERS[name as keyof typeof FILTERS] : undefined
    if (field === undefined || typeof value !== 'string' || value === '' || value.length > TEXT_MAX) return undefined
    const read = field === 'createdBefore' ? instantOf(value) : value
    if (read === undefined) return undefined
    filter[field] = read
  }
  const cursor = given['cursor']
  if (cursor !== undefined && !(typeof cursor === 'string' && CURSOR.test(cursor))) return undefined
  return { filter: filter as SessionFilter, cursor }
}

/** RFC 3339 with its offset: a time without one would be another on another machine. */
const instantOf = (text: string): Instant | undefined => {
  const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(at) ? undefined : instant(at)
}

const whoOf = ({ subject, tenant, provider }: SessionFilter) => ({ subject, tenant, provider })

const iso = (at: Instant): string => new Date(at).toISOString()
/** Field by field: what a later release puts on a card is not told until it is meant to be. */
const told = ({ card, lastSeenAt }: ListedSession): AdminSession => ({
  ref: card.ref,
  subject: card.subject,
  tenant: card.tenant ?? null,
  provider: card.provider,
  created_at: iso(card.createdAt),
  last_seen_at: iso(lastSeenAt),
  ends_at: iso(card.endsAt),
  browser: card.browser,
  address: card.address,
})
