import { afterAll, beforeAll, expect, it } from 'vitest'
import { Browser } from '../harness/browser.ts'
import { CONTOSO, DEFAULT_CLIENT_ID, FABRIKAM, ORDERS_ID } from '../harness/emulators/entra/defaults.ts'
import { GRAPH_ID, guidOf } from '../harness/emulators/entra/directory.ts'
import { createEntraWorld, type EntraWorld } from '../harness/entra-world.ts'
import { fault } from '../harness/emulators/core-faults.ts'
import { signIn } from '../harness/world.ts'

/** 250 groups fit into no ID token: the gateway asks Graph, and where that fails its rules refuse. */
const MINE = guidOf('group grace 7')
let world: EntraWorld
beforeAll(async () => {
  world = await createEntraWorld({
    tenant: FABRIKAM,
    entra: {
      users: [
        { key: 'grace', name: 'Grace Hopper', tenant: FABRIKAM, upn: 'grace@fabrikam.example', groups: 250 },
        { key: 'ada', name: 'Ada Lovelace', tenant: CONTOSO, upn: 'ada@contoso.example', groups: 3, guestIn: [FABRIKAM] },
      ],
      client: { idTokenClaims: ['sid', 'groups'] },
      consents: [
        { client: DEFAULT_CLIENT_ID, resource: ORDERS_ID, scopes: ['orders.read'] },
        { client: DEFAULT_CLIENT_ID, resource: GRAPH_ID, scopes: ['GroupMember.Read.All'] },
      ],
    },
    providerLines: ['  groups: { resolve: true }'],
    routes: ({ origin }) =>
      [
        ['mine', MINE],
        ['theirs', guidOf('group ada 1')],
      ].flatMap(([name, group]) => [
        `  - path: /api/orders/${name}`,
        `    upstream: ${origin}`,
        "    token: { principal: user, audience: 'api://orders', scopes: [orders.read] }",
        `    allow: { groups: ['${group}'] }`,
      ]),
  })
})
afterAll(() => world.stop())

const ask = async (browser: Browser, path: string): Promise<readonly [number, string | undefined]> => {
  const { status, body } = await browser.fetch(`${world.url}${path}`)
  return [status, (JSON.parse(body) as { code?: string }).code]
}

it('who is in the group of a rule among 250 gets in, and who is not is refused as anybody is', async () => {
  const browser = new Browser()
  await signIn(browser, world.url, 'grace', '/bff/user')
  expect(await ask(browser, '/api/orders/mine')).toEqual([200, undefined])
  expect(await ask(browser, '/api/orders/theirs')).toEqual([403, 'policy.denied'])
})

it('while Graph gives no token, the rule refuses because the groups are not known, and the rest of the session works', async () => {
  const plugIn = world.entra.faults.when(({ form }) => form.get('scope') === 'GroupMember.Read.All', fault.serverError(503))
  const browser = new Browser()
  await signIn(browser, world.url, 'grace', '/bff/user')
  expect(await ask(browser, '/api/orders/mine')).toEqual([403, 'policy.groups-overage'])
  expect((await ask(browser, '/api/orders/whatever'))[0]).toBe(200)
  plugIn()
  expect(await ask(browser, '/api/orders/theirs')).toEqual([403, 'policy.groups-overage'])
})
