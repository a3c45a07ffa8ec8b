import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { connect, createServer } from 'node:tls'
import type { SelfSigned } from './self-signed.ts'

/** One request and all that came back for it, as bytes on the wire; latin1, so that no byte is lost. Grows while the answer streams. */
export interface Exchange {
  readonly sent: string
  readonly received: string
}

export interface TlsTap {
  readonly port: number
  readonly exchanges: readonly Exchange[]
  /** Where connections go from now on: a TLS server on loopback with the same certificate. */
  leadTo(port: number): void
  stop(): Promise<void>
}

/** Stands between the browser and the gateway, ends TLS on both sides and writes down every byte: what no browser API would show is in here as well. */
export const startTlsTap = async ({ certificate, key }: Pick<SelfSigned, 'certificate' | 'key'>): Promise<TlsTap> => {
  const exchanges: { sent: string; received: string }[] = []
  const sockets = new Set<Socket>()
  let target = 0
  const server = createServer({ cert: certificate, key, ALPNProtocols: ['http/1.1'] }, (browser) => {
    const gateway = connect({ host: '127.0.0.1', port: target, ca: certificate, servername: 'localhost' })
    let current: { sent: string; received: string } | undefined
    browser.on('data', (chunk: Buffer) => {
      // No browser pipelines: bytes from it after bytes to it are the next request.
      if (!current || current.received !== '') exchanges.push((current = { sent: '', received: '' }))
      current.sent += chunk.toString('latin1')
    })
    gateway.on('data', (chunk: Buffer) => {
      if (current) current.received += chunk.toString('latin1')
    })
    browser.pipe(gateway)
    gateway.pipe(browser)
    for (const [one, other] of [
      [browser, gateway],
      [gateway, browser],
    ] as const) {
      sockets.add(one)
      one.on('error', () => one.destroy())
      one.on('close', () => {
        sockets.delete(one)
        other.destroy()
      })
    }
  })
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    exchanges,
    leadTo: (port) => (target = port),
    stop: async () => {
      server.close()
      for (const socket of [...sockets]) socket.destroy()
      await once(server, 'close')
    },
  }
}

export interface HeardExchange {
  readonly method: string
  /** Path and query as sent. */
  readonly target: string
  readonly status: number
  readonly setCookies: readonly string[]
  request(header: string): string | undefined
  response(header: string): string | undefined
}

export const heard = ({ sent, received }: Exchange): HeardExchange => {
  const [first = '', ...requestLines] = headOf(sent)
  const [method = '', target = ''] = first.split(' ')
  const [status = '', ...responseLines] = headOf(received)
  return {
    method,
    target,
    status: Number(status.split(' ')[1] ?? 0),
    setCookies: valuesOf(responseLines, 'set-cookie'),
    request: (name) => valuesOf(requestLines, name)[0],
    response: (name) => valuesOf(responseLines, name)[0],
  }
}

const headOf = (text: string): string[] => text.slice(0, Math.max(0, text.indexOf('\r\n\r\n'))).split('\r\n')
const valuesOf = (lines: readonly string[], name: string): string[] =>
  lines.filter((line) => line.toLowerCase().startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trim())
