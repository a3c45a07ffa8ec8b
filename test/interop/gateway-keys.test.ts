import { afterEach, describe, expect, it } from 'vitest'
import { Browser } from '../harness/browser.ts'
import { audited, until } from '../harness/processes.ts'
import { keycloak } from './kit.ts'
import { createKeycloakWorld, type KeycloakWorld, signInAtKeycloak } from './world.ts'

describe.skipIf(!keycloak)('the keys Keycloak signs with', { timeout: 60_000 }, () => {
  let world: KeycloakWorld
  afterEach(() => world?.stop())
  const status = async (browser: Browser, path: string): Promise<number> => (await browser.fetch(`${world.url}${path}`)).status

  it('a sign-in right after the realm began to sign with another key works, and who was signed in stays so', async () => {
    world = await createKeycloakWorld()
    const [early, late] = [new Browser(), new Browser()]
    await signInAtKeycloak(early, world, 'ada')
    const { id } = (await world.realm.admin('GET', '')) as { readonly id: string }
    await world.realm.admin('POST', '/components', {
      name: 'the next key',
      parentId: id,
      providerId: 'rsa-generated',
      providerType: 'org.keycloak.keys.KeyProvider',
      config: { priority: ['200'], enabled: ['true'], active: ['true'], algorithm: ['RS256'], keySize: ['2048'] },
    })
    await signInAtKeycloak(late, world, 'grace')
    for (const browser of [early, late])
      for (const path of ['/api/orders', '/api/customers']) expect(await status(browser, path), path).toBe(200)
  })

  it.each(['ES256', 'PS256', 'EdDSA'])('ID tokens and logout tokens signed %s are taken', async (algorithm) => {
    world = await createKeycloakWorld({ client: { attributes: { 'id.token.signed.response.alg': algorithm } } })
    const browser = new Browser()
    await signInAtKeycloak(browser, world, 'ada')
    expect(await status(browser, '/api/orders')).toBe(200)
    await world.realm.admin('POST', `/users/${world.realm.subjects.ada}/logout`)
    await until('the session is over', async () => (await status(browser, '/api/orders')) === 401)
    await audited(world.gateways[0], { event: 'backchannel-logout.received', ended: 1 })
  })
})
