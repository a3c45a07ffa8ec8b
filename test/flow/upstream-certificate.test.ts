import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { afterAll, expect, it } from 'vitest'
import { watchUpstreamPairs } from '../../src/assembly/upstream-pairs.ts'
import { agents } from '../../src/proxy/agents.ts'
import { until } from '../harness/processes.ts'
import { recordingLog } from '../harness/provider-room.ts'
import { aRoute } from '../harness/proxy-host.ts'
import { selfSigned, type SelfSigned } from '../harness/self-signed.ts'

const folder = mkdtempSync(join(tmpdir(), 'sallyport-upstream-'))
afterAll(() => rmSync(folder, { recursive: true }))
const client = { certificateFile: join(folder, 'tls.crt'), privateKeyFile: join(folder, 'tls.key') }
const put = ({ certificate, key }: Pick<SelfSigned, 'certificate' | 'key'>): void => {
  writeFileSync(client.certificateFile, certificate)
  writeFileSync(client.privateKeyFile, key)
}

it('an upstream that asks for a certificate gets it, and the next one without a restart, with requests under way', async () => {
  const [server, one, two] = [selfSigned({ kind: 'ec' }), selfSigned({ kind: 'ec' }), selfSigned({ kind: 'ec' })]
  const caFile = join(folder, 'ca.pem')
  writeFileSync(caFile, server.certificate)
  const seen: string[] = []
  const held: ServerResponse[] = []
  const upstream = createServer(
    { cert: server.certificate, key: server.key, requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      const { raw } = (request.socket as TLSSocket).getPeerCertificate()
      seen.push(raw ? createHash('sha256').update(raw).digest('base64url') : 'none')
      if (request.url === '/held') held.push(response)
      else response.setHeader('connection', 'close').end('ok')
    },
  ).listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  put(one)
  const { log, lines } = recordingLog()
  const pools = agents()
  const route = aRoute(new URL(`https://localhost:${(upstream.address() as AddressInfo).port}`), {
    route: { tls: { caFile, serverName: undefined, client } },
  })
  // Two routes with one certificate: it is read and watched once.
  const [watched, ...more] = watchUpstreamPairs([route, route], pools, log)
  expect(more).toEqual([])
  const pool = pools.poolFor(route)
  const ask = async (path: string): Promise<string> => (await pool.request({ path, method: 'GET' })).body.text()

  await ask('/')
  const slow = ask('/held')
  await until('it is under way', () => held.length === 1)
  put({ certificate: two.certificate, key: one.key })
  await watched?.reload()
  await ask('/')
  put(two)
  await watched?.reload()
  await ask('/')
  held[0]?.end('late')
  expect(await slow).toBe('late')
  expect(seen).toEqual([one, one, one, two].map(({ thumbprint }) => thumbprint))
  expect(lines.map(({ facts: { mode, code } }) => `${mode} ${code ?? 'replaced'}`)).toEqual([
    'routes.tls key-mismatch',
    'routes.tls replaced',
  ])
  watched?.stop()
  await pools.close()
  upstream.close()
})

it('no pair at the start is told by its setting', () => {
  put({ certificate: selfSigned({ kind: 'ec' }).certificate, key: selfSigned({ kind: 'ec' }).key })
  const route = aRoute(new URL('https://localhost'), { route: { tls: { caFile: undefined, serverName: undefined, client } } })
  expect(() => watchUpstreamPairs([route], agents(), recordingLog().log)).toThrow(/^routes\.tls: .* are no pair/)
})
