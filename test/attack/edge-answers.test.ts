import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cookiesOf, type EdgeHost, edgeHost, fetching, jarOf, navigation } from '../harness/edge-host.ts'

let host: EdgeHost
beforeEach(async () => {
  host = await edgeHost()
})
afterEach(() => host.close())
const lines = (): string[] =>
  host.access.map(({ method, path, route, status, cut }) => `${method} ${path} ${route} ${status}${cut ? ' cut' : ''}`)
const lineCount = async (count: number): Promise<void> => {
  while (host.access.length < count) await new Promise((resolve) => setImmediate(resolve))
}

describe('a request that no handler ever saw leaves its access line', () => {
  it.each([
    ['POST', '/bff/logout', 'text/plain', 20_000, 413, 'guard'],
    ['POST', '/bff/logout', ',,,', 1, 400, 'guard'],
    ['POST', '/bff/nothing', 'text/plain', 20_000, 413, 'guard'],
    ['POST', '/api/orders', ',,,', 1, 400, 'guard'],
    ['POST', '/nowhere', 'text/plain', 20_000, 404, 'unknown'],
  ])('%s %s with a body of type %s and %i bytes: %i', async (method, path, type, bytes, status, route) => {
    const got = await host.ask(path, { method, headers: { ...fetching, 'content-type': type }, body: 'x'.repeat(bytes) })
    expect(got.status).toBe(status)
    await lineCount(1)
    expect(lines()).toEqual([`${method} ${path} ${route} ${status}`])
  })
})

it('a callback whose browser leaves while the code is redeemed is no 200 in the log', async () => {
  const started = await host.ask('/bff/login', { headers: navigation() })
  const state = new URL(String(started.headers.location)).searchParams.get('state') ?? ''
  host.access.length = 0
  const redeeming = Promise.withResolvers<void>()
  const finish = Promise.withResolvers<void>()
  host.broken.whileRedeeming = () => {
    redeeming.resolve()
    return finish.promise
  }
  const head = [`GET /bff/callback?${new URLSearchParams({ code: 'c', state }).toString()} HTTP/1.1`, `Host: localhost:${host.port}`]
  const socket = connect(host.port, '127.0.0.1')
  socket.write([...head, `Cookie: ${jarOf(...cookiesOf(started))}`, '', ''].join('\r\n'))
  await redeeming.promise
  socket.destroy()
  await lineCount(1)
  finish.resolve()
  await host.ask('/bff/nothing')
  expect(lines()).toEqual(['GET /bff/callback callback 499 cut', 'GET /bff/nothing unknown 404'])
})

it('a body whose browser leaves halfway is nobody’s alarm', async () => {
  const socket = connect(host.port, '127.0.0.1')
  const head = ['POST /bff/logout HTTP/1.1', `Host: localhost:${host.port}`, ...Object.entries(fetching).map((pair) => pair.join(': '))]
  socket.write([...head, 'Content-Type: text/plain', 'Content-Length: 5', 'Expect: 100-continue', '', 'ab'].join('\r\n'))
  await once(socket, 'data') // "Continue": the request is under way, and waits for the rest
  socket.resetAndDestroy()
  await lineCount(1)
  await host.ask('/bff/nothing')
  expect(lines()).toEqual(['POST /bff/logout guard 499 cut', 'GET /bff/nothing unknown 404'])
  expect(host.logged.filter(({ message }) => message === 'request failed')).toEqual([])
})

it.each([
  ['a prefetch', '/bff/login', { 'sec-purpose': 'prefetch' }, 503],
  ['a WebSocket', '/public/x', { upgrade: 'websocket', connection: 'upgrade' }, 501],
])('%s, which any page can start, is refused without a warning to the operator', async (_what, path, headers, status) => {
  const got = await host.ask(path, { headers: { ...navigation('cross-site'), ...(headers as Record<string, string>) } })
  expect(got.status).toBe(status)
  expect(host.warned).toEqual([])
  host.broken.provider = true
  expect((await host.ask('/bff/login', { headers: navigation() })).status).toBe(503)
  expect(host.warned).toEqual(['request answered with a problem'])
})
