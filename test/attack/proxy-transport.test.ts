import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import type { HostOptions, ProxyHost } from '../harness/proxy-host.ts'
import { ask, CANARY_TOKEN, exchangeRaw, parseAnswer, proxyHost, rawClient, SESSION } from '../harness/proxy-host.ts'
import type { RawUpstream } from '../harness/raw-upstream.ts'
import { answer, ok, rawUpstream } from '../harness/raw-upstream.ts'
import { instant } from '../../src/kernel/time.ts'

let upstream: RawUpstream
let host: ProxyHost
const start = async (options: HostOptions = {}): Promise<void> => {
  upstream = await rawUpstream()
  host = await proxyHost(upstream.url, options)
}
afterEach(async () => {
  await host.close()
  await upstream.close()
})

/** A barrier: `pass` opens it, `open` waits for it. */
const barrier = (): { readonly open: Promise<void>; pass(): void } => {
  let pass: () => void = () => {}
  const open = new Promise<void>((resolve) => (pass = resolve))
  return { open, pass }
}
const request = (lines: readonly string[] = [], target = '/api/orders', method = 'GET'): string =>
  [`${method} ${target} HTTP/1.1`, 'Host: shop.example', ...lines, '', ''].join('\r\n')
const md5 = (bytes: Buffer | string): string =>
  createHash('md5')
    .update(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
    .digest('hex')
/** Parses a complete chunked body; undefined when its last chunk is missing. */
const dechunked = (body: string): string | undefined => {
  let out = ''
  for (let at = 0; ; ) {
    const end = body.indexOf('\r\n', at)
    if (end < 0) return undefined
    const length = Number.parseInt(body.slice(at, end), 16)
    if (length === 0) return out
    out += body.slice(end + 2, end + 2 + length)
    at = end + 4 + length
  }
}

describe('path', () => {
  const corpus = readFileSync(new URL('../corpus/paths.txt', import.meta.url), 'latin1')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('# '))
    .map((line) =>
      Buffer.from(
        line.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
        'latin1',
      ),
    )
  it('no path of the corpus reaches the upstream, and none crashes the gateway', async () => {
    await start()
    for (const target of corpus) {
      const bytes = Buffer.concat([
        Buffer.from('GET '),
        target,
        Buffer.from(' HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n'),
      ])
      const { status } = parseAnswer(await exchangeRaw(host.port, bytes))
      expect([400, 404], target.toString('latin1')).toContain(status)
    }
    expect(upstream.requests).toHaveLength(0)
    expect((await ask(host.port, '/api/orders')).status).toBe(200)
  })
  it.each([
    '/api/orders',
    '/api/orders/',
    '/api/orders/caf%C3%A9/%20x',
    '/api/orders?x=%2f..%2f&&y=a;b',
    '/api/orders/7?',
    '/api/orders/a@b/~c',
  ])('%s arrives byte for byte', async (target) => {
    await start()
    expect((await ask(host.port, target)).status).toBe(200)
    expect(upstream.requests[0]?.target).toBe(target)
  })
  it.each`
    target               | upstreamPath | arrives
    ${'/api/orders'}     | ${''}        | ${'/'}
    ${'/api/orders/'}    | ${''}        | ${'/'}
    ${'/api/orders/7?x'} | ${''}        | ${'/7?x'}
    ${'/api/orders?x'}   | ${''}        | ${'/?x'}
    ${'/api/orders/7'}   | ${'/v2/o'}   | ${'/v2/o/7'}
  `('$target becomes $arrives under $upstreamPath', async ({ target, upstreamPath, arrives }) => {
    await start({ route: { upstreamPath } })
    await ask(host.port, target)
    expect(upstream.requests[0]?.target).toBe(arrives)
  })
})

