import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { AdminCredentialOrdered, AdminCredentials, AdminCredentialVerdict } from '../contract/admin.ts'
import type { CredentialOrdered, CredentialOverview, CredentialVerdict } from '../domain/credential.ts'
import type { Instant } from '../kernel/time.ts'
import type { Refuse } from './admin-session-routes.ts'

export interface AdminCredentialsDeps {
  readonly status: (requestId: string) => CredentialOverview
  readonly verify: (requestId: string, name: string) => Promise<CredentialVerdict | 'unknown' | 'ambiguous'>
  readonly promote: (requestId: string, name: string) => Promise<CredentialOrdered | 'ambiguous'>
  readonly withdraw: (requestId: string, name: string, force: boolean) => Promise<CredentialOrdered | 'ambiguous'>
}

/** A name of ours, a part of it, or a thumbprint as portals show it. */
const NAME = /^[\w:-]{1,95}$/

/** The gateway's own credentials, for operators; flows/credential-admin.ts behind it. */
export const registerAdminCredentials = (app: FastifyInstance, deps: AdminCredentialsDeps, refuse: Refuse): void => {
  app.get('/admin/credentials', async (request, reply) => reply.send(told(deps.status(request.id))))

  type Named = FastifyRequest<{ Params: { name: string }; Body: unknown }>
  const command = (path: string, run: (request: Named, name: string) => Promise<unknown>): void => {
    app.post(`/admin/credentials/:name/${path}`, async (request: Named, reply: FastifyReply) => {
      const { name } = request.params
      if (!NAME.test(name)) return refuse(request, reply, 'request.parameter-invalid')
      const answer = await run(request, name)
      if (answer === 'unknown' || answer === 'ambiguous') return refuse(request, reply, 'credential.unknown')
      if (answer === 'not-usable') return refuse(request, reply, 'credential.not-usable')
      if (answer === 'last-usable') return refuse(request, reply, 'credential.last-usable')
      return reply.send(answer)
    })
  }
  command('verify', async (request, name) => {
    const verdict = await deps.verify(request.id, name)
    return typeof verdict === 'string' ? verdict : (saidOf(verdict) satisfies AdminCredentialVerdict)
  })
  const followed = (ordered: CredentialOrdered | 'ambiguous') =>
    typeof ordered === 'string'
      ? ordered
      : ({ outcome: ordered.outcome, replicas: ordered.replicas, missing: ordered.missing } satisfies AdminCredentialOrdered)
  command('promote', async (request, name) => followed(await deps.promote(request.id, name)))
  command('withdraw', async (request, name) => followed(await deps.withdraw(request.id, name, isForced(request.body))))
}

const isForced = (body: unknown): boolean => typeof body === 'object' && body !== null && Reflect.get(body, 'force') === true

const saidOf = (verdict: CredentialVerdict): AdminCredentialVerdict =>
  verdict.kind === 'accepted'
    ? { verdict: verdict.kind, code: null }
    : { verdict: verdict.kind, code: verdict.kind === 'rejected' ? verdict.code : verdict.cause }

const iso = (at: Instant | undefined): string | null => (at === undefined ? null : new Date(at).toISOString())

/** Field by field: what a later release knows of a credential is not told until it is meant to be. */
const told = ({ ready, credentials, faults }: CredentialOverview): AdminCredentials => ({
  ready,
  credentials: credentials.map((one) => ({
    id: one.id,
    kind: one.kind,
    method: one.method,
    setting: one.setting,
    file: one.file,
    state: one.state,
    since: new Date(one.since).toISOString(),
    why: one.why,
    message: one.message,
    thumbprint_sha256: one.thumbprints?.sha256 ?? null,
    thumbprint_sha1: one.thumbprints?.sha1 ?? null,
    kid: one.kid ?? null,
    not_before: iso(one.notBefore),
    not_after: iso(one.notAfter),
    days_left: one.daysLeft ?? null,
    accepted_at: iso(one.acceptedAt),
    rejected_at: iso(one.rejectedAt),
    rejection: one.rejection ?? null,
    next_probe_at: iso(one.nextProbeAt),
    lost_by_restart: one.lostByRestart,
    unstaged: one.isUnstaged,
    next_step: one.nextStep ?? null,
  })),
  faults: faults.map(({ setting, file, fault, message }) => ({ setting, file, fault, message })),
})
