import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { CLIENT_SECRET, gatewayClient, USERS } from '../harness/emulators/keycloak/defaults.ts'
import { startKeycloak, type Keycloak } from '../harness/emulators/keycloak/keycloak.ts'
import { type Answered, claimsOf, endpoint, post, refresh, refusal, signedIn, token } from '../harness/emulators/keycloak/kit.ts'

const TYPE = 'urn:ietf:params:oauth:token-type:'
let kc: Keycloak
let login: Answered
beforeAll(async () => {
  kc = await startKeycloak({
    clients: [
      gatewayClient('https://shop.example.com', { tokenExchangeRefresh: true }),
      { clientId: 'stranger', secret: 'stranger-secret', tokenExchange: true, optionalScopes: ['orders.read'] },
      { clientId: 'plain', secret: 'plain-secret' },
      { clientId: 'open', authenticator: 'public', tokenExchange: true },
      { clientId: 'asking', secret: 'asking-secret', tokenExchange: true, consentRequired: true },
      { clientId: 'middle', secret: 'middle-secret', tokenExchange: true, optionalScopes: ['customers.read'] },
    ],
    scopes: [{ name: 'middle.use', audiences: ['middle', 'asking'] }],
  })
  kc.admin.client('sallyport').optionalScopes = [...kc.admin.client('sallyport').optionalScopes, 'middle.use']
})
afterAll(() => kc.stop())
beforeEach(async () => {
  for (const user of USERS()) kc.realm.users.set(user.username, user)
  login = await signedIn(kc)
})

const exchange = (form: Readonly<Record<string, string | undefined>> = {}, more: readonly [string, string][] = []): Promise<Answered> => {
  const all = {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: String(login.json['access_token']),
    subject_token_type: `${TYPE}access_token`,
    client_id: 'sallyport',
    client_secret: CLIENT_SECRET,
    ...form,
  }
  const given = Object.entries(all).filter((pair): pair is [string, string] => pair[1] !== undefined)
  return token(kc, new URLSearchParams([...given, ...more]))
}

describe('K5 standard token exchange', () => {
  it('one audience: the scope brings it, `audience` takes all others away', async () => {
    const answer = await exchange({ audience: 'customers', scope: 'customers.read' })
    expect(answer.json).toMatchObject({
      token_type: 'Bearer',
      issued_token_type: `${TYPE}access_token`,
      expires_in: 300,
      refresh_expires_in: 0,
    })
    expect('refresh_token' in answer.json).toBe(false)
    const claims = claimsOf(answer, 'access_token')
    expect(claims).toMatchObject({ aud: 'customers', azp: 'sallyport', sub: kc.admin.user('ada').id, sid: login.json['session_state'] })
    expect(claims.jti).toMatch(/^onrtte:/)
  })

  it('without `audience` all that scopes and roles give; two are possible', async () => {
    expect(claimsOf(await exchange({ scope: 'customers.read' }), 'access_token').aud).toEqual(['customers', 'account'])
    const two = await exchange({ audience: 'orders', scope: 'orders.read customers.read' }, [['audience', 'customers']])
    expect(claimsOf(two, 'access_token').aud).toEqual(['orders', 'customers'])
  })

  it('`audience` adds nothing, whatever the subject token carries', async () => {
    expect(claimsOf(login, 'access_token').aud).toContain('orders')
    expect(refusal(await exchange({ audience: 'orders' }))).toEqual([400, 'invalid_request', 'Requested audience not available: orders'])
  })

  it('ignores `resource`, and takes `offline_access` without giving any', async () => {
    expect(claimsOf(await exchange({ resource: 'https://x.example', scope: 'orders.read' }), 'access_token').aud).toEqual([
      'orders',
      'account',
    ])
    const offline = await exchange({ scope: 'orders.read offline_access' })
    expect([offline.status, 'refresh_token' in offline.json]).toEqual([200, false])
  })

  it('asked for an ID token, gives it in place of the access token and says N_A', async () => {
    const answer = await exchange({ requested_token_type: `${TYPE}id_token`, scope: 'openid' })
    expect(answer.json).toMatchObject({ token_type: 'N_A', issued_token_type: `${TYPE}id_token` })
    expect(claimsOf(answer, 'access_token')).toMatchObject({ typ: 'ID', aud: 'sallyport' })
    expect('id_token' in answer.json).toBe(false)
    expect(claimsOf(await exchange({ scope: 'openid' }), 'id_token').typ).toBe('ID')
  })

  it('asked for a refresh token, gives one of the same session that keeps to the audience', async () => {
    const answer = await exchange({ requested_token_type: `${TYPE}refresh_token`, audience: 'orders', scope: 'orders.read' })
    expect(answer.json['session_state']).toBe(login.json['session_state'])
    expect(claimsOf(await refresh(kc, answer), 'access_token').aud).toBe('orders')
    const offline = await exchange({ requested_token_type: `${TYPE}refresh_token`, scope: 'offline_access' })
    expect(refusal(offline)).toEqual([400, 'invalid_request', 'Scope offline_access not allowed for token exchange'])
  })

  it('touches nobody’s refresh token', async () => {
    kc.realm.settings.revokeRefreshToken = true
    await exchange({ scope: 'orders.read' })
    expect((await refresh(kc, login)).status).toBe(200)
    kc.realm.settings.revokeRefreshToken = false
  })

  it('a client that is in the audience may bring the token of another; its result belongs to no session', async () => {
    login = await signedIn(kc, { parameters: { scope: 'openid middle.use' } })
    const answer = await exchange({ client_id: 'middle', client_secret: 'middle-secret', audience: 'customers', scope: 'customers.read' })
    expect(claimsOf(answer, 'access_token')).toMatchObject({ aud: 'customers', azp: 'middle', sub: kc.admin.user('ada').id })
    expect(['sid' in claimsOf(answer, 'access_token'), answer.json['session_state']]).toEqual([false, undefined])
    const consent = await exchange({ client_id: 'asking', client_secret: 'asking-secret' })
    expect(refusal(consent)).toEqual([400, 'invalid_scope', 'Missing consents for Token Exchange in client asking'])
  })
})

