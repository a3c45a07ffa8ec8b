import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What only the signed-in person should ever see. */
export const PRIVATE = 'the private row of Ada'

/** One request as the API behind the gateway saw it. */
export interface Arrival {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
}

const PIXEL = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64')

/** The API: told by the path what to be. It trusts whoever comes with a token; who comes is what the tests look at. */
export const startSitesUpstream = async () => {
  const arrivals: Arrival[] = []
  const server = createServer((request, response) => {
    const { method = '', url: path = '/', headers } = request
    arrivals.push({ method, path, headers })
    request.resume()
    if (path.startsWith('/api/events')) {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: hello\n\n')
      return
    }
    const [type, body] = answers(path, headers)
    response.writeHead(200, { 'content-type': type, ...extras(path) }).end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    arrivals,
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

const answers = (path: string, headers: IncomingHttpHeaders): readonly [type: string, body: string | Buffer] => {
  if (path.startsWith('/api/pixel')) return ['image/gif', PIXEL]
  if (path.startsWith('/api/script')) return ['text/javascript', 'globalThis.scriptRan = true']
  // The control of the canary search: an API that is careless with what it was given.
  if (path.startsWith('/api/leak')) return ['text/plain', `you sent ${headers.authorization ?? 'nothing'}`]
  return ['text/plain', PRIVATE]
}

const extras = (path: string): Record<string, string> => ({
  ...(path.startsWith('/api/download') && { 'content-disposition': 'attachment; filename="report.txt"' }),
  ...(path.startsWith('/api/cached') && { 'cache-control': 'private, max-age=600' }),
})

/**
 * A small frontend: one shell for every path, as applications are built today. It shows where it is and who is signed in, and below /app the private row.
 * Each file by its name; the shell also stands for paths that only its own script knows.
 */
export const FRONTEND: Readonly<Record<string, string>> = {
  'index.html': `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>The application</title><script type="module" src="/spa.js"></script></head>
<body><h1>The application</h1><p id="here"></p><p id="who"></p><p id="row"></p>
<form id="out" method="post" action="/bff/logout"><button>Sign out</button></form></body></html>
`,
  'spa.js': `const show = (id, text) => { document.getElementById(id).textContent = text }
const ask = (path) => fetch(path, { headers: { 'x-csrf': '1' } })
show('here', location.pathname + location.search + location.hash)
const user = await ask('/bff/user')
if (location.pathname.startsWith('/app') && user.ok) show('row', await (await ask('/api/row')).text())
show('who', user.ok ? 'signed in as ' + (await user.json()).claims.sub : 'signed out')
`,
}
