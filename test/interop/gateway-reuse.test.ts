import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from '../harness/browser.ts'
import { audited, until } from '../harness/processes.ts'
import { gist, keycloak } from './kit.ts'
import { startTap, type Tap } from './tap.ts'
import { openWire, type Wire } from './wire.ts'
import { createKeycloakWorld, type KeycloakWorld, signInAtKeycloak } from './world.ts'

describe.skipIf(!keycloak)('Keycloak’s reuse detection and the gateway', { timeout: 60_000 }, () => {
  let tap: Tap
  let world: KeycloakWorld
  let thief: Wire
  beforeAll(async () => {
    tap = await startTap(keycloak?.url ?? '')
    world = await createKeycloakWorld({ at: tap.url })
    const { issuer } = world.realm
    thief = openWire({ issuer, clientId: 'sallyport', secret: world.clientSecret, redirectUri: `${world.url}/bff/callback` })
  })
  afterAll(async () => {
    await world?.stop()
    await tap?.stop()
  })

  const get = async (browser: Browser, path: string): Promise<{ readonly status: number; readonly code: unknown }> => {
    const { status, body } = await browser.fetch(`${world.url}${path}`)
    return { status, code: (JSON.parse(body) as { readonly code?: string }).code }
  }

  it('a refresh token that a thief has spent ends the session at the next refresh, and the thief’s with it', async () => {
    const browser = new Browser()
    await signInAtKeycloak(browser, world, 'ada')
    expect((await get(browser, '/api/orders')).status).toBe(200)
    const stolen = await thief.refresh(tap.newest())
    expect(gist(stolen)).toEqual([200])
    expect((await get(browser, '/api/customers')).status).toBe(401)
    expect((await get(browser, '/api/orders')).status).toBe(401)
    await audited(world.gateways[0], { event: 'session.ended', reason: 'refresh-refused' })
    expect((await thief.refresh(String(stolen.body['refresh_token']))).status).toBe(400)
  })

  it('a rotation whose answer is lost is tried once more and no further; then the session is over, and said to be lost', async () => {
    const browser = new Browser()
    await signInAtKeycloak(browser, world, 'grace')
    expect((await get(browser, '/api/orders')).status).toBe(200)
    const token = tap.newest()
    tap.loseNextRotation()
    await until('the session is over', async () => (await get(browser, '/api/customers')).status === 401, 40_000)
    expect(tap.spent.filter((one) => one === token).length).toBeLessThanOrEqual(2)
    await audited(world.gateways[0], { event: 'session.ended', reason: 'refresh-lost' })
  })
})