describe('shapes', () => {
  it('HEAD keeps the length and sends no body', async () => {
    await start()
    upstream.script = ({ write }) => write('HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n')
    const got = await ask(host.port, '/api/orders', [], 'HEAD')
    expect([got.status, got.header('content-length'), got.body]).toEqual([200, '1234', ''])
  })
  it('204 has neither length nor body', async () => {
    await start()
    upstream.script = ({ write }) => write('HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n')
    const got = await ask(host.port, '/api/orders')
    expect([got.status, got.header('content-length'), got.body]).toEqual([204, undefined, ''])
  })
  it('304 with a Content-Length ends at its head', async () => {
    await start()
    upstream.script = ({ write }) => write('HTTP/1.1 304 Not Modified\r\netag: "x"\r\ncontent-length: 99\r\n\r\n')
    const got = await ask(host.port, '/api/orders')
    expect([got.status, got.header('etag'), got.body]).toEqual([304, '"x"', ''])
    upstream.script = ok
    expect((await ask(host.port, '/api/orders')).body).toBe('ok')
  })
  it('103 is swallowed, trailers too', async () => {
    await start()
    upstream.script = ({ write }) =>
      write(
        'HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\n\r\n',
      )
    const text = await exchangeRaw(host.port, request(['Connection: close']))
    expect(text.startsWith('HTTP/1.1 200')).toBe(true)
    expect(text).not.toContain('x-t')
    expect(dechunked(parseAnswer(text).body)).toBe('ok')
  })
  it.each`
    what                          | head
    ${'an unasked 101'}           | ${'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'}
    ${'two lengths that differ'}  | ${'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok'}
    ${'a length and chunks'}      | ${'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'}
    ${'something else than HTTP'} | ${'SSH-2.0-OpenSSH_9.2\r\n\r\n'}
    ${'a head without end'}       | ${`HTTP/1.1 200 OK\r\n${'x-a: b\r\n'.repeat(20_000)}`}
  `('$what is a 502 with a fixed body', async ({ head }) => {
    await start()
    upstream.script = ({ write, socket }) => {
      write(head)
      socket.end()
    }
    const got = await ask(host.port, '/api/orders')
    expect(got.status).toBe(502)
    expect(JSON.parse(got.body)).toEqual({
      type: 'urn:sallyport:problem:proxy.upstream-unreachable',
      title: 'The API could not be reached.',
      status: 502,
      code: 'proxy.upstream-unreachable',
      fix: 'Try again later.',
      request_id: 'req-1',
    })
    expect(got.header('content-type')).toBe('application/problem+json; charset=utf-8')
    expect(got.header('cache-control')).toBe('no-store')
  })
  it('a 503 passes as it is, asked once', async () => {
    await start()
    upstream.script = answer('HTTP/1.1 503 Busy\nretry-after: 7', 'busy')
    const got = await ask(host.port, '/api/orders')
    expect([got.status, got.header('retry-after'), got.body]).toEqual([503, '7', 'busy'])
    expect(upstream.requests).toHaveLength(1)
  })
  it('a pipelined pair is answered in order', async () => {
    await start()
    upstream.script = (exchange) => answer('HTTP/1.1 200 OK', exchange.request.target)(exchange)
    const text = await exchangeRaw(host.port, request([], '/api/orders/1') + request(['Connection: close'], '/api/orders/2'))
    expect(text.indexOf('/api/orders/1')).toBeGreaterThan(0)
    expect(text.indexOf('/api/orders/2')).toBeGreaterThan(text.indexOf('/api/orders/1'))
  })
  it('says Connection: close while draining', async () => {
    await start()
    host.isDraining = true
    expect(parseAnswer(await exchangeRaw(host.port, request())).header('connection')).toBe('close')
  })
})

