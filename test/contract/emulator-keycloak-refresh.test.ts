import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { instant } from '../../src/kernel/time.ts'
import { gatewayClient, USERS } from '../harness/emulators/keycloak/defaults.ts'
import { startKeycloak, type Keycloak } from '../harness/emulators/keycloak/keycloak.ts'
import { REALM_DEFAULTS } from '../harness/emulators/keycloak/settings.ts'
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
  signedIn,
  token,
} from '../harness/emulators/keycloak/kit.ts'

let kc: Keycloak
// A clock that stands: seconds decide much here, and pass only where a test says so.
const at = instant(Date.now())
beforeAll(async () => {
  kc = await startKeycloak({
    clock: { now: () => at },
    clients: [
      gatewayClient('https://shop.example.com'),
      { clientId: 'asking', secret: 'asking-secret', consentRequired: true, redirectUris: [REDIRECT_URI], optionalScopes: ['orders.read'] },
    ],
  })
})
afterAll(() => kc.stop())
beforeEach(() => {
  Object.assign(kc.realm.settings, REALM_DEFAULTS)
  kc.realm.users.clear()
  for (const user of USERS()) kc.realm.users.set(user.username, user)
  kc.record.clear()
})

const second = (): void => kc.clock.shift(1000)
const dead = [400, 'invalid_grant', "Session doesn't have required client"]
const REUSED = [400, 'invalid_grant', 'Maximum allowed refresh token reuse exceeded']

describe('K4 refresh', () => {
  it('brings a new one of everything, the same session, and no nonce', async () => {
    const login = await signedIn(kc)
    second()
    const answer = await refresh(kc, login)
    expect(answer.json).toMatchObject({ token_type: 'Bearer', expires_in: 300, refresh_expires_in: 1800, 'not-before-policy': 0 })
    expect(answer.json['session_state']).toBe(login.json['session_state'])
    expect(answer.json['refresh_token']).not.toBe(login.json['refresh_token'])
    const id = claimsOf(answer, 'id_token')
    expect([id['nonce'], id['auth_time'], id.sub]).toEqual([undefined, claimsOf(login, 'id_token')['auth_time'], kc.admin.user('ada').id])
    expect(claimsOf(answer, 'access_token').jti).toMatch(/^onrtrt:/)
  })

  it('`scope` narrows one answer, never the refresh token, and leaves out what was not granted without a word', async () => {
    const login = await signedIn(kc, { parameters: { scope: 'openid orders.read customers.read' } })
    expect(claimsOf(login, 'access_token').aud).toEqual(['orders', 'customers', 'account'])
    const narrow = await refresh(kc, login, { scope: 'openid orders.read inventory.read' })
    expect(claimsOf(narrow, 'access_token')).toMatchObject({ aud: ['orders', 'account'], scope: 'openid orders.read profile email' })
    const other = await refresh(kc, narrow, { scope: 'openid customers.read' })
    expect(claimsOf(other, 'access_token').aud).toEqual(['customers', 'account'])
    const unknown = await refresh(kc, other, { scope: 'openid payroll' })
    expect(refusal(unknown)).toEqual([400, 'invalid_scope', 'Invalid scopes: openid payroll'])
    expect((await refresh(kc, other)).status).toBe(200)
  })

  it('ends when nothing came for the idle time, and starts it anew with every refresh', async () => {
    let answer = await signedIn(kc)
    for (let i = 0; i < 3; i += 1) {
      kc.clock.shift(1799_000)
      answer = { ...(await refresh(kc, answer)), cookie: answer.cookie }
      expect(answer.status).toBe(200)
    }
    kc.clock.shift(1801_000)
    expect(refusal(await refresh(kc, answer))).toEqual([400, 'invalid_grant', 'Token is not active'])
  })

  it('a browser is known for two minutes longer than the idle time says', async () => {
    const { cookie } = await authorize(kc)
    kc.clock.shift(1900_000)
    const late = await authorize(kc, { cookie, parameters: { prompt: 'none' } })
    expect(late.query.has('code')).toBe(true)
    kc.clock.shift(1921_000)
    expect((await authorize(kc, { cookie, parameters: { prompt: 'none' } })).query.get('error')).toBe('login_required')
  })

  it('no token outlives the session', async () => {
    kc.realm.settings.ssoSessionMax = 400
    const login = await signedIn(kc)
    kc.clock.shift(200_000)
    const answer = await refresh(kc, login)
    expect([answer.json['expires_in'], answer.json['refresh_expires_in']]).toEqual([200, 200])
    kc.clock.shift(200_000)
    expect(refusal(await refresh(kc, answer))).toEqual([400, 'invalid_grant', 'Token is not active'])
  })

  it("one client's token is nothing to another", async () => {
    const login = await signedIn(kc)
    const other = await refresh(kc, login, { client_id: 'asking', client_secret: 'asking-secret' })
    expect(refusal(other)).toEqual([400, 'invalid_grant', "Invalid refresh token. Token client and authorized client don't match"])
  })
})

