import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from '../harness/browser.ts'
import { CONTOSO, FABRIKAM } from '../harness/emulators/entra/defaults.ts'
import { CONSUMERS } from '../harness/emulators/entra/directory.ts'
import { fault } from '../harness/emulators/core-faults.ts'
import { createEntraWorld, type EntraWorld } from '../harness/entra-world.ts'
import { audited } from '../harness/processes.ts'
import { chooseUser, sessionCookie, signIn, startSignIn } from '../harness/world.ts'

const USERS = [
  { key: 'ada', name: 'Ada Lovelace', tenant: CONTOSO, upn: 'ada@contoso.example' },
  { key: 'grace', name: 'Grace Hopper', tenant: FABRIKAM, upn: 'grace@fabrikam.example' },
  { key: 'mallory', name: 'Mallory', tenant: CONSUMERS, upn: 'mallory@live.com' },
] as const

describe('people of several tenants sign in at one door', () => {
  let world: EntraWorld
  beforeAll(async () => {
    world = await createEntraWorld({
      tenant: '{tenantid}',
      entra: { users: USERS },
      providerLines: [`  tenants: ['${CONTOSO}', '${FABRIKAM}']`, `  home_tenant: '${CONTOSO}'`],
    })
  })
  afterAll(() => world.stop())
  afterEach(() => {
    world.entra.record.clear()
    world.entra.faults.clear()
  })

  it.each([
    ['ada', CONTOSO],
    ['grace', FABRIKAM],
  ])('%s gets tokens of their own tenant, from its own endpoint', async (user, tenant) => {
    const browser = new Browser()
    await signIn(browser, world.url, user, '/bff/user')
    const answer = await browser.fetch(`${world.url}/api/customers`)
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.body)).toMatchObject({ user, claims: { tid: tenant, iss: world.entra.issuer(tenant) } })
    const paths = world.entra.record.tokenCalls.filter(({ grant }) => grant === 'refresh_token').map(({ path }) => path)
    expect(paths).toEqual([`/${tenant}/oauth2/v2.0/token`])
  })

  it('the application asks where it is registered', async () => {
    const browser = new Browser()
    await signIn(browser, world.url, 'grace', '/bff/user')
    const answer = await browser.fetch(`${world.url}/api/orders/application`)
    expect(JSON.parse(answer.body)).toMatchObject({ principal: 'app', claims: { tid: CONTOSO } })
  })

  it('whoever has no business here stays outside', async () => {
    const browser = new Browser()
    const page = await startSignIn(browser, world.url)
    // Entra itself sends a personal account away at this door.
    const refused = await chooseUser(browser, page.url, 'mallory', () => false)
    expect(refused.body).toContain('AADSTS50020')
    expect(sessionCookie(browser)).toBeUndefined()
  })

  it('an ID token that names one tenant and is issued by another opens nothing', async () => {
    const forgeries = [
      // Issuer and tenant disagree.
      fault.idTokenClaims({ tid: FABRIKAM }),
      // A tenant nobody listed.
      fault.idTokenClaims({ tid: CONSUMERS, iss: world.entra.issuer(CONSUMERS) }),
      // The form itself is nobody's issuer.
      fault.idTokenIssuer(world.entra.issuer('{tenantid}')),
    ]
    for (const forged of forgeries) {
      const browser = new Browser()
      world.entra.faults.next('token', forged)
      const page = await startSignIn(browser, world.url)
      await chooseUser(browser, page.url, 'ada', ({ url }) => url.pathname === '/bff/callback')
      expect(sessionCookie(browser)).toBeUndefined()
    }
    await audited(world.gateways[0], { event: 'sign-in.failed' })
  })

  it('keys roll at Entra: the next sign-in works, and one by a stranger’s key does not', async () => {
    const old = world.entra.keys.active.kid
    await world.entra.keys.roll()
    world.entra.keys.withdraw(old)
    const browser = new Browser()
    await signIn(browser, world.url, 'ada', '/bff/user')
    expect(sessionCookie(browser)).toBeDefined()
    for (const forged of [fault.idTokenUnknownKey(), fault.idTokenBadSignature(), fault.idTokenUnsigned()]) {
      const stranger = new Browser()
      world.entra.faults.next('token', forged)
      const page = await startSignIn(stranger, world.url)
      await chooseUser(stranger, page.url, 'ada', ({ url }) => url.pathname === '/bff/callback')
      expect(sessionCookie(stranger)).toBeUndefined()
    }
  })
})