describe('K5 refuses', () => {
  it.each([
    ['rubbish', { subject_token: 'rubbish' }, [400, 'invalid_request', 'Invalid token']],
    ['no token', { subject_token: undefined }, [400, 'invalid_request', "Parameter 'subject_token' required for standard token exchange"]],
    [
      'an ID token',
      { subject_token_type: `${TYPE}id_token` },
      [400, 'invalid_request', "Parameter 'subject_token' supports access tokens only"],
    ],
    ['an unknown audience', { audience: 'payroll' }, [400, 'invalid_client', 'Audience not found']],
    ['an unknown scope', { scope: 'payroll' }, [400, 'invalid_scope', 'Invalid scopes: payroll']],
    ['an unknown type', { requested_token_type: `${TYPE}saml2` }, [400, 'invalid_request', 'requested_token_type unsupported']],
    [
      'a subject by name',
      { requested_subject: 'grace' },
      [400, 'invalid_request', "Parameter 'requested_subject' is not supported for standard token exchange"],
    ],
    [
      'a client outside the audience',
      { client_id: 'stranger', client_secret: 'stranger-secret' },
      [403, 'access_denied', 'Client is not within the token audience'],
    ],
    [
      'a client without the switch',
      { client_id: 'plain', client_secret: 'plain-secret' },
      [400, 'invalid_request', 'Standard token exchange is not enabled for the requested client'],
    ],
    ['a public client', { client_id: 'open' }, [400, 'invalid_client', 'Public client is not allowed to exchange token']],
  ])('%s', async (_what, form, words) => {
    expect(refusal(await exchange(form))).toEqual(words)
  })

  it.each<[string, () => unknown]>([
    ['expired', () => kc.clock.shift(301_000)],
    ['of a session that ended', () => kc.admin.signOutUser('ada')],
    ['of a disabled user', () => kc.admin.disable('ada')],
    [
      'of a client that was taken out',
      () =>
        post(endpoint(kc, 'revoke'), { client_id: 'sallyport', client_secret: CLIENT_SECRET, token: String(login.json['refresh_token']) }),
    ],
  ])('a subject token that is %s', async (_what, spoil) => {
    await spoil()
    expect(refusal(await exchange({ scope: 'orders.read' }))).toEqual([400, 'invalid_request', 'Invalid token'])
  })

  it('the application’s own token needs no session', async () => {
    const app = await token(kc, { grant_type: 'client_credentials' })
    const answer = await exchange({ subject_token: String(app.json['access_token']), audience: 'orders', scope: 'orders.read' })
    expect(claimsOf(answer, 'access_token')).toMatchObject({ aud: 'orders', preferred_username: 'service-account-sallyport' })
  })
})
