import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CONTOSO, FABRIKAM } from '../harness/emulators/entra/defaults.ts'
import { guidOf } from '../harness/emulators/entra/directory.ts'
import type { Entra } from '../harness/emulators/entra/entra.ts'
import type { Json } from '../harness/emulators/core-exchange.ts'
import { CALLBACK, claimsOf, clientOf, LOGIN, someEntra } from './emulator-entra-kit.ts'

const MOBILE = guidOf('app mobile')
const CUSTOMERS = 'api://customers/customers.read'
const OWN = 'api://gateway/use'

/** E12: a mobile application holds a token for the gateway, which is an API as well; the gateway goes on to others in the user's name. */
describe('E12: on behalf of', () => {
  let entra: Entra
  let gateway: ReturnType<typeof clientOf>
  let mobile: ReturnType<typeof clientOf>
  let fromMobile: Json
  beforeAll(async () => {
    entra = await someEntra({
      apps: [
        { name: 'gateway', secrets: ['g'], api: { uris: ['api://gateway'], scopes: ['use'] } },
        { name: 'mobile', secrets: ['m'], redirectUris: [CALLBACK] },
      ],
      consents: [
        { client: MOBILE, resource: guidOf('app gateway'), scopes: ['use'] },
        { client: MOBILE, resource: guidOf('app customers'), scopes: ['customers.read'] },
        { client: guidOf('app gateway'), resource: guidOf('app customers'), scopes: ['customers.read'] },
        { client: guidOf('app gateway'), resource: guidOf('app inventory'), scopes: ['inventory.read'] },
      ],
    })
    gateway = clientOf(entra, entra.clientId, 'g')
    mobile = clientOf(entra, MOBILE, 'm')
    fromMobile = await mobile.signIn({ scope: `${LOGIN} ${OWN}` })
  })
  afterAll(() => entra.stop())

  it('gives a token of the same person for one API, whose client is the one that asked', async () => {
    const { status, body } = await gateway.onBehalfOf(fromMobile['access_token'], CUSTOMERS)
    expect(status).toBe(200)
    expect(claimsOf(body['access_token'])).toMatchObject({
      aud: guidOf('app customers'),
      azp: entra.clientId,
      oid: claimsOf(fromMobile['access_token'])['oid'],
      scp: 'customers.read',
      tid: CONTOSO,
    })
    expect(body).not.toHaveProperty('refresh_token')
    expect(body).not.toHaveProperty('id_token')
  })

  it('gives a refresh token with offline_access only, which works without the assertion', async () => {
    const { body } = await gateway.onBehalfOf(fromMobile['access_token'], `openid offline_access ${CUSTOMERS}`)
    expect(body).toHaveProperty('id_token')
    const { body: later } = await gateway.refresh(body['refresh_token'], 'api://inventory/inventory.read')
    expect(claimsOf(later['access_token'])).toMatchObject({ appid: entra.clientId })
  })

  it.each([
    [
      'a token for another audience',
      async () => (await mobile.refresh(fromMobile['refresh_token'], CUSTOMERS)).body['access_token'],
      500131,
    ],
    ['an ID token', () => fromMobile['id_token'], 240002],
    ['an application’s own token', async () => (await mobile.asApplication('api://gateway/.default')).body['access_token'], 7000114],
    ['a token for Graph', async () => (await mobile.refresh(fromMobile['refresh_token'], 'User.Read')).body['access_token'], 50013],
    ['no token at all', () => 'nonsense', 50013],
  ])('refuses %s', async (_what, assertion, code) => {
    const answer = await gateway.onBehalfOf(await assertion(), CUSTOMERS)
    expect(answer).toMatchObject({ status: 400, code, body: { error: 'invalid_grant' } })
  })

  it('refuses a token that has expired', async () => {
    entra.clock.shift(2 * 3_600_000)
    expect((await gateway.onBehalfOf(fromMobile['access_token'], CUSTOMERS)).code).toBe(500133)
    entra.clock.shift(-2 * 3_600_000)
  })

  it.each([
    ['a door for several tenants', CUSTOMERS, {}, 'common', 9001023],
    ['another tenant', CUSTOMERS, {}, FABRIKAM, 50013],
    ['no requested_token_use', CUSTOMERS, { requested_token_use: '' }, CONTOSO, 900144],
    ['two APIs', `${CUSTOMERS} api://inventory/inventory.read`, {}, CONTOSO, 28000],
    ['no API', 'openid', {}, CONTOSO, 70011],
    ['resource (E6)', CUSTOMERS, { resource: 'api://customers' }, CONTOSO, 901002],
  ])('refuses a request with %s', async (_what, scope, more, tenant, code) => {
    expect((await gateway.onBehalfOf(fromMobile['access_token'], scope, more as Record<string, string>, { tenant })).code).toBe(code)
  })

  it('says which consent is missing and which second factor, so that the caller can ask the person', async () => {
    const consent = await gateway.onBehalfOf(fromMobile['access_token'], 'api://orders/orders.read')
    expect(consent.body).toMatchObject({ error: 'invalid_grant', error_codes: [65001], suberror: 'consent_required' })
    const undo = entra.addPolicy({ resource: 'customers', require: 'mfa' })
    const factor = await gateway.onBehalfOf(fromMobile['access_token'], CUSTOMERS)
    expect(factor.body).toMatchObject({
      error: 'invalid_grant',
      error_codes: [50076],
      suberror: 'basic_action',
      claims: expect.stringContaining('capolids'),
    })
    const stepped = await mobile.signIn({ scope: `${LOGIN} ${OWN}`, claims: String(factor.body['claims']) })
    expect((await gateway.onBehalfOf(stepped['access_token'], CUSTOMERS)).status).toBe(200)
    undo()
  })

  it('ends with the sign-in it stands on', async () => {
    const { access_token } = await mobile.signIn({ scope: `${LOGIN} ${OWN}` })
    entra.clock.shift(1000)
    entra.revokeSignIns('ada')
    expect((await gateway.onBehalfOf(access_token, CUSTOMERS)).code).toBe(50173)
    entra.setEnabled('ada', false)
    expect((await gateway.onBehalfOf(access_token, CUSTOMERS)).code).toBe(50057)
    entra.setEnabled('ada', true)
  })
})