describe('the browser leaves', () => {
  it('before the upstream answered a GET: the upstream hears of it', async () => {
    await start()
    const [arrived, left] = [barrier(), barrier()]
    upstream.script = async ({ closed }) => {
      arrived.pass()
      await closed()
      left.pass()
    }
    const client = await rawClient(host.port)
    client.send(request())
    await arrived.open
    client.socket.destroy()
    await left.open
    await host.logged(1)
    expect(host.entries[0]).toMatchObject({ status: 499, cut: true })
    expect(host.forwarder.inFlight()).toBe(0)
  })
  it('after a whole POST body', async () => {
    await start()
    const [arrived, left] = [barrier(), barrier()]
    upstream.script = async ({ body, closed }) => {
      await body()
      arrived.pass()
      await closed()
      left.pass()
    }
    const client = await rawClient(host.port)
    client.send(`${request(['Content-Length: 2'], '/api/orders', 'POST')}hi`)
    await arrived.open
    client.socket.destroy()
    await left.open
  })
  it.each([
    ['by length', ['Content-Length: 100'], 'half'],
    ['chunked', ['Transfer-Encoding: chunked'], '4\r\nhalf\r\n'],
  ])('in the middle of an upload, %s: never a complete request upstream', async (_how, lines, half) => {
    await start()
    const [arrived, left] = [barrier(), barrier()]
    let isComplete = false
    upstream.script = async ({ body, closed }) => {
      arrived.pass()
      void body().then((bytes) => (isComplete = bytes.length === 100))
      await closed()
      left.pass()
    }
    const client = await rawClient(host.port)
    client.send(request(lines, '/api/orders', 'POST') + half)
    await arrived.open
    client.socket.destroy()
    await left.open
    expect(isComplete).toBe(false)
    await host.logged(1)
    expect(host.entries).toHaveLength(1)
  })
  it('while the answer streams', async () => {
    await start()
    const left = barrier()
    upstream.script = async ({ write, closed }) => {
      write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n')
      await closed()
      left.pass()
    }
    const client = await rawClient(host.port)
    client.send(request())
    await client.until('first')
    client.socket.destroy()
    await left.open
    await host.logged(1)
    expect(host.entries[0]).toMatchObject({ status: 200, cut: true })
    expect(host.connections.count()).toBe(0)
  })
  it('while it does not read: the upstream is held back, then cut', async () => {
    await start()
    const left = barrier()
    let sent = 0
    let isStuck: () => void = () => {}
    const stuck = new Promise<void>((resolve) => (isStuck = resolve))
    upstream.script = async ({ socket, write, closed }) => {
      write('HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n')
      const chunk = Buffer.alloc(1 << 16)
      const pump = (): void => {
        while (sent < 200 << 20) {
          sent += chunk.length
          if (!socket.write(chunk)) return
        }
      }
      let last = -1
      const look = setInterval(() => {
        if (sent === last) isStuck()
        last = sent
      }, 300)
      socket.on('drain', pump)
      pump()
      await closed()
      clearInterval(look)
      left.pass()
    }
    const client = await rawClient(host.port)
    client.socket.pause()
    client.send(request())
    await stuck
    expect(sent).toBeLessThan(64 << 20) // what socket buffers on the way hold, not what there is
    client.socket.destroy()
    await left.open
    await host.logged(1)
  })
  it('while its token was still being fetched: the upstream never sees the request, and it is logged once', async () => {
    await start()
    const asked = barrier()
    host.beforeForward = async (response) => {
      const left = once(response, 'close')
      asked.pass()
      await left
    }
    const client = await rawClient(host.port)
    client.send(request())
    await asked.open
    client.socket.destroy()
    await host.logged(1)
    expect(host.entries).toHaveLength(1)
    expect(host.entries[0]).toMatchObject({ status: 499, cut: true })
    expect(upstream.requests).toHaveLength(0)
    expect(host.forwarder.inFlight()).toBe(0)
  })
  it('while its connection to the upstream is being made: nothing is written on it, and the next request may use it', async () => {
    await start()
    const slow = await slowTls()
    const other = await proxyHost(slow.url, { route: { tls: { caFile: CA_FILE, serverName: undefined } } })
    try {
      const client = await rawClient(other.port)
      client.send(request([], '/api/orders/abandoned'))
      await slow.connected.open
      client.socket.destroy()
      await other.logged(1)
      expect(other.entries[0]).toMatchObject({ status: 499 })
      slow.gate.pass()
      expect((await ask(other.port, '/api/orders/next')).status).toBe(200)
      expect(slow.targets).toEqual(['/api/orders/next'])
    } finally {
      await other.close()
      await slow.close()
    }
  })
})

