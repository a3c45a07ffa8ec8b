import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { claims, createRealm, gist, keycloak } from './kit.ts'
import { gatewayClient, type Realm } from './realm.ts'
import { openWire, type Tokens, type Wire } from './wire.ts'

const TYPE = 'urn:ietf:params:oauth:token-type:'
const GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange'
const SECRET = 'a-secret-of-the-gateway'

/** docs/interop.md R14 to R16. */
describe.skipIf(!keycloak)('standard token exchange and client credentials at Keycloak', () => {
  const url = 'http://127.0.0.1:1'
  let realm: Realm
  let wire: Wire
  let ada: Tokens
  beforeAll(async () => {
    realm = await createRealm({
      clients: [
        gatewayClient({ clientId: 'gateway', secret: SECRET, url }),
        gatewayClient({ clientId: 'not-enabled', secret: SECRET, url, attributes: { 'standard.token.exchange.enabled': 'false' } }),
        gatewayClient({ clientId: 'stranger', secret: SECRET, url }),
      ],
    })
    wire = openWire({ issuer: realm.issuer, clientId: 'gateway', secret: SECRET, redirectUri: `${url}/bff/callback` })
    ada = await wire.signIn('ada', 'openid')
  })
  afterAll(() => realm?.remove())

  const exchange = (more: Readonly<Record<string, string>>, clientId = 'gateway') =>
    wire.post(
      'token',
      { grant_type: GRANT, subject_token: ada.access_token, subject_token_type: `${TYPE}access_token`, ...more },
      { client_id: clientId, client_secret: SECRET },
    )

  it('a token for one audience is for that one alone, and its scope may be more than the sign-in’s', async () => {
    const answer = await exchange({ audience: 'orders', scope: 'orders.read' })
    expect(answer).toMatchObject({
      status: 200,
      body: { token_type: 'Bearer', issued_token_type: `${TYPE}access_token`, refresh_expires_in: 0 },
    })
    expect(claims(answer.body['access_token'])).toMatchObject({ aud: 'orders', sub: realm.subjects.ada, azp: 'gateway', typ: 'Bearer' })
    expect(answer.body).not.toHaveProperty('refresh_token')
    expect(answer.body).not.toHaveProperty('id_token')
  })

  it('two audiences come in one token', async () => {
    const form = new URLSearchParams({ grant_type: GRANT, subject_token: ada.access_token, subject_token_type: `${TYPE}access_token` })
    for (const audience of ['orders', 'customers']) form.append('audience', audience)
    form.set('scope', 'orders.read customers.read')
    const answer = await wire.post('token', form)
    expect(claims(answer.body['access_token'])['aud']).toEqual(['orders', 'customers'])
  })

  it('`openid` brings an ID token, `offline_access` no refresh token, and `resource` is as if it were not there', async () => {
    expect((await exchange({ audience: 'orders', scope: 'openid orders.read' })).body).toHaveProperty('id_token')
    const offline = await exchange({ audience: 'orders', scope: 'offline_access orders.read' })
    expect(gist(offline)).toEqual([200])
    expect(offline.body).not.toHaveProperty('refresh_token')
    expect(gist(await exchange({ resource: 'https://orders.example/' }))).toEqual([200])
  })

  it('an ID token is issued as what is no token type', async () => {
    expect((await exchange({ requested_token_type: `${TYPE}id_token` })).body).toMatchObject({
      token_type: 'N_A',
      issued_token_type: `${TYPE}id_token`,
    })
  })

  it.each`
    what                               | more                                                | client           | answer
    ${'the scope does not map it'}     | ${{ audience: 'orders' }}                           | ${'gateway'}     | ${[400, 'invalid_request', 'Requested audience not available: orders']}
    ${'nobody has that name'}          | ${{ audience: 'nobody' }}                           | ${'gateway'}     | ${[400, 'invalid_client', 'Audience not found']}
    ${'the client has no such scope'}  | ${{ scope: 'nonsense' }}                            | ${'gateway'}     | ${[400, 'invalid_scope', 'Invalid scopes: nonsense']}
    ${'the subject token is none'}     | ${{ subject_token: 'rubbish' }}                     | ${'gateway'}     | ${[400, 'invalid_request', 'Invalid token']}
    ${'the subject is an ID token'}    | ${{ subject_token_type: `${TYPE}id_token` }}        | ${'gateway'}     | ${[400, 'invalid_request', "Parameter 'subject_token' supports access tokens only"]}
    ${'a refresh token is asked for'}  | ${{ requested_token_type: `${TYPE}refresh_token` }} | ${'gateway'}     | ${[400, 'invalid_request', 'requested_token_type unsupported']}
    ${'the client may not exchange'}   | ${{ audience: 'orders', scope: 'orders.read' }}     | ${'not-enabled'} | ${[400, 'invalid_request', 'Standard token exchange is not enabled for the requested client']}
    ${'the token is another client’s'} | ${{ audience: 'orders', scope: 'orders.read' }}     | ${'stranger'}    | ${[403, 'access_denied', 'Client is not within the token audience']}
  `('is refused where $what', async ({ more, client, answer }) => {
    expect(gist(await exchange(more as Record<string, string>, String(client)))).toEqual(answer)
  })

  it('a disabled user’s token is no subject any more', async () => {
    await realm.admin('PUT', `/users/${realm.subjects.ada}`, { enabled: false })
    expect(gist(await exchange({ audience: 'orders', scope: 'orders.read' }))).toEqual([400, 'invalid_request', 'Invalid token'])
    await realm.admin('PUT', `/users/${realm.subjects.ada}`, { enabled: true })
  })

  it('an application’s token names its client beside a subject that is no client', async () => {
    const { status, body } = await wire.post('token', { grant_type: 'client_credentials', scope: 'orders.read' })
    expect(status).toBe(200)
    expect(body).not.toHaveProperty('id_token')
    expect(body).not.toHaveProperty('refresh_token')
    const token = claims(body['access_token'])
    expect(token).toMatchObject({
      client_id: 'gateway',
      azp: 'gateway',
      preferred_username: 'service-account-gateway',
      clientHost: '127.0.0.1',
    })
    expect(token['sub']).not.toBe('gateway')
    expect(token).not.toHaveProperty('sid')
  })
})
