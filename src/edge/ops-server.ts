import type { FastifyInstance } from 'fastify'
import { fastify } from 'fastify'

export interface Readiness {
  readonly ready: boolean
  /** Names of what is missing, from a closed set: credential, store, listener, draining. */
  readonly waiting: readonly string[]
}

export interface OpsServerDeps {
  /** Prometheus text. */
  readonly metrics: () => Promise<{ readonly type: string; readonly text: string }>
  /** Config loaded, credential usable, store answered once, not draining. The provider never counts. */
  readonly readiness: () => Readiness
}

/** For the platform: `/livez`, `/readyz`, `/metrics`, nothing else. */
export const createOpsServer = (deps: OpsServerDeps): FastifyInstance => {
  const app = fastify({
    logger: false,
    bodyLimit: 1024,
    requestTimeout: 10_000,
    exposeHeadRoutes: true,
    requestIdHeader: false,
    return503OnClosing: false,
  })
  app.addHook('onRequest', (_request, reply, done) => {
    reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff')
    done()
  })
  app.get('/livez', async () => ({ status: 'ok' }))
  app.get('/readyz', async (_request, reply) => {
    const { ready, waiting } = deps.readiness()
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ok' : 'waiting', waiting })
  })
  app.get('/metrics', async (_request, reply) => {
    const { type, text } = await deps.metrics()
    return reply.type(type).send(text)
  })
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ status: 'unknown' }))
  app.setErrorHandler((_error, _request, reply) => reply.code(500).send({ status: 'failed' }))
  return app
}