const CA_FILE = fileURLToPath(new URL('../harness/tls/ca.pem', import.meta.url))
const tlsFile = (name: string): Buffer => readFileSync(new URL(`../harness/tls/${name}`, import.meta.url))
/** Accepts at once, shakes hands only after the gate. */
const slowTls = async () => {
  const [connected, gate] = [barrier(), barrier()]
  const targets: string[] = []
  const https = createHttpsServer({ key: tlsFile('server-key.pem'), cert: tlsFile('server.pem') }, (incoming, outgoing) => {
    targets.push(incoming.url ?? '')
    outgoing.end('ok')
  })
  const sockets: Socket[] = []
  const server = createServer(async (socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    connected.pass()
    await gate.open
    https.emit('connection', socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    ...{ connected, gate, targets },
    url: new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}`),
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

describe('the upstream fails', () => {
  it('refused: 502, and the body names no address', async () => {
    await start()
    await upstream.close()
    const got = await ask(host.port, '/api/orders')
    expect(got.status).toBe(502)
    expect(got.body).not.toMatch(/ECONN|127\.0|localhost|\d{4,5}/)
    expect(host.logs).toEqual([
      {
        facts: { requestId: 'req-1', route: 'api/orders', code: 'proxy.upstream-unreachable', cause: 'ECONNREFUSED' },
        message: 'upstream failed',
      },
    ])
    upstream = await rawUpstream()
  })
  it('refused while a body is on its way: the answer still arrives', async () => {
    await start()
    await upstream.close()
    const client = await rawClient(host.port)
    client.send(request(['Content-Length: 1000'], '/api/orders', 'POST') + 'part')
    const got = parseAnswer(await client.until('request_id'))
    expect([got.status, got.header('connection')]).toEqual([502, 'close'])
    await client.ended()
    upstream = await rawUpstream()
  })
  it.each([
    ['before the head', ''],
    ['in the head', 'HTTP/1.1 200 OK\r\ncontent-le'],
    ['between head and body', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n'],
  ])('dies %s: 502, asked once', async (_when, said) => {
    await start()
    upstream.script = ({ write, socket }) => {
      write(said)
      socket.end()
    }
    expect((await ask(host.port, '/api/orders')).status).toBe(502)
    expect(upstream.requests).toHaveLength(1)
  })
  it.each([
    ['by length', 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart'],
    ['chunked', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n'],
  ])('dies in the middle of the body, %s: a cut, never a short but complete answer', async (_how, said) => {
    await start()
    const sent = barrier()
    upstream.script = async ({ write, socket }) => {
      write(said)
      await sent.open
      socket.destroy()
    }
    const client = await rawClient(host.port)
    client.send(request())
    await client.until('part')
    sent.pass()
    const got = parseAnswer(await client.ended())
    expect(got.status).toBe(200)
    if (got.header('content-length') === undefined) expect(dechunked(got.body)).toBeUndefined()
    else expect(got.body.length).toBeLessThan(Number(got.header('content-length')))
    await host.logged(1)
    expect(host.entries[0]).toMatchObject({ status: 200, cut: true })
  })
  it.each([
    ['no head', ''],
    ['no byte of the body', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n'],
  ])('says %s in time: 504', async (_what, said) => {
    await start({ limits: { headersTimeoutMs: 300, bodyTimeoutMs: 300 } })
    upstream.script = ({ write }) => write(said)
    const got = await ask(host.port, '/api/orders')
    expect(got.status).toBe(504)
    expect(JSON.parse(got.body)).toMatchObject({ code: 'proxy.upstream-timeout' })
  })
  it('stalls in the middle of the body: a cut', async () => {
    await start({ limits: { bodyTimeoutMs: 300 } })
    upstream.script = ({ write }) => write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart')
    const got = parseAnswer(await exchangeRaw(host.port, request()))
    expect([got.status, got.body]).toEqual([200, 'part'])
  })
  it('accepts but never shakes hands: 504', async () => {
    await start()
    const slow = await slowTls()
    const other = await proxyHost(slow.url, { limits: { connectTimeoutMs: 400 } })
    try {
      expect((await ask(other.port, '/api/orders')).status).toBe(504)
    } finally {
      await other.close()
      await slow.close()
    }
  })
})

describe('TLS to the upstream is verified', () => {
  const tls = (cert: string) => rawUpstream({ tls: { key: tlsFile('server-key.pem'), cert: tlsFile(cert) } })
  it.each`
    what                                | cert                 | caFile       | serverName       | status
    ${'self-signed'}                    | ${'self-signed.pem'} | ${undefined} | ${undefined}     | ${502}
    ${'self-signed, with a CA file'}    | ${'self-signed.pem'} | ${CA_FILE}   | ${undefined}     | ${502}
    ${'an unknown CA'}                  | ${'server.pem'}      | ${undefined} | ${undefined}     | ${502}
    ${'a name that is not ours'}        | ${'other-name.pem'}  | ${CA_FILE}   | ${undefined}     | ${502}
    ${'its own CA, by file'}            | ${'server.pem'}      | ${CA_FILE}   | ${undefined}     | ${200}
    ${'its own CA and a server name'}   | ${'server.pem'}      | ${CA_FILE}   | ${'orders.test'} | ${200}
    ${'another name, as configured'}    | ${'other-name.pem'}  | ${CA_FILE}   | ${'other.test'}  | ${200}
    ${'not the configured server name'} | ${'server.pem'}      | ${CA_FILE}   | ${'other.test'}  | ${502}
  `('$what: $status', async ({ cert, caFile, serverName, status }) => {
    // Whoever starts a container with this variable must not switch our verification off.
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
    try {
      upstream = await tls(cert)
      host = await proxyHost(upstream.url, { route: { tls: { caFile, serverName } } })
      expect((await ask(host.port, '/api/orders')).status).toBe(status)
      expect(upstream.requests).toHaveLength(status === 200 ? 1 : 0)
    } finally {
      delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
    }
  })
})

describe('event streams', () => {
  it('the head arrives before any event, each event alone, and silence is not an error', async () => {
    await start({ limits: { bodyTimeoutMs: 300 } })
    const gates = [barrier(), barrier()]
    upstream.script = async ({ write }) => {
      write('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n')
      for (const [i, gate] of gates.entries()) {
        await gate.open
        write(`9\r\ndata: ${i}\n\n\r\n`)
      }
    }
    const client = await rawClient(host.port)
    client.send(request(['Accept: text/event-stream']))
    const head = await client.until('\r\n\r\n')
    expect(head).not.toContain('data:')
    expect(host.connections.count()).toBe(1)
    await new Promise((resolve) => setTimeout(resolve, 1200)) // longer than the body timeout, and than undici's clock ticks
    gates[0]?.pass()
    expect(await client.until('data: 0')).not.toContain('data: 1')
    gates[1]?.pass()
    await client.until('data: 1')
    client.socket.destroy()
    await host.logged(1)
    expect(host.connections.count()).toBe(0)
  })
  const openStream = async (options: HostOptions = {}, type = 'text/event-stream') => {
    await start(options)
    const left = barrier()
    upstream.script = async ({ write, closed }) => {
      write(`HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: 0\n\n\r\n`)
      await closed()
      left.pass()
    }
    const client = await rawClient(host.port)
    client.send(request(['Accept: text/event-stream']))
    await client.until('data: 0')
    return { client, left }
  }
  it('ends when its session ends, both ways, without a last chunk', async () => {
    const { client, left } = await openStream()
    expect(host.connections.endSession(SESSION)).toBe(1)
    expect(dechunked(parseAnswer(await client.ended()).body)).toBeUndefined()
    await left.open
    await host.logged(1)
    expect(host.entries[0]).toMatchObject({ cut: true, sessionRef: SESSION })
  })
  it('so does any other answer of unknown length', async () => {
    const { client, left } = await openStream({}, 'application/x-ndjson')
    host.connections.endSession(SESSION)
    await client.ended()
    await left.open
  })
  it('ends when the session’s time is over', async () => {
    const { client, left } = await openStream({ endsAt: instant(Date.now() + 2_000) })
    await client.ended()
    await left.open
  })
  it('does not begin when the session ended while the upstream was thinking', async () => {
    await start()
    const [arrived, gate] = [barrier(), barrier()]
    upstream.script = async ({ write }) => {
      arrived.pass()
      await gate.open
      write('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: 0\n\n\r\n')
    }
    const client = await rawClient(host.port)
    client.send(request())
    await arrived.open
    host.connections.endSession(SESSION)
    gate.pass()
    expect(await client.ended()).not.toContain('data: 0')
    await host.logged(1)
  })
  it('ends when the gateway drains', async () => {
    const { client } = await openStream()
    host.connections.endAll()
    await client.ended()
  })
})

describe('bodies', () => {
  const bytes = randomBytes(2_500_000)
  const chunked = (parts: Buffer): Buffer =>
    Buffer.concat([
      ...Array.from({ length: Math.ceil(parts.length / 50_000) }, (_, i) => {
        const part = parts.subarray(i * 50_000, (i + 1) * 50_000)
        return Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n')])
      }),
      Buffer.from('0\r\n\r\n'),
    ])
  it.each([
    ['by length', [`Content-Length: ${bytes.length}`], bytes],
    ['chunked', ['Transfer-Encoding: chunked'], chunked(bytes)],
  ])('2.5 MB arrive and come back unharmed, %s', async (how, lines, wire) => {
    await start()
    upstream.script = async ({ body, write, request: seen }) => {
      expect(seen.header(how === 'chunked' ? 'transfer-encoding' : 'content-length')).toBe(
        how === 'chunked' ? 'chunked' : String(bytes.length),
      )
      const got = await body()
      if (how === 'chunked') write(Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'), chunked(got)]))
      else write(Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${got.length}\r\n\r\n`), got]))
    }
    const text = await exchangeRaw(
      host.port,
      Buffer.concat([Buffer.from(request([...lines, 'Connection: close'], '/api/orders', 'POST')), wire]),
    )
    const got = parseAnswer(text)
    const body = got.header('content-length') === undefined ? dechunked(got.body) : got.body
    expect(md5(body ?? '')).toBe(md5(bytes))
    await host.logged(1)
    expect(host.entries[0]).toMatchObject({ bytes: bytes.length, cut: false })
  })
  it('an empty POST stays one, with its length', async () => {
    await start()
    await ask(host.port, '/api/orders', ['Content-Length: 0'], 'POST')
    expect(upstream.requests[0]?.header('content-length')).toBe('0')
  })
  it('a chunked upload over the limit: 413, and the upstream is cancelled', async () => {
    await start({ limits: { bodyBytesMax: 100_000 } })
    const [arrived, left] = [barrier(), barrier()]
    upstream.script = async ({ closed }) => {
      arrived.pass()
      await closed()
      left.pass()
    }
    const client = await rawClient(host.port)
    client.send(request(['Transfer-Encoding: chunked'], '/api/orders', 'POST') + `5\r\nfirst\r\n`)
    await arrived.open
    client.send(chunked(bytes.subarray(0, 150_000)))
    const got = parseAnswer(await client.until('request_id'))
    expect([got.status, got.header('connection')]).toEqual([413, 'close'])
    await left.open
    await client.ended()
  })
  it('a refusal during the upload reaches the browser', async () => {
    await start()
    upstream.script = ({ write }) => write('HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\n\r\nnope')
    const client = await rawClient(host.port)
    client.send(request(['Content-Length: 100000'], '/api/orders', 'POST') + 'part')
    const got = parseAnswer(await client.until('nope'))
    expect([got.status, got.header('connection')]).toEqual([403, 'close'])
    await client.ended()
  })
})

