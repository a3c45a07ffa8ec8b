import { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { canStartRedis, keyPrefix, sharedRedisUrl, startRedis } from '../harness/redis.ts'

/** The tests of outages stand on these promises of the harness. */
const connect = (url: string): Redis => new Redis(url, { retryStrategy: () => 50, maxRetriesPerRequest: null, commandTimeout: 500 })

describe.skipIf(!canStartRedis)('a Redis of our own', () => {
  it('keeps what it acknowledged when it is killed and restarted', async () => {
    const server = await startRedis()
    const client = connect(server.url)
    client.on('error', () => {})
    try {
      await client.set('a', '1')
      const before = server.pid
      await server.kill()
      await server.restart()
      expect(server.pid).not.toBe(before)
      const again = connect(server.url)
      expect(await again.get('a')).toBe('1')
      again.disconnect()
    } finally {
      client.disconnect()
      await server.stop()
    }
  })

  it('answers nothing while it is frozen, and everything afterwards', async () => {
    const server = await startRedis()
    const client = connect(server.url)
    client.on('error', () => {})
    try {
      await client.set('a', '1')
      server.freeze()
      await expect(client.get('a')).rejects.toThrow('Command timed out')
      server.thaw()
      expect(await client.get('a')).toBe('1')
    } finally {
      client.disconnect()
      await server.stop()
    }
  })
})

it.skipIf(!sharedRedisUrl)('gives every caller keys of its own', async () => {
  expect(keyPrefix()).not.toBe(keyPrefix())
  const client = connect(sharedRedisUrl ?? '')
  expect(await client.ping()).toBe('PONG')
  client.disconnect()
})
