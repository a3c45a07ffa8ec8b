import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import { connect, createServer as createTcpServer } from 'node:net'
import type { Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Agent } from 'undici'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { millis } from '../../../src/kernel/time.ts'
import { askFor, providerRoom } from '../../harness/provider-room.ts'
import { selfSigned } from '../../harness/self-signed.ts'
import { steadyLoad } from '../../harness/steady-load.ts'

/** A provider over TLS whose certificate only its own authority vouches for. */
let server: Server
let issuer: string
let dir: string
let paths: string[]
let tokenEndpoint: string | undefined
beforeAll(async () => {
  const pair = selfSigned({ kind: 'ec' })
  dir = await mkdtemp(join(tmpdir(), 'sallyport-tls-'))
  await writeFile(join(dir, 'ca.pem'), pair.certificate)
  await writeFile(join(dir, 'other.pem'), selfSigned({ kind: 'ec' }).certificate)
  paths = []
  server = createServer({ cert: pair.certificate, key: pair.key }, (request, response) => {
    paths.push(request.url ?? '')
    response.setHeader('content-type', 'application/json')
    const base = { issuer, authorization_endpoint: `${issuer}/a`, token_endpoint: tokenEndpoint ?? `${issuer}/t`, jwks_uri: `${issuer}/j` }
    response.end(JSON.stringify(request.url === '/t' ? { access_token: 'at', token_type: 'bearer', expires_in: 60 } : base))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  issuer = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  server.closeAllConnections()
  server.close()
  await rm(dir, { recursive: true })
})

const ASK = askFor('https://reports.example', [], 'client_credentials')
it.each([
  ['its own authority', 'ca.pem', 'issued'],
  ['another authority', 'other.pem', 'unavailable'],
  ['the system’s authorities', undefined, 'unavailable'],
])('trusting %s: %s, %s', async (_name, file, kind) => {
  paths.length = 0
  const room = providerRoom(issuer, {
    insecureAllowHttp: false,
    ca: file === undefined ? undefined : () => readFileSync(join(dir, file), 'utf8'),
  })
  const answer = await room.provider.application(ASK)
  expect(answer.kind).toBe(kind)
  if (answer.kind === 'unavailable') expect([answer.sent, paths]).toEqual(['not-sent', []])
  await room.provider.close()
})

it('authorities that are replaced hold for the next connection, and no request fails while both are trusted', async () => {
  const [one, two] = [selfSigned({ kind: 'ec', subject: 'one' }), selfSigned({ kind: 'ec', subject: 'two' })]
  const swapped = createServer({ cert: one.certificate, key: one.key }, (request, response) => {
    response.setHeader('content-type', 'application/json')
    const base = { issuer: at, authorization_endpoint: `${at}/a`, token_endpoint: `${at}/t`, jwks_uri: `${at}/j` }
    response.end(JSON.stringify(request.url === '/t' ? { access_token: 'at', token_type: 'bearer', expires_in: 60 } : base))
  })
  await once(swapped.listen(0, '127.0.0.1'), 'listening')
  const at = `https://127.0.0.1:${(swapped.address() as AddressInfo).port}`
  let authorities = one.certificate
  const room = providerRoom(at, { insecureAllowHttp: false, ca: () => authorities })
  const load = steadyLoad(async () => {
    const answer = await room.provider.application(ASK)
    if (answer.kind !== 'issued') throw new Error(answer.kind)
  })
  await load.more(10)
  authorities = `${one.certificate}${two.certificate}`
  await load.more(10)
  swapped.setSecureContext({ cert: two.certificate, key: two.key })
  await load.more(10)
  authorities = two.certificate
  await load.more(10)
  expect(await load.stop()).toEqual([])
  // Its key is somebody else's now: a session of TLS that began under it is not taken up again either.
  swapped.setSecureContext({ cert: one.certificate, key: one.key })
  expect(await room.provider.application(ASK)).toMatchObject({ kind: 'unavailable', sent: 'not-sent' })
  await room.provider.close()
  swapped.close()
})

it('the environment cannot switch verification off', async () => {
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
  paths.length = 0
  const room = providerRoom(issuer, { insecureAllowHttp: false, ca: () => readFileSync(join(dir, 'other.pem'), 'utf8') })
  expect(await room.provider.application(ASK)).toMatchObject({ kind: 'unavailable', sent: 'not-sent' })
  expect(paths).toEqual([])
  await room.provider.close()
  vi.unstubAllEnvs()
})

// The race: our timeout passes while TLS is still being spoken, the caller is told `not-sent`, takes its mark back, and then the connection comes up.
it('a request that was reported as not sent is not sent later, when the connection comes up after all', async () => {
  let release: () => void = () => undefined
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const gate = createTcpServer((socket) => {
    socket.on('error', () => undefined)
    void released.then(() => {
      const inner = connect(Number(new URL(issuer).port), '127.0.0.1')
      inner.on('error', () => undefined)
      socket.pipe(inner).pipe(socket)
    })
  })
  gate.listen(0, '127.0.0.1')
  await once(gate, 'listening')
  tokenEndpoint = `https://127.0.0.1:${(gate.address() as AddressInfo).port}/t`
  const dispatcher = new Agent({ pipelining: 0, connections: 1, connect: { timeout: 60_000, rejectUnauthorized: false } })
  const room = providerRoom(issuer, { dispatcher, timeoutMs: millis(2000) })
  paths.length = 0

  expect(await room.provider.application(ASK)).toMatchObject({ kind: 'unavailable', sent: 'not-sent', cause: 'timeout' })
  release()
  // One connection at most: this second call waits behind the first, so by its answer the first one's fate is decided.
  expect((await room.provider.application(ASK)).kind).toBe('issued')
  expect(paths.filter((path) => path === '/t')).toHaveLength(1)

  await dispatcher.destroy()
  gate.close()
  tokenEndpoint = undefined
})