describe('memory stays flat', () => {
  const TOTAL = 256 << 20
  const CEILING = 120 << 20
  /** How far the resident set grew at most while `work` ran; client, gateway and upstream are all in this process. */
  const growth = async (work: () => Promise<void>): Promise<number> => {
    const before = process.memoryUsage().rss
    let most = before
    const look = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 20)
    await work()
    clearInterval(look)
    return most - before
  }
  it('while 256 MiB stream down', async () => {
    await start()
    upstream.script = async ({ write, socket }) => {
      write(`HTTP/1.1 200 OK\r\ncontent-length: ${TOTAL}\r\n\r\n`)
      const chunk = Buffer.alloc(1 << 16)
      for (let sent = 0; sent < TOTAL; sent += chunk.length)
        if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve))
    }
    let received = 0
    const grown = await growth(async () => {
      const response = await fetch(`http://127.0.0.1:${host.port}/api/orders`)
      for await (const chunk of response.body ?? []) received += chunk.length
    })
    expect(received).toBe(TOTAL)
    expect(grown).toBeLessThan(CEILING)
  })
  it('while 256 MiB stream up', async () => {
    await start({ limits: { bodyBytesMax: TOTAL } })
    let received = 0
    upstream.script = async ({ discard, write }) => {
      received = await discard(TOTAL)
      write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')
    }
    const client = await rawClient(host.port)
    const grown = await growth(async () => {
      client.send(request([`Content-Length: ${TOTAL}`], '/api/orders', 'POST'))
      const chunk = Buffer.alloc(1 << 16)
      for (let sent = 0; sent < TOTAL; sent += chunk.length)
        if (!client.socket.write(chunk)) await new Promise((resolve) => client.socket.once('drain', resolve))
      await client.until('200 OK')
    })
    expect(received).toBe(TOTAL)
    expect(grown).toBeLessThan(CEILING)
  })
})

