import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { afterEach, expect, it, vi } from 'vitest'
import { systemClock } from '../../../src/kernel/time.ts'
import { openRedis } from '../../../src/session/open-redis.ts'

const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`
const list = (...texts: string[]): string => `*${texts.length}\r\n${texts.map(bulk).join('')}`
const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
const open: Server[] = []
const sockets = new Set<Socket>()
afterEach(() => {
  for (const socket of sockets) socket.destroy()
  for (const server of open.splice(0)) server.close()
})

type Answer = (command: string, socket: Socket) => string
const speaking = async (answer: Answer): Promise<number> => {
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', (data) => {
      for (const [, name = ''] of data.toString().matchAll(/\*\d+\r\n\$\d+\r\n(\w+)\r\n/g)) socket.write(answer(name.toUpperCase(), socket))
    })
  }).listen(0, '127.0.0.1')
  open.push(server)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
/** A primary by its own account, as one is that has been replaced and was not told. While it is frozen it accepts connections, and answers when it goes on. */
const primary = async () => {
  const met = new Set<Socket>()
  const ready = new Set<Socket>()
  const held: (() => void)[] = []
  let frozen = false
  const reply = (command: string, socket: Socket): string => {
    if (command === 'HELLO') return `%1\r\n${bulk('role')}${bulk('master')}`
    if (command === 'INFO') return bulk('role:master\r\nloading:0\r\nrun_id:x\r\n')
    if (command === 'TIME') {
      ready.add(socket)
      return list(String(Math.floor(Date.now() / 1000)), '0')
    }
    if (command === 'SUBSCRIBE') ready.add(socket)
    return command === 'SUBSCRIBE' ? `*3\r\n${bulk('subscribe')}${bulk('c')}:1\r\n` : '+PONG\r\n'
  }
  const port = await speaking((command, socket) => {
    met.add(socket)
    if (!frozen) return reply(command, socket)
    held.push(() => void socket.write(reply(command, socket)))
    return ''
  })
  const freeze = (): void => void (frozen = true)
  const thaw = (): void => {
    frozen = false
    for (const answer of held.splice(0)) answer()
  }
  return { port, met, ready, freeze, thaw }
}

const world = async () => {
  const [old, fresh] = [await primary(), await primary()]
  const ears = new Set<Socket>()
  let named = old.port
  const sentinel = (names: () => number): Promise<number> =>
    speaking((command, socket) => {
      if (command === 'SENTINEL') return list('127.0.0.1', String(names()))
      if (command !== 'SUBSCRIBE') return '+PONG\r\n'
      ears.add(socket)
      return `*3\r\n${bulk('subscribe')}${bulk('+switch-master')}:1\r\n`
    })
  // The first that is asked never hears of a failover.
  const nodes = [await sentinel(() => old.port), await sentinel(() => named)].map((port) => ({ host: '127.0.0.1', port }))
  const { connection, channel } = openRedis(
    {
      settings: {
        sentinel: { name: 'main', nodes, username: undefined, passwordFile: undefined },
        tls: false,
        keyPrefix: 'test',
        username: undefined,
        passwordFile: undefined,
        caFile: undefined,
        serverName: undefined,
      },
      clock: systemClock,
      log: quiet,
      metrics: { count: () => {}, gauge: () => {}, observe: () => {} },
    },
    'events',
  )
  channel.start({ change: () => {}, armed: () => {}, lost: () => {}, beat: () => {} })
  await vi.waitFor(() => expect([old.ready.size, ears.size]).toEqual([2, 2]), 5_000)
  return {
    old,
    fresh,
    failOver: () => {
      named = fresh.port
      for (const socket of ears) socket.write(list('message', '+switch-master', `main 127.0.0.1 ${old.port} 127.0.0.1 ${fresh.port}`))
    },
    close: async () => {
      await channel.close()
      await connection.close()
    },
  }
}

// A sentinel that had not heard yet led the gateway back to the old primary, and its own message, the same as the first one's, was taken for a repetition:
// for ten seconds the gateway read and wrote, and sent refresh tokens, by a server whose writes are lost.
it('a sentinel that has not heard of the failover yet leads nobody back to the server that was replaced', async () => {
  const { old, fresh, failOver, close } = await world()
  failOver()
  await vi.waitFor(() => expect(fresh.ready.size).toBe(2), 8_000)
  await close()
  expect(old.met.size).toBe(2)
})

// Its kernel had accepted the connection; thawed, it answered as a primary, to a gateway that had been told of the other one while it waited.
it('a connection that waited for a frozen server is not used when that goes on after it was replaced', async () => {
  const { old, fresh, failOver, close } = await world()
  old.freeze()
  await vi.waitFor(() => expect(old.met.size).toBeGreaterThanOrEqual(4), 12_000) // both have come back, and wait
  old.ready.clear()
  failOver()
  old.thaw()
  await vi.waitFor(() => expect(fresh.ready.size).toBe(2), 8_000)
  await close()
  expect([...old.ready].filter((socket) => !socket.destroyed)).toEqual([])
})
