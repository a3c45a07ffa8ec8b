import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AUTH0_APIS, startAuth0 } from '../harness/emulators/auth0/auth0.ts'
import type { Oidc } from '../harness/emulators/oidc/oidc.ts'
import { claimsIn, isReadable, PUBLIC_URL, wireOf } from './emulator-oidc-kit.ts'

const [ORDERS = '', CUSTOMERS = '', GATEWAY = ''] = AUTH0_APIS
const LOGIN = { scope: 'openid profile email offline_access orders.read', audience: ORDERS }
let auth0: Oidc
let wire: Awaited<ReturnType<typeof wireOf>>
beforeAll(async () => {
  auth0 = await startAuth0({ publicUrl: PUBLIC_URL })
  wire = await wireOf(auth0)
})
afterAll(() => auth0.stop())

it('the issuer ends with a slash, in discovery and in tokens', async () => {
  expect(wire.document['issuer']).toBe(`${auth0.origin}/`)
  expect(claimsIn((await wire.signIn(LOGIN))['id_token']).iss).toBe(`${auth0.origin}/`)
})

describe('`audience` says what a token is for', () => {
  it('without one it is for userinfo alone, and no JWT', async () => {
    expect(isReadable((await wire.signIn({ scope: LOGIN.scope }))['access_token'])).toBe(false)
    expect(claimsIn((await wire.signIn(LOGIN))['access_token']).aud).toBe(ORDERS)
  })

  it('a refresh is for another API where a policy covers it; any other one is passed over in silence', async () => {
    const { refresh_token: first } = await wire.signIn(LOGIN)
    const covered = await wire.refresh(first, { audience: CUSTOMERS, scope: 'customers.read' })
    expect(claimsIn(covered.body['access_token']).aud).toBe(CUSTOMERS)
    const other = await wire.refresh(covered.body['refresh_token'], { audience: GATEWAY, scope: 'gateway.use' })
    expect([other.status, claimsIn(other.body['access_token']).aud]).toEqual([200, ORDERS])
  })

  it('exchange and client credentials name theirs, and one that is no API is refused', async () => {
    const { access_token: subject } = await wire.signIn(LOGIN)
    const { body } = await wire.exchange(subject, { audience: CUSTOMERS, scope: 'customers.read' })
    expect(claimsIn(body['access_token'])).toMatchObject({ aud: CUSTOMERS, sub: 'auth0|ada' })
    const own = await wire.token({ grant_type: 'client_credentials', audience: ORDERS })
    expect(claimsIn(own.body['access_token'])).toMatchObject({ aud: ORDERS, sub: 'sallyport@clients', gty: 'client-credentials' })
    const refused = await wire.token({ grant_type: 'client_credentials', audience: 'https://nobody.example/' })
    expect([refused.status, refused.body['error']]).toEqual([403, 'access_denied'])
  })
})

it('a refresh token that comes twice takes its whole family along', async () => {
  const { refresh_token: first } = await wire.signIn(LOGIN)
  const second = (await wire.refresh(first)).body['refresh_token']
  expect((await wire.refresh(first)).body['error']).toBe('invalid_grant')
  expect((await wire.refresh(second)).body['error']).toBe('invalid_grant')
})

it('a user who is signed out everywhere is told of by `sid`, at every client, and their refresh tokens are dead', async () => {
  const told: URLSearchParams[] = []
  const receiver = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
    request.on('end', () => {
      told.push(new URLSearchParams(body))
      response.end()
    })
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  const publicUrl = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`
  const other = await startAuth0({ publicUrl })
  const own = await wireOf(other)
  const redirect = { redirect_uri: `${publicUrl}/bff/callback` }
  const { callback, verifier } = await own.authorize({ ...LOGIN, ...redirect })
  const { body } = await own.token({
    grant_type: 'authorization_code',
    code: callback.get('code') ?? '',
    code_verifier: verifier,
    ...redirect,
  })
  await other.signOut('ada')
  const notice = claimsIn(told[0]?.get('logout_token'))
  expect(notice).toMatchObject({ iss: `${other.origin}/`, aud: 'sallyport', sub: 'auth0|ada', sid: claimsIn(body['id_token'])['sid'] })
  expect(notice['events']).toHaveProperty(['http://schemas.openid.net/event/backchannel-logout'])
  expect((await own.refresh(body['refresh_token'])).status).toBe(400)
  await other.stop()
  receiver.close()
})
