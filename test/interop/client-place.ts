import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** The place of a client that has no gateway: takes notices of Keycloak's, and shows a JWKS. */
export interface ClientPlace {
  readonly url: string
  /** Bodies of the logout notices so far. */
  readonly notices: string[]
  keys: readonly unknown[]
  /** How often the keys were asked for. */
  asked(): number
  stop(): Promise<void>
}
export const startClientPlace = async (): Promise<ClientPlace> => {
  const notices: string[] = []
  let asked = 0
  const place = { keys: [] as readonly unknown[] }
  const server = createServer((request, response) => {
    if (request.url === '/jwks') {
      asked += 1
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: place.keys }))
      return
    }
    let body = ''
    request.on('data', (chunk) => (body += String(chunk)))
    request.on('end', () => {
      notices.push(body)
      response.writeHead(200).end()
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return Object.assign(place, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    notices,
    asked: () => asked,
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  })
}
