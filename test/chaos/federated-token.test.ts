import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { type EmulatorServer, startEmulatorServer } from '../harness/emulators/core.ts'
import { jsonReply } from '../harness/emulators/core-exchange.ts'
import { signingKeys } from '../harness/emulators/core-keys.ts'
import { createEntraWorld } from '../harness/entra-world.ts'
import { createRandom } from '../harness/faults/random.ts'
import { startLoad } from '../harness/rotations/load.ts'
import { signIn } from '../harness/world.ts'

const SUBJECT = 'system:serviceaccount:shop:sallyport'
const SWAPS = 32

/** An issuer of service account tokens, as a cluster is one. */
const startCluster = async () => {
  const keys = await signingKeys()
  const server: EmulatorServer = await startEmulatorServer(({ origin }) => ({
    keys,
    endpointOf: (_method, { pathname }) => (pathname === '/keys' ? 'jwks' : 'discovery'),
    handle: ({ endpoint }) =>
      endpoint === 'jwks'
        ? jsonReply({ keys: keys.published().map(({ jwk }) => jwk) })
        : jsonReply({ issuer: origin, jwks_uri: `${origin}/keys` }),
  }))
  const token = (): Promise<string> => {
    const at = Math.floor(Date.now() / 1000)
    return keys.sign({
      iss: server.origin,
      sub: SUBJECT,
      aud: 'api://AzureADTokenExchange',
      iat: at,
      nbf: at,
      exp: at + 3600,
      jti: String(at),
    })
  }
  return { origin: server.origin, token, stop: () => server.stop() }
}

it('a federated token that is swapped, cut short anywhere, emptied and away under load costs no request', { timeout: 60_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-federated-'))
  const file = join(folder, 'token')
  const random = createRandom(6)
  const cluster = await startCluster()
  writeFileSync(file, await cluster.token())
  const world = await createEntraWorld({
    entra: { client: { secrets: [] }, accessTokenSeconds: 4, loopAfter: Number.POSITIVE_INFINITY },
    clientAuth: `[{ assertion_file: ${file} }]`,
    lines: ['telemetry: { log: { level: warn } }'],
  })
  world.entra.credentials.addFederation(world.entra.clientId, { issuer: cluster.origin, subject: SUBJECT })
  const load = await startLoad({
    url: world.url,
    calls: { refresh: '/api/customers', another: '/api/inventory', application: '/api/orders/application' },
    signIn: (browser) => signIn(browser, world.url, 'ada'),
    portOf: () => world.gateways[0]?.port,
    replicas: 1,
  })
  try {
    const harms: readonly ((token: string) => void)[] = [
      (token) => writeFileSync(file, token.slice(0, random.int(1, token.length))),
      // In the signature: what is left of it still looks like a token.
      (token) => writeFileSync(file, token.slice(0, -random.int(1, 300))),
      () => writeFileSync(file, ''),
      () => rmSync(file),
    ]
    for (let n = 0; n < SWAPS; n += 1) {
      const token = await cluster.token()
      harms[n % harms.length]?.(token)
      await wait(random.int(20, 120))
      writeFileSync(`${file}.new`, token)
      renameSync(`${file}.new`, file)
      await wait(random.int(0, 60))
    }
    await load.goesOn(2)
    expect(load.failures()).toEqual([])
    const assertions = world.entra.record.tokenCalls.map(({ assertion }) => assertion?.claims['jti'])
    expect(new Set(assertions).size).toBeGreaterThan(3)
  } finally {
    await load.stop()
    await Promise.all([world.stop(), cluster.stop()])
    rmSync(folder, { recursive: true, force: true })
  }
})
