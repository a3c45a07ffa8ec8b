import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Oidc } from '../harness/emulators/oidc/oidc.ts'
import { OKTA_AUDIENCE, OKTA_TRUSTED, startOkta } from '../harness/emulators/okta/okta.ts'
import { claimsIn, PUBLIC_URL, wireOf } from './emulator-oidc-kit.ts'

const LOGIN = 'openid profile email offline_access orders.read customers.read'
let okta: Oidc
let wire: Awaited<ReturnType<typeof wireOf>>
beforeAll(async () => {
  okta = await startOkta({ publicUrl: PUBLIC_URL })
  wire = await wireOf(okta)
})
afterAll(() => okta.stop())

describe('an authorization server is one audience', () => {
  it('in a path of its own, and all of its tokens are for it', async () => {
    expect(okta.issuer).toMatch(/\/oauth2\/default$/)
    const signedIn = await wire.signIn({ scope: LOGIN })
    const refreshed = await wire.refresh(signedIn['refresh_token'], { scope: 'openid orders.read', resource: 'api://other' })
    const own = await wire.token({ grant_type: 'client_credentials', scope: 'orders.read', audience: 'api://other' })
    for (const token of [signedIn, refreshed.body, own.body]) expect(claimsIn(token['access_token']).aud).toBe(OKTA_AUDIENCE)
    expect(claimsIn(refreshed.body['access_token'])).toMatchObject({
      cid: 'sallyport',
      uid: '00uada',
      sub: 'ada@shop.example',
      scp: ['openid', 'orders.read'],
    })
    expect(claimsIn(own.body['access_token'])).toMatchObject({ cid: 'sallyport', sub: 'sallyport' })
    expect(claimsIn(own.body['access_token'])).not.toHaveProperty('uid')
  })

  it('a refresh narrows and never widens', async () => {
    const { refresh_token: token } = await wire.signIn({ scope: LOGIN })
    expect((await wire.refresh(token, { scope: 'orders.write' })).body['error']).toBe('invalid_scope')
  })

  it('an exchange is for a server that trusts this one, and leaves nothing behind but one token', async () => {
    const { access_token: subject } = await wire.signIn({ scope: LOGIN })
    const { body } = await wire.exchange(subject, { audience: OKTA_TRUSTED[0] ?? '', scope: 'orders.read' })
    expect(body).toMatchObject({ issued_token_type: 'urn:ietf:params:oauth:token-type:access_token' })
    expect(claimsIn(body['access_token'])).toMatchObject({ aud: OKTA_TRUSTED[0], uid: '00uada' })
    for (const name of ['refresh_token', 'id_token']) expect(body).not.toHaveProperty(name)
    expect((await wire.exchange(subject, { audience: 'api://stranger', scope: 'orders.read' })).body['error']).toBe('invalid_target')
    expect((await wire.exchange(subject, { audience: OKTA_TRUSTED[0] ?? '', scope: 'openid' })).body['error']).toBe('invalid_scope')
    expect((await wire.exchange('made-up', { audience: OKTA_TRUSTED[0] ?? '', scope: 'orders.read' })).body['error']).toBe('invalid_grant')
  })
})

it('a spent refresh token is good for 30 s more; beyond, the newest one is dead as well', async () => {
  const { refresh_token: first } = await wire.signIn({ scope: LOGIN })
  const second = (await wire.refresh(first)).body['refresh_token']
  expect(second).not.toBe(first)
  okta.clock.shift(29_000)
  expect((await wire.refresh(first)).status).toBe(200)
  okta.clock.shift(2_000)
  expect((await wire.refresh(first)).body['error']).toBe('invalid_grant')
  expect((await wire.refresh(second)).body['error']).toBe('invalid_grant')
})

it('a sign-out needs the ID token, and leads back', async () => {
  const { id_token: hint } = await wire.signIn({ scope: LOGIN })
  const back = { post_logout_redirect_uri: `${PUBLIC_URL}/bff/logout/callback`, state: 's' }
  expect((await wire.signOut(back)).status).toBe(400)
  expect(await wire.signOut({ ...back, id_token_hint: String(hint) })).toEqual({
    status: 302,
    location: `${back.post_logout_redirect_uri}?state=s`,
  })
})

it('an assertion is addressed to the token endpoint, to nobody else, and a secret is none then', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  okta.setClientKeys([{ ...publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'ES256' }])
  const assertion = (audience: string | string[]): Promise<string> =>
    new SignJWT({ jti: randomUUID() })
      .setProtectedHeader({ alg: 'ES256', kid: 'k' })
      .setIssuer(okta.clientId)
      .setSubject(okta.clientId)
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime('60s')
      .sign(privateKey)
  const ask = async (audience: string | string[]) =>
    wire.post({
      grant_type: 'client_credentials',
      scope: 'orders.read',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: await assertion(audience),
    })
  const endpoint = String(wire.document['token_endpoint'])
  expect((await ask(endpoint)).status).toBe(200)
  for (const wrong of [okta.issuer, [endpoint, okta.issuer]]) expect((await ask(wrong)).body['error']).toBe('invalid_client')
  expect((await wire.token({ grant_type: 'client_credentials', scope: 'orders.read' })).body['error']).toBe('invalid_client')
  okta.setClientKeys(undefined)
})
