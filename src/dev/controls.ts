import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { sendJson, targetOf } from './api.ts'
import type { DemoApis } from './apis.ts'
import type { DevProvider } from './provider.ts'

export interface DemoControls {
  readonly url: string
  stop(): Promise<void>
}

export interface DemoControlsDeps {
  readonly apis: DemoApis
  readonly provider: Pick<DevProvider, 'away' | 'back' | 'isAway'>
  readonly accessTokenSeconds: number
}

/**
 * What only a demo has: the APIs' audit logs to look at, and a switch for the provider. Reached by `principal: none` routes, which the gateway does
 * not guard against other sites; hence a header of our own, which a page elsewhere cannot add without a preflight that nobody answers.
 */
export const startDemoControls = async (deps: DemoControlsDeps): Promise<DemoControls> => {
  const { apis, provider } = deps
  const state = () => ({ provider: provider.isAway() ? 'away' : 'up', access_token_seconds: deps.accessTokenSeconds })
  const actions: Readonly<Record<string, () => Promise<void>>> = {
    '/controls/provider/away': () => provider.away(),
    '/controls/provider/back': () => provider.back(),
  }

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method, path } = targetOf(request)
    // The gateway names us by our address: any other name is a page that made its own name point here.
    if (request.headers.host !== host) return sendJson(response, 421, { error: 'unknown host' })
    if (method === 'GET' && path === '/controls') return sendJson(response, 200, state())
    if (method === 'GET' && path === '/audit') {
      const { orders, customers, inventory } = apis
      return sendJson(response, 200, { orders: orders.audit, customers: customers.audit, inventory: inventory.audit })
    }
    const action = method === 'POST' ? actions[path] : undefined
    if (!action) return sendJson(response, 404, { error: 'not found' })
    if (request.headers['x-demo'] !== '1') return sendJson(response, 403, { error: 'send the header X-Demo: 1' })
    await action()
    sendJson(response, 200, state())
  }

  const server = createServer((request, response) => {
    void handle(request, response).catch(() => sendJson(response, 503, { error: 'the port of the provider is taken' }))
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: `http://${host}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
