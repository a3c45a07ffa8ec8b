import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer as createPlainServer } from 'node:net'
import { createServer } from 'node:tls'
import { afterEach, expect, it, vi } from 'vitest'
import { openClient } from '../../../src/session/client-redis.ts'
import { recordingLog } from '../../harness/provider-room.ts'
import { selfSigned } from '../../harness/self-signed.ts'

afterEach(() => void vi.unstubAllEnvs())

it('the environment cannot switch off the verification of Redis', async () => {
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
  const pair = selfSigned({ kind: 'ec' })
  let received = 0
  const server = createServer({ cert: pair.certificate, key: pair.key }, (socket) => {
    socket.on('error', () => undefined).on('data', (chunk: Buffer) => (received += chunk.length))
  })
  server.on('tlsClientError', () => undefined)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = `rediss://127.0.0.1:${(server.address() as AddressInfo).port}`
  const settings = { url, username: undefined, passwordFile: undefined, caFile: undefined, serverName: 'localhost', keyPrefix: 't' }
  const client = openClient({ settings, log: recordingLog().log })
  client.on('connect', () => void client.ping().catch(() => undefined))
  const failed = new Promise<void>((resolve) => client.once('close', () => resolve()))
  client.connect().catch(() => undefined)
  await failed
  client.disconnect()
  server.close()
  expect(received).toBe(0)
})

it('a second error of one connection, as a TLS server that refuses us after the handshake makes it, ends nothing', async () => {
  const server = createPlainServer((socket) => socket.on('error', () => undefined).resume())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = `redis://127.0.0.1:${(server.address() as AddressInfo).port}`
  const settings = { url, username: undefined, passwordFile: undefined, caFile: undefined, serverName: undefined, keyPrefix: 't' }
  const client = openClient({ settings, log: recordingLog().log })
  client.connect().catch(() => undefined)
  await once(client, 'connect')
  const { stream } = client
  stream.emit('error', new Error('write ECONNRESET'))
  expect(() => stream.emit('error', new Error('alert number 116'))).not.toThrow()
  client.disconnect()
  server.close()
})
