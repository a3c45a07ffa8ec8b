import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createRemoteJWKSet, jwtVerify, type JWTPayload } from 'jose'

/** An API behind the gateway that trusts nothing but the access token, verified with Keycloak's own keys, and says what it saw of it. */
export interface StrictApi {
  readonly url: string
  /** Claims of the tokens it was called with, the newest last. */
  readonly callers: readonly JWTPayload[]
  stop(): Promise<void>
}

export const startStrictApi = async (issuer: string, audience: string): Promise<StrictApi> => {
  const keys = createRemoteJWKSet(new URL(`${issuer}/protocol/openid-connect/certs`), { cooldownDuration: 1_000 })
  const callers: JWTPayload[] = []
  const callerOf = async ({ headers: { authorization = '' } }: IncomingMessage): Promise<JWTPayload | undefined> => {
    const token = /^Bearer (\S+)$/.exec(authorization)?.[1]
    if (token === undefined) return undefined
    const verified = await jwtVerify(token, keys, { issuer, audience, algorithms: ['RS256'] }).catch(() => undefined)
    return verified?.payload
  }
  const server = createServer((request, response) => {
    void callerOf(request).then((caller) => {
      if (caller) callers.push(caller)
      const { sub, aud, azp, client_id, sid, jti } = caller ?? {}
      response
        .writeHead(caller ? 200 : 401, { 'content-type': 'application/json' })
        .end(JSON.stringify(caller ? { sub, aud, azp, client_id, sid, jti } : { error: 'invalid_token' }))
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    callers,
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
