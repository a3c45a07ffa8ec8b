import type { ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { type EdgeHost, type EdgeHostOptions, edgeHost } from '../harness/edge-host.ts'

let host: EdgeHost
const start = async (options: EdgeHostOptions = {}): Promise<void> => {
  host = await edgeHost(options)
}
afterEach(() => host.close())

const own = (): string => `localhost:${host.port}`
const get = (path: string, ...lines: string[]): string => [`GET ${path} HTTP/1.1`, `Host: ${own()}`, ...lines, '', ''].join('\r\n')

/** A browser of bytes that says only what it is told and never closes by itself. */
const dial = (options: { readonly reads?: boolean } = {}): Promise<Socket & { got: string; ended: Promise<void> }> =>
  new Promise((resolve, reject) => {
    const socket = Object.assign(connect({ port: host.port, host: '127.0.0.1', allowHalfOpen: true }), {
      got: '',
      ended: Promise.resolve(),
    })
    socket.ended = new Promise((done) => socket.once('close', () => done()).once('end', () => done()))
    socket.once('connect', () => resolve(socket))
    socket.on('error', reject)
    if (options.reads !== false) socket.setEncoding('utf8').on('data', (chunk: string) => void (socket.got += chunk))
  })
const until = async (what: () => boolean | Promise<boolean>): Promise<void> => {
  const end = Date.now() + 20_000
  while (!(await what())) {
    if (Date.now() > end) throw new Error('it did not come to that')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

describe('a connection that is left, or that somebody only pretends to use', () => {
  it('requests queued behind one that never ends are given up when their browser leaves', async () => {
    await start()
    const socket = await dial()
    socket.write(get('/public/events') + get('/public/a').repeat(20))
    await until(() => host.upstreamSaw.length === 21 && socket.got.includes('hello'))
    socket.resetAndDestroy()
    await until(() => host.inFlight() === 0)
    expect(host.access).toHaveLength(21)
  })

  it('a queued answer whose upstream fails halfway is accounted for, and its connection is not used on', async () => {
    const waiting: ServerResponse[] = []
    await start({
      upstream: (request, response) => {
        if (!request.url?.endsWith('/cut')) return void waiting.push(response)
        response.writeHead(200)
        response.write('half', () => request.socket.destroy())
      },
    })
    const socket = await dial()
    socket.write(get('/public/slow') + get('/public/cut'))
    await until(() => host.access.length === 1)
    expect(host.access[0]).toMatchObject({ path: '/public/cut', cut: true })
    await until(() => waiting.length === 1)
    waiting[0]?.end('slow')
    await until(async () => (await host.connections()) === 0)
    expect(socket.got.match(/^HTTP\/1\.1 /gm)).toHaveLength(1)
    expect([host.inFlight(), host.access.length]).toEqual([0, 2])
  })

  it('nonsense is answered, and then the connection is gone, whether the browser closes its side or not', async () => {
    await start()
    const socket = await dial()
    socket.write('nonsense\r\n\r\n')
    await until(() => socket.got.includes('HTTP/1.1 400'))
    await until(async () => (await host.connections()) === 0)
    expect(await host.connections()).toBe(0)
  })

  it('a browser that takes nothing for as long as a route may idle is cut, one that is only slow is not', async () => {
    const size = 32 << 20
    await start({
      idleMs: 1500,
      upstream: (_request, response) => void response.writeHead(200, { 'content-length': size }).end(Buffer.alloc(size)),
    })
    const still = await dial({ reads: false })
    still.write(get('/public/still'))
    const slow = await dial({ reads: false })
    slow.write(get('/public/slow'))
    await until(() => host.inFlight() === 2)
    let taken = 0
    // Often enough to open the window of the kernel's megabytes: what TCP keeps to itself is a standstill to whoever sends.
    const sips = setInterval(() => (taken += (slow.read() as Buffer | null)?.length ?? 0), 25)
    await until(() => host.access.length === 1)
    expect(host.access[0]).toMatchObject({ path: '/public/still', cut: true })
    const before = taken
    await new Promise((resolve) => setTimeout(resolve, 2000))
    clearInterval(sips)
    expect(taken).toBeGreaterThan(before)
    expect(host.access).toHaveLength(1)
    for (const socket of [still, slow]) socket.destroy()
  })
})

describe('what Node would answer by itself', () => {
  it.each([
    ['an expectation nobody knows', () => get('/bff/user', 'Expect: miracles', 'X-CSRF: 1', 'Connection: close'), 401],
    ['no host', () => 'GET /bff/user HTTP/1.1\r\n\r\n', 400],
    ['no host in HTTP/1.0', () => 'GET /bff/user HTTP/1.0\r\n\r\n', 400],
  ])('%s: is answered by the gateway, with a request id and an access line', async (_what, text, status) => {
    await start()
    const socket = await dial()
    socket.write(text())
    await until(() => host.access.length === 1)
    await socket.ended
    expect(socket.got).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(socket.got).toContain(`\r\nx-request-id: ${host.access[0]?.requestId ?? ''}\r\n`)
  })

  it('a path that cannot be decoded ends the connection too when it asks for an upgrade', async () => {
    await start()
    const socket = await dial()
    socket.write(get('/%zz', 'Connection: Upgrade', 'Upgrade: h2c') + get('/bff/user'))
    await socket.ended
    expect(socket.got.match(/^HTTP\/1\.1 /gm)).toHaveLength(1)
    expect(socket.got).toMatch(/\r\nconnection: close\r\n/i)
  })
})
