import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** What happens to what one gateway says to its store, and hears from it. */
export interface Line {
  /** Milliseconds that each piece is held back, in both directions. */
  delay: number
  /** Nothing passes, and nobody is told. */
  silent: boolean
  /** The next answers are cut off after so many bytes, and the connection with them. */
  cutAfter: number | undefined
}

export type Direction = 'to-store' | 'from-store'

export interface TcpProxy {
  /** One for each target, in their order. */
  readonly ports: readonly number[]
  line(gateway: number): Line
  /** Cuts every connection of this gateway now. */
  cut(gateway: number): void
  /** Called with every piece before it passes; `false` holds it back for good. */
  watch: ((gateway: number, direction: Direction, piece: Buffer, connection: object) => boolean) | undefined
  stop(): Promise<void>
}

/** Each gateway connects from a loopback address of its own (gateway-preload.child.ts): 127.0.1.1 is the first. */
export const addressOf = (gateway: number): string => `127.0.1.${gateway + 1}`
export const gatewayAt = (address: string | undefined): number => Number(/^(?:::ffff:)?127\.0\.1\.(\d+)$/.exec(address ?? '')?.[1] ?? 0) - 1

/** Stands between the gateways and their Redis; knows nothing of the protocol but bytes. */
export const startTcpProxy = async (targets: readonly number[]): Promise<TcpProxy> => {
  const lines = new Map<number, Line>()
  const sockets = new Map<Socket, number>()
  const lineOf = (gateway: number): Line => {
    const line = lines.get(gateway) ?? { delay: 0, silent: false, cutAfter: undefined }
    lines.set(gateway, line)
    return line
  }
  const between = (client: Socket, target: number): void => {
    const gateway = gatewayAt(client.remoteAddress)
    const store = connect(target, '127.0.0.1')
    const pass = (from: Socket, to: Socket, direction: Direction): void => {
      from.setNoDelay(true)
      sockets.set(from, gateway)
      let before = Promise.resolve()
      let waiting = 0
      from.on('data', (whole: Buffer) => {
        const line = lineOf(gateway)
        if (line.silent || proxy.watch?.(gateway, direction, whole, client) === false) return
        const cut = direction === 'from-store' ? line.cutAfter : undefined
        if (cut !== undefined) line.cutAfter = undefined
        const piece = cut === undefined ? whole : whole.subarray(0, cut)
        const write = (): void => {
          if (!to.destroyed) to.write(piece)
          if (cut !== undefined) to.end(() => from.destroy())
        }
        if (waiting === 0 && line.delay === 0) return write()
        waiting += 1
        const due = performance.now() + line.delay
        before = before.then(async () => {
          const left = due - performance.now()
          if (left > 0) await new Promise((resolve) => setTimeout(resolve, left))
          waiting -= 1
          write()
        })
      })
      from.on('error', () => from.destroy())
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
    pass(client, store, 'to-store')
    pass(store, client, 'from-store')
  }
  const servers = targets.map((target) => createServer((client) => between(client, target)).listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const proxy: TcpProxy = {
    ports: servers.map((server) => (server.address() as AddressInfo).port),
    line: lineOf,
    cut: (gateway) => {
      for (const [socket, its] of sockets) if (its === gateway) socket.destroy()
    },
    watch: undefined,
    stop: async () => {
      const closed = servers.map((server) => once(server.close(), 'close'))
      for (const socket of sockets.keys()) socket.destroy()
      await Promise.all(closed)
    },
  }
  return proxy
}
