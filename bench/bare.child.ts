import { fastify } from 'fastify'
import { Pool, type Dispatcher } from 'undici'

/** What Node can do at best with these libraries: one fastify route that dispatches to the upstream. No session, no rules, no log, no metrics. */
const pool = new Pool(process.argv[2] ?? '', { connections: null, pipelining: 1 })
const app = fastify()
app.get('/*', (request, reply) => {
  reply.hijack()
  const response = reply.raw
  const handler: Dispatcher.DispatchHandler = {
    onRequestStart: () => undefined,
    onResponseStart: (_controller, status, headers) => void response.writeHead(status, headers as Record<string, string | string[]>),
    onResponseData: (_controller, chunk) => void response.write(chunk),
    onResponseEnd: () => void response.end(),
    onResponseError: () => void response.destroy(),
  }
  pool.dispatch({ method: 'GET', path: request.raw.url ?? '/', headers: { host: 'upstream' } }, handler)
})
await app.listen({ port: 0, host: '127.0.0.1' })
process.send?.({ port: (app.server.address() as { port: number }).port })
process.once('disconnect', () => process.exit(0))
