import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AccessToken } from '../../src/domain/token.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { ask, CANARY_TOKEN, parseAnswer, proxyHost, rawClient, type ProxyHost } from '../harness/proxy-host.ts'
import { a } from '../harness/the.ts'

const NEW = `canary-new-${'c3D4'.repeat(40)}`
const INVALID = { 'www-authenticate': 'Bearer error="invalid_token"' }
const another: AccessToken = a.accessToken({ token: Secret.of('access-token', NEW) })

interface Seen {
  readonly method: string
  readonly token: string
  readonly body: string
}

let server: Server
let host: ProxyHost
let seen: Seen[]
let refuse: (request: IncomingMessage, response: ServerResponse) => void

beforeEach(async () => {
  seen = []
  refuse = (_request, response) => response.writeHead(401, { ...INVALID, 'content-length': 2 }).end('no')
  server = createServer((request, response) => {
    let body = ''
    const token = (request.headers.authorization ?? '').replace('Bearer ', '')
    if (request.url?.endsWith('/early') && token === CANARY_TOKEN) {
      seen.push({ method: request.method ?? '', token, body: 'unread' })
      return refuse(request, response)
    }
    request.setEncoding('utf8').on('data', (chunk: string) => {
      body += chunk
    })
    request.on('end', () => {
      seen.push({ method: request.method ?? '', token, body })
      if (token === CANARY_TOKEN) return refuse(request, response)
      response.writeHead(200, { 'content-length': 4 + body.length }).end(`yes ${body}`)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  host = await proxyHost(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
})
afterEach(async () => {
  await host.close()
  server.closeAllConnections()
  server.close()
})

/** The gateway holds the first answer while the provider is asked, until the test says what came of that. */
const asked = (): { readonly isAsked: Promise<void>; answer(access: AccessToken | undefined): void } => {
  const isAsked = Promise.withResolvers<void>()
  const answered = Promise.withResolvers<AccessToken | undefined>()
  host.onRejected = () => {
    isAsked.resolve()
    return answered.promise
  }
  return { isAsked: isAsked.promise, answer: answered.resolve }
}

const replacing = (): number[] => {
  const asked: number[] = []
  host.onRejected = (rejection, mayRepeat) => {
    asked.push(rejection.status)
    return mayRepeat ? Promise.resolve(another) : undefined
  }
  return asked
}
const tokens = (): string[] => seen.map(({ token }) => (token === NEW ? 'new' : token === CANARY_TOKEN ? 'old' : token))

describe('a request whose token the upstream calls invalid', () => {
  it.each([
    ['GET', ''],
    ['DELETE', ''],
    ['PUT', 'a small body'],
    ['OPTIONS', ''],
  ])('is sent once more with another token: %s', async (method, body) => {
    const asked = replacing()
    const got = await ask(host.port, '/api/orders/1', body === '' ? [] : [`Content-Length: ${body.length}`], method, body)
    expect({ status: got.status, body: got.body }).toEqual({ status: 200, body: `yes ${body}` })
    expect(seen.map((one) => one.body)).toEqual([body, body])
    expect(tokens()).toEqual(['old', 'new'])
    expect(asked).toEqual([401])
    await host.logged(1)
    expect(host.entries.map(({ status }) => status)).toEqual([200])
  })

  it.each([
    ['POST, which is not idempotent', 'POST', ['Content-Length: 2'], 'ab'],
    ['POST without a body', 'POST', ['Content-Length: 0'], ''],
    ['PATCH', 'PATCH', ['Content-Length: 2'], 'ab'],
    ['PUT of unknown length', 'PUT', ['Transfer-Encoding: chunked'], '2\r\nab\r\n0\r\n\r\n'],
    ['PUT of more than is kept', 'PUT', [`Content-Length: ${64 * 1024 + 1}`], 'x'.repeat(64 * 1024 + 1)],
  ])('is not sent again: %s', async (_what, method, lines, body) => {
    replacing()
    const got = await ask(host.port, '/api/orders/1', lines, method, body)
    expect(got.status).toBe(401)
    expect(tokens()).toEqual(['old'])
  })

  it('is not sent a third time, and the second answer is the one that counts', async () => {
    const asked: boolean[] = []
    host.onRejected = (_rejection, mayRepeat) => {
      asked.push(mayRepeat)
      return Promise.resolve({ ...another, token: Secret.of('access-token', CANARY_TOKEN) })
    }
    const got = await ask(host.port, '/api/orders/1')
    expect({ status: got.status, body: got.body }).toEqual({ status: 401, body: 'no' })
    expect(seen).toHaveLength(2)
    expect(asked).toEqual([true, false])
  })

  it('gets the first answer whole where no other token came', async () => {
    const long = 'x'.repeat(300_000)
    refuse = (_request, response) => response.writeHead(401, { ...INVALID, 'x-why': 'expired', 'content-length': long.length }).end(long)
    const provider = asked()
    const got = ask(host.port, '/api/orders/1')
    await provider.isAsked
    provider.answer(undefined)
    expect((await got).body === long).toBe(true)
    expect((await got).header('x-why')).toBe('expired')
    expect(seen).toHaveLength(1)
  })

  // A HEAD's answer ends with its head, whatever stands still: it once became an empty 200.
  it.each<[string, string, (response: ServerResponse) => void]>([
    ['without a body', 'GET', (response) => void response.writeHead(401, { ...INVALID, 'content-length': 0 }).end()],
    ['to a HEAD', 'HEAD', (response) => void response.writeHead(401, { ...INVALID, 'content-length': 2 }).end()],
    ['in chunks', 'GET', (response) => void response.writeHead(401, INVALID).end('no')],
    ['with the connection', 'GET', (response) => void response.writeHead(401, { ...INVALID, connection: 'close' }).end('no')],
  ])('gets a first answer that ends %s while the provider is asked, as it came', async (_how, method, answerOf) => {
    refuse = (_request, response) => answerOf(response)
    for (const other of [undefined, another]) {
      seen = []
      const provider = asked()
      const got = ask(host.port, '/api/orders/1', [], method)
      await provider.isAsked
      await new Promise((resolve) => setTimeout(resolve, 10)) // what has arrived is read meanwhile
      provider.answer(other)
      expect((await got).status).toBe(other ? 200 : 401)
      expect(tokens()).toEqual(other ? ['old', 'new'] : ['old'])
    }
  })

  it('leaves nothing of the first answer in the second, a body of any size included', async () => {
    refuse = (_request, response) => {
      response.writeHead(401, { ...INVALID, 'x-first': 'canary', 'content-length': 10_000_000 })
      response.write('canary'.repeat(1000)) // and never ends
    }
    replacing()
    const got = await ask(host.port, '/api/orders/1')
    expect({ status: got.status, body: got.body, first: got.header('x-first') }).toEqual({ status: 200, body: 'yes ', first: undefined })
  })

  it('is forgotten when the browser leaves while the provider is asked', async () => {
    const provider = asked()
    const client = await rawClient(host.port)
    client.send('GET /api/orders/1 HTTP/1.1\r\nHost: shop.example\r\n\r\n')
    await provider.isAsked
    client.socket.destroy()
    await host.logged(1)
    provider.answer(another)
    await new Promise((resolve) => setImmediate(resolve))
    expect(seen).toHaveLength(1)
    expect(host.forwarder.inFlight()).toBe(0)
  })

  it('fails cleanly when the upstream cuts its answer while the provider is asked', async () => {
    refuse = (_request, response) => {
      response.writeHead(401, { ...INVALID, 'content-length': 100 })
      response.write('x', () => response.destroy())
    }
    const provider = asked()
    const got = ask(host.port, '/api/orders/1')
    await Promise.race([provider.isAsked, got])
    provider.answer(another)
    expect([200, 502]).toContain((await got).status)
    await host.logged(1)
    expect(host.forwarder.inFlight()).toBe(0)
  })

  it('with an upload that has not all arrived is not sent again', async () => {
    replacing()
    const client = await rawClient(host.port)
    client.send('PUT /api/orders/early HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\nContent-Length: 5000\r\n\r\nhalf')
    const got = parseAnswer(await client.until('no'))
    expect(got.status).toBe(401)
    expect(tokens()).toEqual(['old'])
    client.socket.destroy()
  })

  it('a second try that cannot reach the upstream is a 502', async () => {
    host.onRejected = () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve(another))
      })
    const got = await ask(host.port, '/api/orders/1')
    expect(got.status).toBe(502)
    await host.logged(1)
    expect(host.entries).toHaveLength(1)
  })
})

it('a 403 without a challenge is the API’s own no and nobody’s business', async () => {
  const asked = replacing()
  refuse = (_request, response) => response.writeHead(403).end('no')
  expect((await ask(host.port, '/api/orders/1')).status).toBe(403)
  expect(asked).toEqual([])
})
