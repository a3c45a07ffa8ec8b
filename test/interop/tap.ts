import { once } from 'node:events'
import { createServer, request as send, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * Stands before Keycloak and sees what a thief on its machine would see. Keycloak calls itself by the Host it is asked under, so the tap's address is
 * an issuer like any other.
 */
export interface Tap {
  readonly url: string
  /** Refresh tokens as they were spent, in order. */
  readonly spent: readonly string[]
  /** The newest that was handed out. */
  newest(): string
  /** The next refresh reaches Keycloak, and its answer nobody. */
  loseNextRotation(): void
  stop(): Promise<void>
}

const bodyOf = async (message: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

export const startTap = async (target: string): Promise<Tap> => {
  const { hostname, port } = new URL(target)
  const spent: string[] = []
  let newest = ''
  let losesNext = false
  const server = createServer((inbound, outbound) => {
    const pass = async (): Promise<void> => {
      const body = await bodyOf(inbound)
      const form = new URLSearchParams(inbound.url?.endsWith('/token') ? body.toString() : '')
      const token = form.get('grant_type') === 'refresh_token' ? form.get('refresh_token') : null
      if (token !== null) spent.push(token)
      const loses = token !== null && losesNext
      if (loses) losesNext = false
      const onward = send({ hostname, port, path: inbound.url, method: inbound.method, headers: inbound.headers, agent: false })
      onward.end(body)
      const [answer] = (await once(onward, 'response')) as [IncomingMessage]
      const answered = await bodyOf(answer)
      if (loses) return void outbound.destroy()
      newest = /"refresh_token":"([^"]+)"/.exec(form.size > 0 ? answered.toString() : '')?.[1] ?? newest
      outbound.writeHead(answer.statusCode ?? 502, answer.headers).end(answered)
    }
    pass().catch(() => outbound.destroy())
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spent,
    newest: () => newest,
    loseNextRotation: () => {
      losesNext = true
    },
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