describe('accounts', () => {
  it('one line per request whatever became of it, and no token in any of them', async () => {
    await start({ limits: { headersTimeoutMs: 300 } })
    await ask(host.port, '/api/orders?secret=query')
    await ask(host.port, '/api/orders', ['Content-Length: 99999999'], 'POST')
    upstream.script = ({ socket }) => void socket.destroy()
    await ask(host.port, '/api/orders')
    upstream.script = () => {}
    await ask(host.port, '/api/orders')
    const client = await rawClient(host.port)
    client.send(request())
    while (upstream.requests.length < 4) await new Promise((resolve) => setImmediate(resolve))
    client.socket.destroy()
    await host.logged(5)
    expect(host.entries.map(({ status, cut }) => [status, cut])).toEqual([
      [200, false],
      [413, false],
      [502, false],
      [504, false],
      [499, true],
    ])
    expect(host.entries[0]).toMatchObject({
      ...{ requestId: 'req-1', method: 'GET', route: 'api/orders', path: '/api/orders', bytes: 2, address: '127.0.0.1' },
      ...{ sessionRef: SESSION, principal: 'user' },
    })
    const written = JSON.stringify([host.entries, host.logs, host.counts])
    expect(written).not.toContain(CANARY_TOKEN.slice(0, 12))
    expect(written).not.toContain('secret=query')
    // The control: the token did go where it belongs.
    expect(upstream.requests[0]?.header('authorization')).toBe(`Bearer ${CANARY_TOKEN}`)
    expect(host.forwarder.inFlight()).toBe(0)
  })
  it('a forwarding whose token does not fit its route is refused, not sent', async () => {
    await start({ route: { token: { principal: 'none' } } })
    host.principal = 'user'
    const got = await ask(host.port, '/api/orders')
    expect(got.status).toBe(500)
    expect(upstream.requests).toHaveLength(0)
    expect(host.logs.map(({ message }) => message)).toEqual(['token does not fit the route'])
  })
})
