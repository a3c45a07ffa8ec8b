import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { request } from 'undici'
import type { Dispatcher } from 'undici'
import { afterAll, expect, it } from 'vitest'
import { watchUpstreamFiles } from '../../src/assembly/upstream-files.ts'
import { createFileWatch } from '../../src/kernel/file-watch.ts'
import { manualClock } from '../harness/clock.ts'
import { agents } from '../../src/proxy/agents.ts'
import { until } from '../harness/processes.ts'
import { recordingLog } from '../harness/provider-room.ts'
import { aRoute } from '../harness/proxy-host.ts'
import { createMount } from '../harness/rotations/mount.ts'
import { selfSigned } from '../harness/self-signed.ts'
import { steadyLoad } from '../harness/steady-load.ts'

const folder = mkdtempSync(join(tmpdir(), 'sallyport-upstream-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** An upstream that asks for a certificate, and the gateway's side of it: two routes with the same files. */
const upstreamWorld = async (name: string, server = selfSigned({ kind: 'ec' })) => {
  const mount = createMount(join(folder, name))
  const one = selfSigned({ kind: 'ec' })
  mount.put({ 'tls.crt': one.certificate, 'tls.key': one.key, 'ca.crt': server.certificate })
  const seen: string[] = []
  const held: ServerResponse[] = []
  const isEnding = { now: false }
  const sockets = new Set<TLSSocket>()
  const upstream = createServer(
    { cert: server.certificate, key: server.key, requestCert: true, rejectUnauthorized: false, keepAliveTimeout: 60_000 },
    (incoming, response) => {
      const { raw } = (incoming.socket as TLSSocket).getPeerCertificate()
      seen.push(raw ? createHash('sha256').update(raw).digest('base64url') : 'none')
      if (incoming.url === '/held') held.push(response)
      else if (isEnding.now) response.setHeader('connection', 'close').end('ok')
      else response.end('ok')
    },
  ).listen(0, '127.0.0.1')
  upstream.on('secureConnection', (socket: TLSSocket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await once(upstream, 'listening')
  const { log, lines } = recordingLog()
  const watch = createFileWatch({ clock: manualClock(), log })
  const pools = agents()
  const client = { certificateFile: join(mount.dir, 'tls.crt'), privateKeyFile: join(mount.dir, 'tls.key') }
  const origin = `https://localhost:${(upstream.address() as AddressInfo).port}`
  const route = aRoute(new URL(origin), { route: { tls: { caFile: join(mount.dir, 'ca.crt'), serverName: undefined, client } } })
  watchUpstreamFiles([route, { ...route, name: 'another' }], pools, { watch, log })
  const dispatcher: Dispatcher = pools.poolFor(route)
  return {
    mount,
    one,
    server,
    seen,
    held,
    isEnding,
    sockets,
    upstream,
    lines,
    watch,
    ask: async (path: string): Promise<string> => (await request(`${origin}${path}`, { dispatcher })).body.text(),
    said: (): readonly string[] => lines.map(({ facts: { mode, code } }) => `${mode} ${code ?? 'replaced'}`),
    close: async (): Promise<void> => {
      await watch.stop()
      await pools.close()
      upstream.close()
    },
  }
}

it('an upstream that asks for a certificate gets it, and the next one without a restart, with requests under way', async () => {
  const { mount, one, seen, held, watch, ask, said, close } = await upstreamWorld('client')
  const two = selfSigned({ kind: 'ec' })
  await ask('/')
  const slow = ask('/held')
  await until('it is under way', () => held.length === 1)
  mount.put({ 'tls.crt': two.certificate })
  for (let n = 0; n < 2; n += 1) await watch.lookAtAll()
  await ask('/')
  mount.put({ 'tls.key': two.key })
  await watch.lookAtAll()
  await ask('/')
  held[0]?.end('late')
  expect(await slow).toBe('late')
  expect(seen).toEqual([one, one, one, two].map(({ thumbprint }) => thumbprint))
  // Two routes with one certificate: it is read and watched once.
  expect(said()).toEqual(['routes[api/orders].tls key-mismatch', 'routes[api/orders].tls replaced'])
  await close()
})

it('certificate and authorities are swapped under load: no request fails, and connections that stood end after their request', async () => {
  const { mount, one, server, seen, isEnding, sockets, upstream, watch, ask, said, close } = await upstreamWorld('load')
  const [two, successor] = [selfSigned({ kind: 'ec' }), selfSigned({ kind: 'ec', subject: 'successor' })]
  const load = steadyLoad(() => ask('/'))
  await load.more(20)

  // Half of a bundle trusts nobody who is here: what was read before stays.
  mount.put({ 'ca.crt': `${server.certificate}${successor.certificate.slice(0, 200)}` })
  await watch.lookAtAll()
  mount.put({ 'ca.crt': '' })
  await watch.lookAtAll()
  await load.more(20)

  mount.put({ 'ca.crt': `${server.certificate}${successor.certificate}`, 'tls.crt': two.certificate, 'tls.key': two.key })
  const before = [...sockets]
  await watch.lookAtAll()
  await until('those that stood have ended', () => before.every((socket) => !sockets.has(socket)))
  await load.more(20)
  upstream.setSecureContext({ cert: successor.certificate, key: successor.key })
  isEnding.now = true // so that connections come anew
  await load.more(20)
  isEnding.now = false
  mount.put({ 'ca.crt': successor.certificate })
  await watch.lookAtAll()
  await load.more(20)
  expect(await load.stop()).toEqual([])
  expect([seen[0], seen.at(-1)]).toEqual([one.thumbprint, two.thumbprint])

  // And the one whose authority was taken away is not trusted any more, whatever session its connections had.
  upstream.setSecureContext({ cert: server.certificate, key: server.key })
  mount.put({ 'ca.crt': selfSigned({ kind: 'ec' }).certificate })
  await watch.lookAtAll()
  await expect(ask('/')).rejects.toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
  expect(said().toSorted()).toEqual([
    'routes[api/orders].tls replaced',
    'routes[api/orders].tls.ca_file ca-unusable',
    'routes[api/orders].tls.ca_file file-unreadable',
    'routes[api/orders].tls.ca_file replaced',
    'routes[api/orders].tls.ca_file replaced',
    'routes[api/orders].tls.ca_file replaced',
  ])
  await close()
})

it('files that are none at the start are told by their setting', () => {
  const mount = createMount(join(folder, 'start'))
  const [one, two] = [selfSigned({ kind: 'ec' }), selfSigned({ kind: 'ec' })]
  mount.put({ 'tls.crt': one.certificate, 'tls.key': two.key, 'ca.crt': 'no authority' })
  const at = (name: string): string => join(mount.dir, name)
  const client = { certificateFile: at('tls.crt'), privateKeyFile: at('tls.key') }
  const { log } = recordingLog()
  const watch = createFileWatch({ clock: manualClock(), log })
  const opening = (tls: Parameters<typeof watchUpstreamFiles>[0][number]['tls']) => () =>
    watchUpstreamFiles([{ name: 'orders', tls }], agents(), { watch, log })
  expect(opening({ caFile: undefined, serverName: undefined, client })).toThrow(/^routes\[orders\]\.tls: .* are no pair/)
  expect(opening({ caFile: at('ca.crt'), serverName: undefined })).toThrow(/^routes\[orders\]\.tls\.ca_file: .* is no bundle of PEM/)
  expect(opening({ caFile: at('absent'), serverName: undefined })).toThrow(/^routes\[orders\]\.tls\.ca_file: .* cannot be read/)
})
