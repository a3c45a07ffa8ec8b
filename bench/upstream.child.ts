import { createServer } from 'node:http'

/** 1 KiB of JSON for every request. Prints its port; ends with its parent. */
const body = Buffer.from(JSON.stringify({ rows: 'x'.repeat(1024 - 11) }))
const server = createServer({ keepAliveTimeout: 60_000 }, (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body)
})
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as { port: number }).port }))
process.once('disconnect', () => process.exit(0))
