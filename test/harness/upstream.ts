import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** An upstream that is told by the path what to do: `…/held` answers when released, `…/events` streams without end, `…/echo` repeats what it was sent. */
export interface Upstream {
  readonly url: string
  readonly seen: { readonly path: string; readonly headers: IncomingHttpHeaders }[]
  /** Requests that wait for `release`. */
  held(): number
  release(): void
  stop(): Promise<void>
}

export const startUpstream = async (): Promise<Upstream> => {
  const seen: Upstream['seen'] = []
  const waiting = new Set<ServerResponse>()
  const server = createServer((request, response) => {
    const path = request.url ?? '/'
    seen.push({ path, headers: request.headers })
    request.resume()
    if (path.endsWith('/held')) {
      waiting.add(response)
    } else if (path.endsWith('/events')) {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: open\n\n')
    } else {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify(path.endsWith('/echo') ? { headers: request.headers } : { path }))
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    held: () => waiting.size,
    release: () => {
      for (const response of waiting) response.writeHead(200).end('done')
      waiting.clear()
    },
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