describe('K4 rotation', () => {
  it('off: the old one stays good, four at once are four successes', async () => {
    const login = await signedIn(kc)
    second()
    const answers = await Promise.all([1, 2, 3, 4].map(() => refresh(kc, login)))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
  })

  it('reuse 0: the same again is refused and takes the newest with it', async () => {
    kc.realm.settings.revokeRefreshToken = true
    const login = await signedIn(kc)
    second()
    const next = await refresh(kc, login)
    expect(next.status).toBe(200)
    expect(refusal(await refresh(kc, login))).toEqual(REUSED)
    expect(refusal(await refresh(kc, next))).toEqual(dead)
    expect(kc.record.sentAgain()).toHaveLength(1)
  })

  it('reuse 0: four at once are one success, and its token is dead', async () => {
    kc.realm.settings.revokeRefreshToken = true
    const login = await signedIn(kc)
    second()
    const answers = await Promise.all([1, 2, 3, 4].map(() => refresh(kc, login)))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    const won = answers.find(({ status }) => status === 200)
    expect(won && refusal(await refresh(kc, won))).toEqual(dead)
  })

  it('reuse 0: an older one than the last is stale, and one of the same second passes', async () => {
    kc.realm.settings.revokeRefreshToken = true
    const login = await signedIn(kc)
    second()
    const one = await refresh(kc, login)
    const two = await refresh(kc, one)
    const three = await refresh(kc, two)
    // All of one second: Keycloak cannot tell which is older.
    expect((await refresh(kc, one)).status).toBe(200)
    second()
    expect((await refresh(kc, three)).status).toBe(200)
    expect(refusal(await refresh(kc, login))).toEqual([400, 'invalid_grant', 'Stale token'])
    expect(refusal(await refresh(kc, three))).toEqual(dead)
  })

  it('reuse 2: as often again, and then no more', async () => {
    Object.assign(kc.realm.settings, { revokeRefreshToken: true, refreshTokenMaxReuse: 2 })
    const login = await signedIn(kc)
    second()
    for (let i = 0; i < 3; i += 1) expect((await refresh(kc, login)).status).toBe(200)
    expect(refusal(await refresh(kc, login))).toEqual(REUSED)
  })

  it('after the client was taken out, the person is still signed in at Keycloak', async () => {
    kc.realm.settings.revokeRefreshToken = true
    const login = await signedIn(kc)
    second()
    await refresh(kc, login)
    await refresh(kc, login)
    const again = await authorize(kc, { cookie: login.cookie, parameters: { prompt: 'none' } })
    expect((await redeem(kc, again)).json['session_state']).toBe(login.json['session_state'])
  })
})

