import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { claims, keycloak } from './kit.ts'
import { gatewayClient } from './realm.ts'
import { openWire, type Wire } from './wire.ts'
import { createKeycloakWorld, type KeycloakWorld } from './world.ts'

const SECRET = 'a-secret-of-the-callers'
/** Where the native application would be called back; nothing listens there. */
const MOBILE = 'http://127.0.0.1:1'

/** Callers without a browser: their tokens are Keycloak's own, issued to other clients for the gateway as an API. */
describe.skipIf(!keycloak)('services and native applications call with access tokens of Keycloak', { timeout: 60_000 }, () => {
  let world: KeycloakWorld
  let mobile: Wire
  beforeAll(async () => {
    const caller = (clientId: string) => {
      const { optionalClientScopes, ...client } = gatewayClient({ clientId, secret: SECRET, url: MOBILE })
      return { ...client, optionalClientScopes: [...(optionalClientScopes as readonly string[]), 'gateway.use'] }
    }
    world = await createKeycloakWorld({
      scopes: { 'gateway.use': 'sallyport' },
      clients: [caller('mobile'), caller('nightly')],
      providerLines: ['  bearer: { audiences: [sallyport] }'],
      routes: ({ orders }) => [
        '  - path: /called/orders',
        `    upstream: ${orders.url}`,
        '    callers: [bearer]',
        '    token: { principal: user, audience: orders, scopes: [orders.read] }',
        '  - path: /called/jobs',
        `    upstream: ${orders.url}`,
        '    callers: [bearer]',
        '    methods: [GET]',
        '    token: { principal: app, audience: orders, scopes: [orders.read] }',
        '    allow: { clients: [nightly] }',
      ],
    })
    mobile = openWire({ issuer: world.realm.issuer, clientId: 'mobile', secret: SECRET, redirectUri: `${MOBILE}/bff/callback` })
  })
  afterAll(() => world?.stop())

  const call = async (path: string, token: string) => {
    const answer = await fetch(`${world.url}${path}`, { headers: { authorization: `Bearer ${token}` } })
    const body = (await answer.json()) as Readonly<Record<string, unknown>>
    return { status: answer.status, body, challenge: answer.headers.get('www-authenticate') ?? '' }
  }
  const asApplication = async (clientId: string, scope: string): Promise<string> => {
    const { body } = await mobile.post('token', { grant_type: 'client_credentials', scope }, { client_id: clientId, client_secret: SECRET })
    return String(body['access_token'])
  }

  it('a user’s token is exchanged: the API sees the user, through the gateway, and nobody else’s audience', async () => {
    const { access_token } = await mobile.signIn('ada', 'openid gateway.use')
    expect([claims(access_token)['aud']].flat()).toContain('sallyport')
    expect(await call('/called/orders', access_token)).toMatchObject({
      status: 200,
      body: { sub: world.realm.subjects.ada, aud: 'orders', azp: 'sallyport' },
    })
    expect(world.orders.callers.at(-1)?.jti).not.toBe(claims(access_token)['jti'])
  })

  it('an application that the route names calls through the gateway’s own token', async () => {
    expect(await call('/called/jobs', await asApplication('nightly', 'gateway.use'))).toMatchObject({
      status: 200,
      body: { client_id: 'sallyport', azp: 'sallyport' },
    })
  })

  it('an application is no user, a user no application, and one that is not named is let in nowhere', async () => {
    const user = (await mobile.signIn('grace', 'openid gateway.use')).access_token
    expect((await call('/called/orders', await asApplication('nightly', 'gateway.use'))).status).toBe(403)
    expect((await call('/called/jobs', user)).status).toBe(403)
    expect((await call('/called/jobs', await asApplication('mobile', 'gateway.use'))).status).toBe(403)
  })

  it('a token for another API, an ID token and a token that was cut are refused with the way to a better one', async () => {
    const { access_token, id_token } = await mobile.signIn('ada', 'openid orders.read gateway.use')
    const foreign = (await mobile.signIn('ada', 'openid orders.read')).access_token
    for (const token of [foreign, id_token, access_token.slice(0, -4)]) {
      const { status, challenge } = await call('/called/orders', token)
      expect(status).toBe(401)
      expect(challenge).toContain('error="invalid_token"')
      expect(challenge).toContain('resource_metadata=')
    }
  })
})
