import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { expect, it, vi } from 'vitest'
import { between, followingClock, instant, minutes, systemClock } from '../../../src/kernel/time.ts'
import { connectRedis } from '../../../src/session/connection-redis.ts'

const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`
const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/** Speaks as much of Redis as a connection asks for; its clock is an hour behind, and its first TIME is refused. */
const oneHourBehind = async () => {
  let times = 0
  const answer = (command: string): string => {
    if (command === 'INFO') return bulk('role:master\r\nloading:0\r\n')
    if (command === 'HELLO') return `%1\r\n${bulk('role')}${bulk('master')}`
    if (command === 'GET') return '$-1\r\n'
    if (command !== 'TIME') return '-ERR unknown command\r\n'
    times += 1
    if (times === 1) return '-NOPERM not yet\r\n'
    const now = instant(Date.now() - minutes(60))
    return `*2\r\n${bulk(String(Math.floor(now / 1000)))}${bulk(String((now % 1000) * 1000))}`
  }
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (data) => {
      for (const [, name = ''] of data.toString().matchAll(/\*\d+\r\n\$\d+\r\n(\w+)\r\n/g)) socket.write(answer(name.toUpperCase()))
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, port: (server.address() as AddressInfo).port }
}

it('a connection that came up before the clock was set back is not up only in an hour', async () => {
  const { server, port } = await oneHourBehind()
  const clock = followingClock(systemClock)
  const redis = connectRedis({
    settings: {
      url: `redis://127.0.0.1:${port}/0`,
      keyPrefix: 'test',
      username: undefined,
      passwordFile: undefined,
      caFile: undefined,
      serverName: undefined,
    },
    clock,
    log: quiet,
    metrics: { count: () => {}, gauge: () => {}, observe: () => {} },
    onClock: clock.correct,
  })
  await vi.waitFor(async () => expect(await redis.call('get', (client) => client.get('x'))).toBeNull(), 5_000)
  await vi.waitFor(() => expect(clock.now()).toBeLessThan(Date.now() - minutes(59)), 10_000)
  const ago = between(redis.connectedSince(), clock.now())
  await redis.close()
  server.close()
  expect(ago).toBeGreaterThanOrEqual(0)
  expect(ago).toBeLessThan(minutes(1))
})
