import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { clientOf, LOGIN } from '../contract/emulator-entra-kit.ts'
import { Browser } from '../harness/browser.ts'
import { DEFAULT_CLIENT_ID } from '../harness/emulators/entra/defaults.ts'
import { guidOf } from '../harness/emulators/entra/directory.ts'
import { createEntraWorld, type EntraWorld } from '../harness/entra-world.ts'
import { signIn } from '../harness/world.ts'

const consent = (client: string, api: string, scope: string) => ({ client, resource: guidOf(`app ${api}`), scopes: [scope] })

let world: EntraWorld
beforeAll(async () => {
  world = await createEntraWorld({
    // The gateway is an API as well: that is what its callers' tokens are for, and what its own assertion is for.
    entra: {
      client: { api: { uris: ['api://gateway'], scopes: ['use'] } },
      resources: ['orders', 'customers', 'inventory'].map((name) => ({ name, uris: [`api://${name}`], scopes: [`${name}.read`] })),
      consents: [
        consent(DEFAULT_CLIENT_ID, 'gateway', 'use'),
        ...['orders', 'customers', 'inventory'].map((name) => consent(DEFAULT_CLIENT_ID, name, `${name}.read`)),
      ],
    },
    providerLines: [`  bearer: { audiences: [${DEFAULT_CLIENT_ID}, 'api://gateway'] }`],
    routes: (entra) => [
      '  - path: /obo/customers',
      `    upstream: ${entra.resourceUrl('customers')}`,
      '    strip_prefix: true',
      '    callers: [session, bearer]',
      `    token: { principal: user, grant: on_behalf_of, audience: 'api://customers', scopes: [customers.read], subject: { audience: ${DEFAULT_CLIENT_ID}, scopes: [use] } }`,
      '  - path: /auto/customers',
      `    upstream: ${entra.resourceUrl('customers')}`,
      '    strip_prefix: true',
      '    callers: [session, bearer]',
      "    token: { principal: user, audience: 'api://customers', scopes: [customers.read] }",
    ],
  })
})
afterAll(() => world.stop())
afterEach(() => {
  world.entra.record.clear()
  world.entra.faults.clear()
})

/** An access token for the gateway, as a native application would bring it. */
const callersToken = async (): Promise<unknown> => {
  world.entra.sit('ada')
  const redirect = { redirect_uri: `${world.url}/bff/callback` }
  const scope = `${LOGIN} ${DEFAULT_CLIENT_ID}/use`
  const { access_token: token } = await clientOf(world.entra).signIn({ scope, ...redirect }, redirect)
  world.entra.sit(undefined)
  world.entra.record.clear()
  return token
}
const obo = () => world.entra.record.where({ grant: 'urn:ietf:params:oauth:grant-type:jwt-bearer' })
const asMobile = async (
  path: string,
  token: unknown,
): Promise<{ status: number; body: Record<string, unknown>; challenge: string | null }> => {
  const answer = await fetch(`${world.url}${path}`, { headers: { authorization: `Bearer ${String(token)}` } })
  return {
    status: answer.status,
    body: (await answer.json()) as Record<string, unknown>,
    challenge: answer.headers.get('www-authenticate'),
  }
}

it('a session goes on to an API on behalf of its own token for the gateway', async () => {
  const browser = new Browser()
  await signIn(browser, world.url, 'ada', '/bff/user')
  const answers = await Promise.all([1, 2, 3].map(() => browser.fetch(`${world.url}/obo/customers`)))
  for (const answer of answers)
    expect([answer.status, JSON.parse(answer.body)]).toMatchObject([
      200,
      { principal: 'user', user: 'ada', claims: { azp: DEFAULT_CLIENT_ID, scp: 'customers.read' } },
    ])
  expect(obo()).toHaveLength(1)
})

it.each(['/obo/customers', '/auto/customers'])(
  'a native application goes on by %s, once per token, and the API sees the user',
  async (path) => {
    const token = await callersToken()
    for (const _time of [1, 2])
      expect(await asMobile(path, token)).toMatchObject({ status: 200, body: { user: 'ada', claims: { azp: DEFAULT_CLIENT_ID } } })
    expect(obo()).toHaveLength(1)
    const another = await callersToken()
    expect((await asMobile(path, another)).status).toBe(200)
    expect(obo()).toHaveLength(1)
  },
)

it('a caller whose user must prove more is told so with 401, and its token is not sent again at once', async () => {
  const token = await callersToken()
  const undo = world.entra.addPolicy({ resource: 'customers', require: 'mfa' })
  const refused = await asMobile('/auto/customers', token)
  expect(refused.status).toBe(401)
  expect(refused.challenge).toContain('Bearer')
  await asMobile('/auto/customers', token)
  expect(obo()).toHaveLength(1)
  undo()
})
