import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { keyIdOf } from '../../src/kernel/key-id.ts'
import { Browser } from '../harness/browser.ts'
import { fault } from '../harness/emulators/core-faults.ts'
import { createKeycloakWorld, type KeycloakWorld, signInAtKeycloak } from '../harness/keycloak-world.ts'
import { until } from '../harness/processes.ts'
import { sharedRedisUrl } from '../harness/redis.ts'
import { selfSigned } from '../harness/self-signed.ts'

const LIFE_SECONDS = 5
const certified = selfSigned()

describe.skipIf(!sharedRedisUrl)('two replicas at a Keycloak that forgives nothing, each proving itself with the certificate', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-keycloak-'))
  let world: KeycloakWorld
  beforeAll(async () => {
    writeFileSync(join(dir, 'tls.crt'), certified.certificate)
    writeFileSync(join(dir, 'tls.key'), certified.key, { mode: 0o600 })
    world = await createKeycloakWorld({
      replicas: 2,
      redisUrl: sharedRedisUrl,
      clientAuth: `[{ certificate_dir: '${dir}' }]`,
      providerLines: ['  timeout: 2s', '  logout: { frontchannel: true }'],
      realm: { accessTokenLifespan: LIFE_SECONDS },
      client: { authenticator: 'client-jwt', secret: undefined, certificate: certified.certificate },
    })
  })
  afterAll(async () => {
    await world?.stop()
    rmSync(dir, { recursive: true, force: true })
  })
  afterEach(() => {
    world.kc.faults.clear()
    world.kc.record.clear()
    world.kc.admin.client('sallyport').frontchannelLogoutUrl = undefined
  })

  const signedIn = async (username = 'ada'): Promise<Browser> => {
    const browser = new Browser()
    await signInAtKeycloak(browser, world, username)
    return browser
  }
  const statuses = (browser: Browser, count: number, path: (at: number) => string): Promise<number[]> =>
    Promise.all(
      Array.from({ length: count }, async (_none, at) => {
        const port = world.gateways[at % world.gateways.length]?.port
        return (await browser.fetch(`${world.url}${path(at)}`, { port })).status
      }),
    )

  it('forty calls for two APIs on both replicas: one refresh each, none sent twice, and again when the tokens are over', async () => {
    const browser = await signedIn()
    const paths = (at: number): string => (at % 4 < 2 ? '/api/orders' : '/api/customers')
    world.kc.record.clear()
    for (let round = 0; round < 2; round += 1) {
      expect(new Set(await statuses(browser, 40, paths))).toEqual(new Set([200]))
      // What the provider's clock says decides nothing here: the tokens say when they end.
      if (round === 0) await until('both tokens are over', () => Date.now() > startedAt(world) + LIFE_SECONDS * 1000)
    }
    const refreshes = world.kc.record.where({ grant: 'refresh_token' })
    expect(refreshes.length).toBeGreaterThanOrEqual(2)
    expect(refreshes.length).toBeLessThanOrEqual(4)
    expect([world.kc.record.sentAgain(), refreshes.filter(({ outcome }) => outcome !== 'issued')]).toEqual([[], []])
  })

  it('every call of the token endpoint has an assertion of its own, named as Keycloak names the key', async () => {
    const browser = await signedIn()
    await statuses(browser, 8, (at) => ['/api/orders', '/api/customers', '/api/exchanged/orders', '/api/reports'][at % 4] ?? '')
    const calls = world.kc.record.tokenCalls
    expect(new Set(calls.map(({ grant }) => grant))).toEqual(
      new Set(['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:token-exchange', 'client_credentials']),
    )
    expect(calls.every(({ authentication, outcome }) => authentication === 'assertion' && outcome === 'issued')).toBe(true)
    const assertions = calls.map(({ assertion }) => assertion)
    expect(new Set(assertions.map((one) => one?.claims['jti'])).size).toBe(calls.length)
    for (const one of assertions) {
      expect(one?.header).toMatchObject({ kid: keyIdOf(certified.publicKey), typ: 'JWT' })
      expect(one?.claims['aud']).toBe(world.kc.issuer)
      expect(Number(one?.claims['exp']) - Number(one?.claims['iat'])).toBeLessThanOrEqual(60)
    }
  })

  it('an outage in the middle costs nobody the session', async () => {
    const browser = await signedIn()
    world.kc.faults.next('token', fault.serverError(503), fault.resetBeforeBody())
    const first = await statuses(browser, 4, () => '/api/customers')
    expect(first.every((status) => status === 200 || status === 503)).toBe(true)
    world.kc.faults.clear()
    await until('it is served', async () => (await statuses(browser, 1, () => '/api/customers'))[0] === 200)
    expect(world.kc.record.sentAgain()).toEqual([])
  })

  it('a sign-out at Keycloak that frames the gateway ends the session on both replicas', async () => {
    world.kc.admin.client('sallyport').frontchannelLogoutUrl = `${world.url}/bff/logout/frontchannel`
    const browser = await signedIn('grace')
    const { port } = new URL(world.url)
    const page = await browser.navigate(`${world.kc.issuer}/protocol/openid-connect/logout?client_id=sallyport`)
    const confirm = /action="([^"]+)"/.exec(page.body)?.[1]?.replaceAll('&#38;', '&') ?? ''
    const frames = await browser.navigate(confirm, { method: 'POST', body: 'confirmLogout=Logout', from: page.url })
    const frame = new URL((/<iframe src="([^"]+)"/.exec(frames.body)?.[1] ?? '').replaceAll('&#38;', '&'))
    expect([frame.port, frame.searchParams.get('iss')]).toEqual([port, world.kc.issuer])
    // A frame on a foreign page: no cookie of ours comes along.
    const answer = await new Browser().raw(frame, {
      headers: { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' },
    })
    expect(answer.status).toBe(200)
    await until('both know', async () => (await statuses(browser, 2, () => '/bff/user')).every((status) => status === 401))
  })
})

/** When the newest token of a user was issued. */
const startedAt = ({ kc }: KeycloakWorld): number => kc.record.where({ grant: 'refresh_token' }).at(-1)?.at ?? 0
