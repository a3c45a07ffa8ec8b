import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from '../harness/browser.ts'
import { type EmulatorServer, startEmulatorServer } from '../harness/emulators/core.ts'
import { jsonReply } from '../harness/emulators/core-exchange.ts'
import { signingKeys, type SigningKeys } from '../harness/emulators/core-keys.ts'
import { createEntraWorld, type EntraWorld } from '../harness/entra-world.ts'
import { until } from '../harness/processes.ts'
import { type SelfSigned, selfSigned } from '../harness/self-signed.ts'
import { signIn } from '../harness/world.ts'

const folder = mkdtempSync(join(tmpdir(), 'sallyport-entra-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** The key first: a pair is whole once its certificate is there. */
const put = (name: string, pair: SelfSigned): void => {
  writeFileSync(join(folder, `${name}.key`), pair.key, { mode: 0o600 })
  writeFileSync(join(folder, `${name}.crt.new`), pair.certificate)
  renameSync(join(folder, `${name}.crt.new`), join(folder, `${name}.crt`))
}

/** Within the five minutes that Entra forgives in an assertion's dates: the gateway's clock stays where it is. */
const LATER_MS = 120_000
/** Files are looked at every five seconds. */
const PATIENCE_MS = 20_000

describe('the gateway shows a certificate at Entra', () => {
  const first = selfSigned()
  const second = selfSigned()
  let world: EntraWorld
  let browser: Browser
  beforeAll(async () => {
    put('first', first)
    world = await createEntraWorld({
      entra: { frontEnds: 3, client: { secrets: [] }, accessTokenSeconds: 120 },
      clientAuth: `[{ certificate_dir: ${folder} }]`,
      providerLines: ['  credential_rotation: { acceptances: 6, spread: 0s, retry: 100ms }'],
    })
    world.entra.credentials.addCertificate(world.entra.clientId, first.certificate)
    browser = new Browser()
    await signIn(browser, world.url, 'ada', '/bff/user')
  })
  afterAll(() => world.stop())
  afterEach(() => world.entra.record.clear())

  it('in an assertion of the one documented form, a new one for each request', async () => {
    const answer = await browser.fetch(`${world.url}/api/customers`)
    expect(answer.status).toBe(200)
    const calls = world.entra.record.tokenCalls.filter(({ grant }) => grant !== 'client_credentials')
    expect(calls.map(({ grant }) => grant)).toEqual(['authorization_code', 'refresh_token'])
    for (const { assertion, formNames } of calls) {
      expect(assertion?.header).toEqual({ alg: 'PS256', typ: 'JWT', 'x5t#S256': first.thumbprint })
      expect(assertion?.claims).toMatchObject({ iss: world.entra.clientId, sub: world.entra.clientId, aud: world.entra.url('token') })
      expect(Number(assertion?.claims['exp']) - Number(assertion?.claims['iat'])).toBeLessThanOrEqual(600)
      expect(formNames).not.toContain('client_secret')
    }
    expect(new Set(calls.map(({ assertion }) => assertion?.claims['jti'])).size).toBe(2)
  })

  it('and no request fails while the next one is seen by one front-end after the other', async () => {
    const { credentials, clientId } = world.entra
    const thumbprints = (): unknown[] => world.entra.record.tokenCalls.map(({ assertion }) => assertion?.header['x5t#S256'])
    // The file first: nobody there knows it, and nothing of it is used for anybody's request.
    put('second', second)
    await until('the new pair was tried', () => thumbprints().includes(second.thumbprint), PATIENCE_MS)
    expect((await browser.fetch(`${world.url}/api/inventory`)).status).toBe(200)
    // Registered, and seen by one of three.
    credentials.addCertificate(clientId, second.certificate, { perFrontEndMs: [0, LATER_MS, LATER_MS] })
    for (let i = 0; i < 6; i += 1) {
      const person = new Browser()
      await signIn(person, world.url, 'ada', '/bff/user')
      expect((await person.fetch(`${world.url}/api/customers`)).status).toBe(200)
    }
    // Seen by all: it takes over, and the first one may go.
    world.entra.clock.shift(LATER_MS)
    world.entra.record.clear()
    await until(
      'the new pair is used for people',
      () =>
        world.entra.record.tokenCalls.some(
          ({ grant, outcome, assertion }) =>
            grant === 'authorization_code' && outcome === 'issued' && assertion?.header['x5t#S256'] === second.thumbprint,
        )
          ? true
          : signIn(new Browser(), world.url, 'ada', '/bff/user').then(() => false),
      PATIENCE_MS,
    )
    credentials.removeCertificate(clientId, first.thumbprint)
    const person = new Browser()
    await signIn(person, world.url, 'ada', '/bff/user')
    expect((await person.fetch(`${world.url}/api/customers`)).status).toBe(200)
  }, 60_000)

  it('and people are served as soon as it is taken again: that it was refused is not remembered', async () => {
    const { credentials, clientId } = world.entra
    const person = new Browser()
    await signIn(person, world.url, 'ada', '/bff/user')
    credentials.removeCertificate(clientId, second.thumbprint)
    const fetchOnce = async (): Promise<number> => (await person.fetch(`${world.url}/api/inventory`)).status
    expect(await fetchOnce()).toBe(502)
    credentials.addCertificate(clientId, second.certificate)
    // Of itself the refusal would be remembered for ten seconds.
    await until('the person is served', async () => (await fetchOnce()) === 200, 8_000)
  })
})

describe('the gateway shows what its platform wrote', () => {
  const SUBJECT = 'system:serviceaccount:shop:sallyport'
  const file = join(folder, 'projected')
  let keys: SigningKeys
  let cluster: EmulatorServer
  let world: EntraWorld
  const project = async (): Promise<void> => {
    const at = Math.floor(Date.now() / 1000)
    const token = await keys.sign({
      iss: cluster.origin,
      sub: SUBJECT,
      aud: 'api://AzureADTokenExchange',
      iat: at,
      nbf: at,
      exp: at + 3600,
      jti: String(Math.random()),
    })
    writeFileSync(`${file}.new`, token, { mode: 0o600 })
    renameSync(`${file}.new`, file)
  }
  beforeAll(async () => {
    keys = await signingKeys()
    cluster = await startEmulatorServer(({ origin }) => ({
      keys,
      endpointOf: (_method, { pathname }) => (pathname === '/keys' ? 'jwks' : 'discovery'),
      handle: ({ endpoint }) =>
        endpoint === 'jwks'
          ? jsonReply({ keys: keys.published().map(({ jwk }) => jwk) })
          : jsonReply({ issuer: origin, jwks_uri: `${origin}/keys` }),
    }))
    await project()
    world = await createEntraWorld({ entra: { client: { secrets: [] } }, clientAuth: `[{ assertion_file: ${file} }]` })
    world.entra.credentials.addFederation(world.entra.clientId, { issuer: cluster.origin, subject: SUBJECT })
  })
  afterAll(async () => {
    await world.stop()
    await cluster.stop()
  })

  it('and what it wrote last, for each request', async () => {
    const browser = new Browser()
    await signIn(browser, world.url, 'ada', '/bff/user')
    const [before] = world.entra.record.where({ grant: 'authorization_code' })
    expect(before?.assertion?.claims).toMatchObject({ iss: cluster.origin, sub: SUBJECT })
    await project()
    expect((await browser.fetch(`${world.url}/api/customers`)).status).toBe(200)
    const [after] = world.entra.record.where({ grant: 'refresh_token' })
    expect(after?.assertion?.claims['jti']).not.toBe(before?.assertion?.claims['jti'])
  })
})
