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
/** A primary by its own account, as one is that has been replaced and was not told. */
const primary = (met: Set<Socket>): Promise<number> =>
  speaking((command, socket) => {
    met.add(socket)
    if (command === 'HELLO') return `%1\r\n${bulk('role')}${bulk('master')}`
    if (command === 'INFO') return bulk('role:master\r\nloading:0\r\nrun_id:x\r\n')
    if (command === 'TIME') return list(String(Math.floor(Date.now() / 1000)), '0')
    if (command === 'SUBSCRIBE') return `*3\r\n${bulk('subscribe')}${bulk('c')}:1\r\n`
    return '+PONG\r\n'
  })

// A sentinel that had not heard yet led the gateway back to the old primary, and its own message, the same as the first one's, was taken for a repetition:
// for ten seconds the gateway read and wrote, and sent refresh tokens, by a server whose writes are lost.
it('a sentinel that has not heard of the failover yet leads nobody back to the server that was replaced', async () => {
  const [metOld, metNew] = [new Set<Socket>(), new Set<Socket>()]
  const [oldPort, newPort] = [await primary(metOld), await primary(metNew)]
  const ears = new Set<Socket>()
  const sentinel = (names: () => number): Promise<number> =>
    speaking((command, socket) => {
      if (command === 'SENTINEL') return list('127.0.0.1', String(names()))
      if (command !== 'SUBSCRIBE') return '+PONG\r\n'
      ears.add(socket)
      return `*3\r\n${bulk('subscribe')}${bulk('+switch-master')}:1\r\n`
    })
  let now = oldPort
  // The first that is asked never hears of it.
  const nodes = [await sentinel(() => oldPort), await sentinel(() => now)].map((port) => ({ host: '127.0.0.1', port }))
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
  await vi.waitFor(() => expect([metOld.size, ears.size]).toEqual([2, 2]), 5_000)
  now = newPort
  for (const socket of ears) socket.write(list('message', '+switch-master', `main 127.0.0.1 ${oldPort} 127.0.0.1 ${newPort}`))
  await vi.waitFor(() => expect(metNew.size).toBe(2), 8_000)
  await channel.close()
  await connection.close()
  expect(metOld.size).toBe(2)
})
