import { Socket } from 'node:net'

/**
 * Loaded into a gateway before its first line (`--import`): moves its clock, and gives it a loopback address of its own to connect from, so that a proxy
 * in between knows who speaks. The gateway itself is the one that is shipped.
 */
const offset = Number(process.env['CLOCK_OFFSET_MS'] ?? 0)
const localAddress = process.env['CONNECT_FROM']

if (offset !== 0) {
  const now = Date.now.bind(Date)
  const moved = (): number => now() + offset
  globalThis.Date = new Proxy(Date, {
    construct: (target, given: [], newTarget) => Reflect.construct(target, given.length === 0 ? [moved()] : given, newTarget) as object,
    apply: () => new Date(moved()).toString(),
    get: (target, name, receiver) => (name === 'now' ? moved : (Reflect.get(target, name, receiver) as unknown)),
  })
}

if (localAddress !== undefined) {
  const { connect } = Socket.prototype
  Socket.prototype.connect = function (this: Socket, ...given: unknown[]): Socket {
    // `net.connect` hands over its arguments already sorted: [[options, callback]].
    const options = (Array.isArray(given[0]) ? (given[0] as unknown[])[0] : given[0]) as Record<string, unknown> | undefined
    if (typeof options === 'object' && options !== null && options['host'] === '127.0.0.1') options['localAddress'] = localAddress
    return Reflect.apply(connect, this, given) as Socket
  } as typeof connect
}
