import { once } from 'node:events'
import type { AddressInfo, Server, Socket } from 'node:net'
import { createServer } from 'node:net'
import type { TlsOptions } from 'node:tls'
import { createServer as createTlsServer } from 'node:tls'

/** A request as it stood on the wire. */
export interface RawRequest {
  readonly line: string
  readonly method: string
  readonly target: string
  /** Lower-case name and value of each line, in order. */
  readonly headers: readonly (readonly [string, string])[]
  /** All values of a name. */
  all(name: string): readonly string[]
  /** The first value. */
  header(name: string): string | undefined
}

/** One request on one connection, and the pen to answer it with. */
export interface RawExchange {
  readonly request: RawRequest
  readonly socket: Socket
  write(text: string | Buffer): void
  /** The whole body, by Content-Length or chunked. */
  body(): Promise<Buffer>
  /** Reads so many bytes of body and keeps none; how many came. */
  discard(length: number): Promise<number>
  /** Resolves when the peer's end of the connection is gone. */
  closed(): Promise<void>
}

export type RawScript = (exchange: RawExchange) => void | Promise<void>

export interface RawUpstream {
  readonly url: URL
  /** Everything asked so far. */
  readonly requests: RawRequest[]
  /** What the next requests are answered with; `answer('…')` is the usual one. */
  script: RawScript
  /** Connections that are open. */
  open(): number
  close(): Promise<void>
}

export const answer =
  (head: string, body: string | Buffer = ''): RawScript =>
  ({ write }) => {
    const bytes = Buffer.from(body)
    write(
      Buffer.concat([Buffer.from(`${head.trim().replaceAll('\n', '\r\n')}\r\ncontent-length: ${bytes.length}\r\n\r\n`, 'latin1'), bytes]),
    )
  }
export const ok: RawScript = answer('HTTP/1.1 200 OK\ncontent-type: text/plain', 'ok')

/** An upstream that speaks bytes, not HTTP: it can say what no library would, and sees what no library shows. */
export const rawUpstream = async (options: { readonly tls?: TlsOptions } = {}): Promise<RawUpstream> => {
  const sockets = new Set<Socket>()
  const requests: RawRequest[] = []
  const onSocket = (socket: Socket): void => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    void converse(socket, requests, (exchange) => upstream.script(exchange))
  }
  const server: Server = options.tls ? createTlsServer(options.tls, onSocket) : createServer(onSocket)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const upstream: RawUpstream = {
    url: new URL(`${options.tls ? 'https' : 'http'}://127.0.0.1:${port}`),
    requests,
    script: ok,
    open: () => sockets.size,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  return upstream
}

/** Reads heads off one connection, one after the other; the script may read the body. */
const converse = async (socket: Socket, requests: RawRequest[], script: RawScript): Promise<void> => {
  let buffered = Buffer.alloc(0)
  let isEnded = false
  const waiting = new Set<() => void>() // a script may wait for the body and for the end at once
  const wake = (): void => {
    for (const resolve of waiting) resolve()
    waiting.clear()
  }
  socket.on('data', (chunk: Buffer) => {
    buffered = Buffer.concat([buffered, chunk])
    if (buffered.length > 1 << 20) socket.pause()
    wake()
  })
  const end = (): void => {
    isEnded = true
    wake()
  }
  socket.on('close', end).on('end', end)
  const more = (): Promise<void> =>
    new Promise((resolve) => {
      waiting.add(resolve)
      if (isEnded) wake()
      else socket.resume()
    })
  const take = async (length: number): Promise<Buffer> => {
    while (buffered.length < length && !isEnded) await more()
    const part = buffered.subarray(0, length)
    buffered = buffered.subarray(part.length)
    return part
  }
  const takeUntil = async (mark: string): Promise<string | undefined> => {
    for (;;) {
      const at = buffered.indexOf(mark)
      if (at >= 0) return (await take(at + mark.length)).subarray(0, at).toString('latin1')
      if (isEnded) return undefined
      await more()
    }
  }
  for (;;) {
    const head = await takeUntil('\r\n\r\n')
    if (head === undefined) return
    const request = parse(head)
    requests.push(request)
    await script({
      request,
      socket,
      write: (text) => void socket.write(text),
      body: async () => {
        if (request.header('transfer-encoding') !== 'chunked') return take(Number(request.header('content-length') ?? 0))
        const parts: Buffer[] = []
        for (;;) {
          const length = Number.parseInt((await takeUntil('\r\n')) ?? '0', 16)
          const part = await take(length)
          await takeUntil('\r\n')
          if (length === 0 || isEnded) return Buffer.concat([...parts, part])
          parts.push(part)
        }
      },
      discard: async (length) => {
        let came = 0
        while (came < length) {
          const part = buffered.subarray(0, length - came)
          buffered = buffered.subarray(part.length)
          came += part.length
          if (isEnded && part.length === 0) break
          if (part.length === 0) await more()
        }
        return came
      },
      closed: async () => {
        while (!isEnded) await more()
      },
    })
  }
}

const parse = (head: string): RawRequest => {
  const [line = '', ...lines] = head.split('\r\n')
  const [method = '', target = ''] = line.split(' ')
  const headers = lines.map((text) => {
    const colon = text.indexOf(':')
    return [text.slice(0, colon).toLowerCase(), text.slice(colon + 1).trim()] as const
  })
  const all = (name: string): readonly string[] => headers.filter(([one]) => one === name).map(([, value]) => value)
  return { line, method, target, headers, all, header: (name) => all(name)[0] }
}
