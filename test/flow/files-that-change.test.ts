import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, createServer, get, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, inject, it } from 'vitest'
import { freePort } from '../harness/free-port.ts'
import { until } from '../harness/processes.ts'
import { startRedisServer, type RedisServer } from '../harness/redis-server.ts'
import { canStartRedis } from '../harness/redis.ts'
import { createMount } from '../harness/rotations/mount.ts'
import { selfSigned } from '../harness/self-signed.ts'
import { steadyLoad } from '../harness/steady-load.ts'

const BIN = fileURLToPath(new URL('../../bin/sallyport.mjs', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'sallyport-change-'))
let child: ChildProcess | undefined
const servers: Server[] = []
let redis: RedisServer | undefined
afterAll(async () => {
  child?.kill('SIGKILL')
  await redis?.stop()
  for (const server of servers) server.close()
  rmSync(folder, { recursive: true, force: true })
})

const listening = async (server: Server): Promise<string> => {
  servers.push(server)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return `https://localhost:${(server.address() as AddressInfo).port}`
}
const pair = (subject: string) => selfSigned({ kind: 'ec', subject })
const written = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}
const seal = (): string => randomBytes(32).toString('base64url')

it('a gateway that serves takes every new key, certificate and CA bundle by a signal, and nobody notices', async () => {
  const [listener, listener2, client, client2] = [pair('listener'), pair('listener2'), pair('client'), pair('client2')]
  const [upstream, upstream2, provider, stranger] = [pair('upstream'), pair('upstream2'), pair('provider'), pair('stranger')]
  const [store, store2] = [pair('store'), pair('store2')]
  const shown = new Set<string>()
  const api = createServer(
    { cert: upstream.certificate, key: upstream.key, requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      shown.add(String((request.socket as TLSSocket).getPeerCertificate().subject?.CN))
      response.end('ok')
    },
  )
  const upstreamUrl = await listening(api)
  const issuer: string = await listening(
    createServer({ cert: provider.certificate, key: provider.key }, (_request, response) => {
      response.setHeader('content-type', 'application/json')
      response.end(
        JSON.stringify({ issuer, authorization_endpoint: `${issuer}/a`, token_endpoint: `${issuer}/t`, jwks_uri: `${issuer}/j` }),
      )
    }),
  )
  const mount = createMount(join(folder, 'secret'))
  const first = '20261101T000000Z-000001'
  mount.put({
    'listen.crt': listener.certificate,
    'listen.key': listener.key,
    'client.crt': client.certificate,
    'client.key': client.key,
    'upstream-ca.crt': upstream.certificate,
    // Somebody's mistake, which a restart would have been needed for.
    'provider-ca.crt': stranger.certificate,
    secret: 'CANARY-one',
    'api-key': 'CANARY-key-one',
    'keys/index.key': seal(),
    [`keys/${first}.key`]: seal(),
    'context/index.key': seal(),
    [`context/${first}.key`]: seal(),
    'redis.crt': store.certificate,
    'redis.key': store.key,
    'redis-ca.crt': store.certificate,
  })
  if (canStartRedis)
    redis = await startRedisServer(inject('redisProgram')!, {
      tls: {
        caFile: written('ca', store.certificate),
        certificateFile: written('crt', store.certificate),
        privateKeyFile: written('key', store.key),
      },
      args: ['--appendonly', 'no'],
    })
  const [port, ops] = [await freePort(), await freePort()]
  const at = (name: string): string => join(mount.dir, name)
  const config = join(folder, 'sallyport.yaml')
  writeFileSync(
    config,
    `
public_url: https://localhost:${port}
listen:
  public: 127.0.0.1:${port}
  ops: 127.0.0.1:${ops}
  admin: 'off'
  tls: { certificate_file: ${at('listen.crt')}, private_key_file: ${at('listen.key')} }
provider:
  issuer: ${issuer}
  client_id: shop
  client_auth: [{ client_secret_file: ${at('secret')} }]
  ca_file: ${at('provider-ca.crt')}
session:
  keys_dir: ${at('keys')}
  keys_settle: 0s
  store: ${redis ? `{ redis: { url: '${redis.url}', ca_file: ${at('redis-ca.crt')}, certificate_file: ${at('redis.crt')}, private_key_file: ${at('redis.key')} } }` : 'memory'}
user_context: { keys_dir: ${at('context')} }
routes:
  - path: /other
    upstream: http://127.0.0.1:1
    token: { principal: app, grant: static, audience: api://other, key_file: ${at('api-key')} }
    allow: signed_in
    user_context: signed
  - path: /api
    upstream: ${upstreamUrl}
    token: { principal: none }
    tls: { ca_file: ${at('upstream-ca.crt')}, certificate_file: ${at('client.crt')}, private_key_file: ${at('client.key')} }
shutdown: { delay: 0s, grace: 1s }
`,
  )
  let out = ''
  const process_ = spawn(process.execPath, [BIN, 'serve', '-c', config], { stdio: ['ignore', 'pipe', 'pipe'], env: {} })
  child = process_
  for (const stream of [process_.stdout, process_.stderr]) stream.on('data', (chunk: Buffer) => (out += chunk.toString('utf8')))
  const isReady = () =>
    fetch(`http://127.0.0.1:${ops}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    )
  await until('it is ready', () => {
    if (process_.exitCode !== null) throw new Error(out)
    return isReady()
  })

  const trusting = { ca: [listener.certificate, listener2.certificate], servername: 'localhost' }
  const keeping = new Agent({ ...trusting, keepAlive: true, maxSockets: 2 })
  const faces = new Set<string>()
  const ask = (path: string, agent: Agent | false): Promise<number> =>
    new Promise((resolve, reject) => {
      get({ host: '127.0.0.1', port, path, agent, headers: { host: `localhost:${port}` }, ...trusting }, (response) => {
        const face = (response.socket as TLSSocket).getPeerX509Certificate()?.subject
        if (face !== undefined) faces.add(face)
        response
          .resume()
          .on('end', () => resolve(response.statusCode ?? 0))
          .on('error', reject)
      }).on('error', reject)
    })
  let n = 0
  const load = steadyLoad(async () => {
    n += 1
    const status = await ask('/api/x', n % 2 === 0 ? keeping : false)
    if (status !== 200) throw new Error(String(status))
  })
  await load.more(20)
  expect(await ask('/bff/login', false)).toBe(503)

  // Half of it first: nothing of that is taken.
  mount.put({ 'listen.crt': listener2.certificate, 'client.crt': client2.certificate, 'upstream-ca.crt': '', 'provider-ca.crt': 'half' })
  process_.kill('SIGHUP')
  const said = (text: string): number => out.split(text).length - 1
  await until('all four are told', () => said('file of TLS connections not usable') === 4)
  await load.more(20)
  expect([faces, shown]).toEqual([new Set(['CN=listener']), new Set(['client'])])

  mount.put({
    'listen.key': listener2.key,
    'client.key': client2.key,
    'upstream-ca.crt': `${upstream.certificate}${upstream2.certificate}`,
    'provider-ca.crt': provider.certificate,
    secret: 'CANARY-two',
    'api-key': 'CANARY-key-two',
    'keys/20261120T000000Z-000002.key': seal(),
    'context/20261120T000000Z-000002.key': seal(),
    'redis.crt': store2.certificate,
    'redis.key': store2.key,
    'redis-ca.crt': `${store.certificate}${store2.certificate}`,
  })
  process_.kill('SIGHUP')
  const replaced = redis ? 6 : 4
  await until('all of them are in use', () => said('file of TLS connections replaced') === replaced)
  api.setSecureContext({ cert: upstream2.certificate, key: upstream2.key })
  await until('new faces are seen', () => faces.has('CN=listener2') && shown.has('client2'))
  await until('the provider is spoken to', async () => (await ask('/bff/login', false)) === 302)
  mount.put({ 'upstream-ca.crt': upstream2.certificate })
  process_.kill('SIGHUP')
  await until('the first authority is gone', () => said('file of TLS connections replaced') === replaced + 1)
  await load.more(20)
  expect(await load.stop()).toEqual([])

  const metrics = await (await fetch(`http://127.0.0.1:${ops}/metrics`)).text()
  for (const [setting, count] of [
    ['listen.tls', 1],
    ['routes[api].tls', 1],
    ['routes[api].tls.ca_file', 2],
    ['provider.ca_file', 1],
    ['provider.client_auth', 1],
    ['session.keys_dir', 1],
    ['user_context.keys_dir', 1],
    ['routes[].token.key_file', 1],
    ...(redis ? [['session.store.redis.ca_file', 1] as const, ['session.store.redis.certificate_file', 1] as const] : []),
  ])
    expect(metrics).toContain(`sallyport_files_looks_total{setting="${setting}",outcome="replaced"} ${count}\n`)
  for (const setting of ['listen.tls', 'routes[api].tls', ...(redis ? ['session.store.redis.certificate_file'] : [])])
    expect(metrics).toMatch(new RegExp(`not_after_timestamp_seconds\\{setting="${setting.replaceAll(/[[\]]/g, '\\$&')}"\\} 1\\d{9}\\n`))
  keeping.destroy()
  process_.kill('SIGTERM')
  expect(await once(process_, 'close')).toEqual([0, null])
  expect(out).not.toContain('CANARY')
})