describe('K8 offline tokens', () => {
  const offline = { parameters: { scope: 'openid offline_access orders.read' } }

  it('have no end of their own, and nobody is signed in at Keycloak by them', async () => {
    const login = await signedIn(kc, offline)
    expect(login.json['refresh_expires_in']).toBe(0)
    expect((await authorize(kc, { cookie: login.cookie, parameters: { prompt: 'none' } })).query.get('error')).toBe('login_required')
    kc.clock.shift(11 * 3_600_000)
    expect((await refresh(kc, login)).status).toBe(200)
  })

  it('end after 30 days without use, or when the offline session is deleted; signing out does not end them', async () => {
    const login = await signedIn(kc, offline)
    await kc.admin.signOutUser('ada')
    await kc.admin.signOutAll()
    expect((await refresh(kc, login)).status).toBe(200)
    const grace = await signedIn(kc, { ...offline, username: 'grace' })
    kc.clock.shift(31 * 86_400_000)
    expect(refusal(await refresh(kc, grace))).toEqual([400, 'invalid_grant', 'Offline session not active'])
    const again = await signedIn(kc, { ...offline, username: 'grace' })
    await kc.admin.revokeOffline('grace')
    expect(refusal(await refresh(kc, again))).toEqual([400, 'invalid_grant', 'Offline user session not found'])
  })

  it('are not for users without the role', async () => {
    kc.admin.user('grace').realmRoles = []
    const answer = await signedIn(kc, { ...offline, username: 'grace' })
    expect(refusal(answer)).toEqual([400, 'not_allowed', 'Offline tokens not allowed for the user or client'])
  })
})

describe('K8 consent', () => {
  const asking = { client_id: 'asking', client_secret: 'asking-secret' }
  const consented = async (button: 'accept' | 'cancel') => {
    const arrived = await authorize(kc, { parameters: { client_id: 'asking' } })
    expect(arrived.answer.text).toContain('Grant Access to asking')
    const answer = await post(actionOf(arrived.answer) ?? '', { [button]: 'x' })
    return { ...arrived, query: new URL(answer.headers.get('location') ?? '').searchParams }
  }

  it('is asked for once; a no goes back as access_denied', async () => {
    expect((await consented('cancel')).query.get('error')).toBe('access_denied')
    const yes = await consented('accept')
    expect((await redeem(kc, yes, asking)).status).toBe(200)
    expect((await authorize(kc, { parameters: { client_id: 'asking' } })).query.has('code')).toBe(true)
  })

  it('that is revoked refuses the refresh, and the session lives', async () => {
    const login = await redeem(kc, await consented('accept'), asking)
    kc.admin.revokeConsent('ada', 'asking')
    expect(refusal(await refresh(kc, login, asking))).toEqual([400, 'invalid_scope', 'Client no longer has requested consent from user'])
    await consented('accept')
    expect((await refresh(kc, login, asking)).status).toBe(200)
  })
})

describe('revocation (RFC 7009)', () => {
  it('of a refresh token takes the client out; where it was the only one, everything is over', async () => {
    const login = await signedIn(kc)
    const told = kc.logout.notices.length
    const answer = await post(endpoint(kc, 'revoke'), {
      client_id: 'sallyport',
      client_secret: 'canary-keycloak-client-secret',
      token: String(login.json['refresh_token']),
    })
    expect([answer.status, answer.text]).toEqual([200, ''])
    expect(refusal(await refresh(kc, login))).toEqual([400, 'invalid_grant', 'Session not active'])
    expect(kc.logout.notices).toHaveLength(told)
    const again = await post(endpoint(kc, 'revoke'), {
      client_id: 'sallyport',
      client_secret: 'canary-keycloak-client-secret',
      token: String(login.json['refresh_token']),
    })
    expect(refusal(again)).toEqual([200, 'invalid_token', 'Invalid token'])
  })

  it('userinfo and introspection know a live token from a dead one', async () => {
    const login = await signedIn(kc)
    const access = String(login.json['access_token'])
    const info = (): Promise<Response> => fetch(endpoint(kc, 'userinfo'), { headers: { authorization: `Bearer ${access}` } })
    expect((await info()).status).toBe(200)
    const introspect = () =>
      post(endpoint(kc, 'token/introspect'), { client_id: 'sallyport', client_secret: 'canary-keycloak-client-secret', token: access })
    expect((await introspect()).json).toMatchObject({ active: true, client_id: 'sallyport', username: 'ada' })
    await kc.admin.signOutUser('ada')
    expect((await introspect()).json).toEqual({ active: false })
    const refused = await info()
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, expect.stringContaining('error="invalid_token"')])
    expect((await get(endpoint(kc, 'userinfo'))).status).toBe(401)
    expect((await token(kc, { grant_type: 'client_credentials' })).status).toBe(200)
  })
})
