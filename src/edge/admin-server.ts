import { chmod, lstat, unlink } from 'node:fs/promises'
import { createConnection } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { fastify } from 'fastify'
import type { AuditSink } from '../domain/audit-event.ts'
import type { ProblemDocument } from '../contract/problem-document.ts'
import { REQUEST_ID_HEADER } from '../contract/headers.ts'
import type { ProblemCode } from '../domain/problem.ts'
import { problem } from '../domain/problem.ts'
import { StartError } from '../kernel/start-error.ts'
import type { AdminCredentialsDeps } from './admin-credential-routes.ts'
import { registerAdminCredentials } from './admin-credential-routes.ts'
import type { AdminSessionsDeps } from './admin-session-routes.ts'
import { registerAdminSessions } from './admin-session-routes.ts'
import { newRequestId } from './request-id.ts'

export interface AdminServerDeps {
  /** What `sallyport status` prints; never a secret. */
  readonly status: () => Readonly<Record<string, unknown>>
  /** flows/session-admin.ts */
  readonly sessions: Omit<AdminSessionsDeps, 'audit'>
  /** flows/credential-admin.ts */
  readonly credentials: AdminCredentialsDeps
  readonly audit: AuditSink
}

/** For operators: who may open the socket may command. The same flows as the public side; each command is an audit event. */
export const createAdminServer = (deps: AdminServerDeps): FastifyInstance => {
  const app = fastify({
    logger: false,
    bodyLimit: 16 * 1024,
    requestTimeout: 30_000,
    genReqId: newRequestId,
    requestIdHeader: false,
    return503OnClosing: false,
  })
  app.addHook('onRequest', (request, reply, done) => {
    reply.header(REQUEST_ID_HEADER, request.id).header('cache-control', 'no-store').header('x-content-type-options', 'nosniff')
    // On a loopback port a web page could reach us (DNS rebinding); no command line tool sends these.
    const fromBrowser = request.headers.origin !== undefined || request.headers['sec-fetch-site'] !== undefined
    if (!fromBrowser) return done()
    sendAdminProblem(request, reply, 'csrf.cross-site')
  })
  app.get('/admin/status', async (request) => {
    deps.audit.record({ requestId: request.id, event: 'admin.command', command: 'status', outcome: 'ok' })
    return deps.status()
  })
  registerAdminSessions(app, { ...deps.sessions, audit: deps.audit }, sendAdminProblem)
  registerAdminCredentials(app, deps.credentials, sendAdminProblem)
  app.setNotFoundHandler((request, reply) => sendAdminProblem(request, reply, 'endpoint.unknown'))
  app.setErrorHandler((error, request, reply) => {
    const isTheirs = error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' && error.statusCode < 500
    return sendAdminProblem(request, reply, isTheirs ? 'request.malformed' : 'gateway.failed')
  })
  return app
}

const sendAdminProblem = (request: FastifyRequest, reply: FastifyReply, code: ProblemCode): FastifyReply => {
  const { status, title, fix } = problem(code)
  const document: ProblemDocument = { type: `urn:sallyport:problem:${code}`, title, status, code, fix, request_id: request.id }
  return reply.code(status).type('application/problem+json; charset=utf-8').send(document)
}

/**
 * Listens on a Unix socket that only this user may open. The file of a gateway that died is removed; that of one that lives is not.
 * Errors: rejects when another process answers on the path, or when the path is something else than a socket.
 */
export const listenOnSocket = async (app: FastifyInstance, path: string): Promise<void> => {
  await app.ready()
  await removeStale(path)
  // bind(2) happens inside listen(): with this mask there is no moment in which others could open it.
  const mask = process.umask(0o177)
  try {
    await new Promise<void>((resolve, reject) => {
      app.server.once('error', reject)
      app.server.listen(path, () => {
        app.server.off('error', reject)
        resolve()
      })
      process.umask(mask)
    })
  } finally {
    process.umask(mask)
  }
  await chmod(path, 0o600)
}

const removeStale = async (path: string): Promise<void> => {
  const found = await lstat(path).catch(() => undefined)
  if (!found) return
  if (!found.isSocket()) throw new StartError('admin.path-taken', `listen.admin exists and is not a socket: ${path}`)
  if (await answers(path)) throw new StartError('admin.unavailable', `another process listens on listen.admin: ${path}`)
  await unlink(path)
}

const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createConnection(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
