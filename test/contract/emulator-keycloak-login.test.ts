import { decodeProtectedHeader } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { gatewayClient } from '../harness/emulators/keycloak/defaults.ts'
import { startKeycloak, type Keycloak } from '../harness/emulators/keycloak/keycloak.ts'
import {
  actionOf,
  authorize,
  claimsOf,
  endpoint,
  get,
  post,
  redeem,
  REDIRECT_URI,
  refresh,
  refusal,
  SECRET,
  signedIn,
} from '../harness/emulators/keycloak/kit.ts'

let kc: Keycloak
beforeAll(async () => {
  kc = await startKeycloak({
    clients: [gatewayClient('https://shop.example.com'), { clientId: 'other', secret: 'other-secret', redirectUris: [REDIRECT_URI] }],
  })
})
afterAll(() => kc.stop())
beforeEach(() => kc.faults.clear())

describe('K1 discovery', () => {
  it('names itself, every endpoint, and what it can do', async () => {
    const { status, json } = await get(`${kc.issuer}/.well-known/openid-configuration`)
    expect(status).toBe(200)
    expect(json).toMatchObject({
      issuer: kc.issuer,
      token_endpoint: endpoint(kc, 'token'),
      end_session_endpoint: endpoint(kc, 'logout'),
      pushed_authorization_request_endpoint: endpoint(kc, 'ext/par/request'),
      device_authorization_endpoint: endpoint(kc, 'auth/device'),
      backchannel_authentication_endpoint: endpoint(kc, 'ext/ciba/auth'),
      authorization_response_iss_parameter_supported: true,
      backchannel_logout_supported: true,
      backchannel_logout_session_supported: true,
      frontchannel_logout_supported: true,
      frontchannel_logout_session_supported: true,
      tls_client_certificate_bound_access_tokens: true,
      require_pushed_authorization_requests: false,
    })
    expect(json['dpop_signing_alg_values_supported']).toContain('ES256')
    expect(json['code_challenge_methods_supported']).toContain('S256')
  })

  it('answers a realm it does not have with 404', async () => {
    expect((await get(`${kc.origin}/realms/nowhere/.well-known/openid-configuration`)).status).toBe(404)
  })

  it('split by host: the issuer and the pages are public, what clients call is where they came by', async () => {
    const split = await startKeycloak({ publicOrigin: 'https://login.shop.example' })
    const { json } = await get(`${split.origin}/realms/shop/.well-known/openid-configuration`)
    expect(json['issuer']).toBe('https://login.shop.example/realms/shop')
    expect(json['authorization_endpoint']).toMatch(/^https:\/\/login\.shop\.example\//)
    expect(json['token_endpoint']).toMatch(new RegExp(`^${split.origin}/`))
    await split.stop()
  })
})

describe('K2 login', () => {
  it('comes back with code, state, session_state and iss', async () => {
    const { query, answer } = await authorize(kc)
    expect(answer.status).toBe(302)
    expect([query.get('state'), query.get('iss')]).toEqual(['the-state', kc.issuer])
    expect(query.get('session_state')).toBe(query.get('code')?.split('.')[1])
  })

  it('the code becomes tokens with members of its own', async () => {
    const answer = await signedIn(kc)
    expect(answer.status).toBe(200)
    expect(answer.json).toMatchObject({ token_type: 'Bearer', expires_in: 300, refresh_expires_in: 1800, 'not-before-policy': 0 })
    const id = claimsOf(answer, 'id_token')
    const ada = kc.admin.user('ada')
    expect(id).toMatchObject({ iss: kc.issuer, aud: 'sallyport', azp: 'sallyport', typ: 'ID', sub: ada.id, nonce: 'the-nonce', acr: '1' })
    expect(id['sid']).toBe(answer.json['session_state'])
    expect(claimsOf(answer, 'access_token')).toMatchObject({ aud: ['orders', 'account'], azp: 'sallyport', typ: 'Bearer', sid: id['sid'] })
    expect(decodeProtectedHeader(String(answer.json['refresh_token'])).alg).toBe('HS512')
  })

  it('a client with the attribute is not served without PKCE', async () => {
    const bare = { code_challenge: undefined, code_challenge_method: undefined }
    const none = await authorize(kc, { parameters: bare })
    expect([none.query.get('error'), none.query.get('error_description')]).toEqual([
      'invalid_request',
      'Missing parameter: code_challenge_method',
    ])
    const plain = await authorize(kc, { parameters: { code_challenge_method: 'plain' } })
    expect(plain.query.get('error')).toBe('invalid_request')
    const free = await authorize(kc, { parameters: { ...bare, client_id: 'other', scope: 'openid' } })
    expect(free.query.has('code')).toBe(true)
  })

  it.each([
    ['a wrong verifier', { code_verifier: 'x'.repeat(43) }, 'PKCE verification failed: Code mismatch'],
    ['another redirect URI', { redirect_uri: 'https://shop.example.com/other' }, 'Incorrect redirect_uri'],
    ['another client', { client_id: 'other', client_secret: 'other-secret' }, 'Auth error: Found different client_id in clientSession'],
  ])('a code with %s is refused', async (_what, more, words) => {
    expect(refusal(await redeem(kc, await authorize(kc), more))).toEqual([400, 'invalid_grant', words])
  })

  it('a code lives 60 seconds', async () => {
    const arrived = await authorize(kc)
    kc.clock.shift(60_000)
    expect(refusal(await redeem(kc, arrived))).toEqual([400, 'invalid_grant', 'Code is expired'])
  })

  it('a code that is used again ends what it was used for', async () => {
    const arrived = await authorize(kc)
    const first = await redeem(kc, arrived)
    expect(refusal(await redeem(kc, arrived))).toEqual([400, 'invalid_grant', 'Code not valid'])
    expect(refusal(await refresh(kc, first))).toEqual([400, 'invalid_grant', "Session doesn't have required client"])
  })

  it.each([
    [{ client_id: 'nobody' }, 400, 'Client not found.'],
    [{ redirect_uri: 'https://evil.example' }, 400, 'Invalid parameter: redirect_uri'],
    [{ client_id: 'orders' }, 403, 'Bearer-only applications are not allowed to initiate browser login.'],
  ])('never redirects for %o', async (parameters, status, words) => {
    const { answer } = await authorize(kc, { parameters })
    expect([answer.status, answer.headers.get('location')]).toEqual([status, null])
    expect(answer.text).toContain(words)
  })

  it('refuses a scope nobody gave the client, by redirect', async () => {
    const { query } = await authorize(kc, { parameters: { scope: 'openid payroll' } })
    expect([query.get('error'), query.get('error_description'), query.get('iss')]).toEqual([
      'invalid_scope',
      'Invalid scopes: openid payroll',
      kc.issuer,
    ])
  })

  it('signs nobody in with a wrong password, and knows a browser it has seen', async () => {
    const page = await get(`${endpoint(kc, 'auth')}?client_id=other&response_type=code&redirect_uri=${encodeURIComponent(REDIRECT_URI)}`)
    const wrong = await post(actionOf(page) ?? '', { username: 'ada', password: 'x' })
    expect([wrong.status, wrong.text.includes('Invalid username or password.')]).toEqual([200, true])
    const first = await authorize(kc)
    const again = await authorize(kc, { cookie: first.cookie, parameters: { prompt: 'none' } })
    expect(again.query.get('session_state')).toBe(first.query.get('session_state'))
    expect((await authorize(kc, { parameters: { prompt: 'none' } })).query.get('error')).toBe('login_required')
    const other = await authorize(kc, { cookie: first.cookie, username: 'grace', parameters: { prompt: 'login' } })
    expect(other.answer.text).toContain('You are already authenticated as different user')
  })

  it('takes a pushed request once, from the client that pushed it (RFC 9126)', async () => {
    const request = {
      client_id: 'other',
      client_secret: 'other-secret',
      response_type: 'code',
      redirect_uri: REDIRECT_URI,
      scope: 'openid',
    }
    const pushed = await post(endpoint(kc, 'ext/par/request'), request)
    expect([pushed.status, pushed.json['expires_in']]).toEqual([201, 60])
    const reference = { client_id: 'other', request_uri: String(pushed.json['request_uri']) }
    const bare = { response_type: undefined, redirect_uri: undefined, scope: undefined }
    expect((await authorize(kc, { parameters: { ...bare, ...reference, client_id: 'sallyport' } })).answer.status).toBe(400)
    const again = await post(endpoint(kc, 'ext/par/request'), request)
    const fresh = { ...reference, request_uri: String(again.json['request_uri']) }
    expect((await authorize(kc, { parameters: { ...bare, ...fresh } })).query.has('code')).toBe(true)
    expect((await authorize(kc, { parameters: { ...bare, ...fresh } })).answer.status).toBe(400)
  })

  it('signs in without a page where a test says so', async () => {
    kc.autoLogin = 'grace'
    const answer = await signedIn(kc)
    kc.autoLogin = undefined
    expect(claimsOf(answer, 'id_token')['preferred_username']).toBe('grace')
  })

  it('has the device endpoint, and the flow is off for the client', async () => {
    expect(refusal(await post(endpoint(kc, 'auth/device'), SECRET)).slice(0, 2)).toEqual([400, 'unauthorized_client'])
  })
})

describe('K9 levels of authentication', () => {
  beforeAll(() => {
    kc.realm.settings.acrLoaMap = { silver: 1, gold: 2 }
  })
  afterAll(() => {
    kc.realm.settings.acrLoaMap = {}
  })
  const essential = (value: string): Record<string, string> => ({
    claims: JSON.stringify({ id_token: { acr: { essential: true, values: [value] } } }),
  })
  const acr = async (options: Parameters<typeof authorize>[1]): Promise<unknown> => claimsOf(await signedIn(kc, options), 'id_token')['acr']

  it('`acr_values` is a wish: who cannot, gets in with less, and the ID token says so', async () => {
    expect(await acr({ parameters: { acr_values: 'gold' }, otp: '123456' })).toBe('gold')
    expect(await acr({ parameters: { acr_values: 'gold' }, username: 'grace' })).toBe('silver')
  })

  it('an essential claim is a condition', async () => {
    expect(await acr({ parameters: essential('gold'), otp: '123456' })).toBe('gold')
    const { answer } = await authorize(kc, { parameters: essential('gold'), username: 'grace' })
    expect([answer.status, answer.text.includes('Authentication requirements not fulfilled')]).toEqual([400, true])
  })

  it('an essential level nobody knows is refused on a page', async () => {
    const { answer } = await authorize(kc, { parameters: essential('platinum') })
    expect([answer.status, answer.text.includes('Invalid parameter: claims')]).toEqual([400, true])
    expect(await acr({ parameters: { acr_values: 'platinum' } })).toBe('silver')
  })

  it('a browser signed in at a lower level sees the page again, and keeps its session', async () => {
    const low = await authorize(kc)
    const none = await authorize(kc, { cookie: low.cookie, parameters: { acr_values: 'gold', prompt: 'none' } })
    expect(none.query.get('error')).toBe('login_required')
    const high = await authorize(kc, { cookie: low.cookie, parameters: { acr_values: 'gold' }, otp: '123456' })
    expect(high.query.get('session_state')).toBe(low.query.get('session_state'))
    expect(claimsOf(await redeem(kc, high), 'id_token')['acr']).toBe('gold')
  })

  it('`max_age` asks again whom it finds too long signed in', async () => {
    const first = await authorize(kc)
    kc.clock.shift(20_000)
    const asked = await authorize(kc, { cookie: first.cookie, parameters: { max_age: '10', prompt: 'none' } })
    expect(asked.query.get('error')).toBe('login_required')
    const again = await authorize(kc, { cookie: first.cookie, parameters: { max_age: '10' } })
    expect(again.query.get('session_state')).toBe(first.query.get('session_state'))
    expect(Number(claimsOf(await redeem(kc, again), 'id_token')['auth_time'])).toBeGreaterThanOrEqual(Math.floor(kc.clock.now() / 1000) - 2)
  })
})
