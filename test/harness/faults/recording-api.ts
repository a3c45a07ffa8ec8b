import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { SeenToken } from './history.ts'
import { claimsOf } from './provider-proxy.ts'

/** An upstream that tells each caller which token its request carried. Believes everything: what is wrong is for the checker to say. */
export interface RecordingApi {
  readonly url: string
  stop(): Promise<void>
}

export const startRecordingApi = async (): Promise<RecordingApi> => {
  const server = createServer((request, response) => {
    const { sub = '', aud = '', jti = '', exp = 0 } = claimsOf((request.headers.authorization ?? '').replace(/^Bearer /, ''))
    request.resume()
    const seen: SeenToken = { subject: sub, audience: aud, token: jti, expired: exp * 1000 < Date.now() }
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ seen }))
  })
  server.keepAliveTimeout = 60_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
