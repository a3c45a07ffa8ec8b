import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { instant } from '../../src/kernel/time.ts'
import { gatewayClient, USERS } from '../harness/emulators/keycloak/defaults.ts'
import { startKeycloak, type Keycloak } from '../harness/emulators/keycloak/keycloak.ts'
import { authorize, endpoint, get, redeem, refresh, refusal, signedIn } from '../harness/emulators/keycloak/kit.ts'

let kc: Keycloak
const at = instant(Date.now())
beforeAll(async () => {
  kc = await startKeycloak({
    clock: { now: () => at },
    clients: [gatewayClient('https://shop.example.com', { backchannelLogoutUrl: undefined })],
  })
})
afterAll(() => kc.stop())
beforeEach(() => {
  kc.realm.settings.notBefore = 0
  kc.admin.client('sallyport').notBefore = 0
  for (const user of USERS()) kc.realm.users.set(user.username, user)
})
const later = (): void => kc.clock.shift(1000)
const GONE = [400, 'invalid_grant', 'Session not active']
const STALE = [400, 'invalid_grant', 'Stale token']

describe('K7 an administrator', () => {
  it('signs out one session of a user, and no other', async () => {
    const [one, two] = [await signedIn(kc), await signedIn(kc)]
    await kc.admin.signOutSession(String(one.json['session_state']))
    expect(refusal(await refresh(kc, one))).toEqual(GONE)
    expect((await refresh(kc, two)).status).toBe(200)
  })

  it('signs out a user everywhere, who may come back at once', async () => {
    const [one, two] = [await signedIn(kc), await signedIn(kc)]
    await kc.admin.signOutUser('ada')
    expect(refusal(await refresh(kc, one))).toEqual(GONE)
    expect(refusal(await refresh(kc, two))).toEqual(GONE)
    expect((await refresh(kc, await signedIn(kc))).status).toBe(200)
  })

  it('signs out everybody, and tells nobody', async () => {
    const [ada, grace] = [await signedIn(kc), await signedIn(kc, { username: 'grace' })]
    await kc.admin.signOutAll()
    expect([refusal(await refresh(kc, ada)), refusal(await refresh(kc, grace))]).toEqual([GONE, GONE])
    expect(kc.logout.notices).toEqual([])
  })

  it.each<[string, Parameters<Keycloak['admin']['setNotBefore']>[0]]>([
    ['realm', 'realm'],
    ['client', { client: 'sallyport' }],
    ['user', { user: 'ada' }],
  ])('moves the not-before of a %s: older tokens are stale, newer ones are not', async (_of, of) => {
    const login = await signedIn(kc)
    later()
    kc.admin.setNotBefore(of)
    expect(refusal(await refresh(kc, login))).toEqual(STALE)
    const next = await signedIn(kc)
    expect([next.status, next.json['not-before-policy']]).toEqual([200, Math.floor(kc.clock.now() / 1000)])
    expect((await refresh(kc, next)).status).toBe(200)
  })

  it('disables a user and enables them again: nothing is lost', async () => {
    const login = await signedIn(kc)
    const arrived = await authorize(kc)
    kc.admin.disable('ada')
    expect(refusal(await refresh(kc, login))).toEqual([400, 'invalid_grant', 'User disabled'])
    expect(refusal(await redeem(kc, arrived))).toEqual([400, 'invalid_grant', 'User disabled'])
    expect((await authorize(kc)).answer.text).toContain('Account is disabled')
    kc.admin.enable('ada')
    expect((await refresh(kc, login)).status).toBe(200)
  })
})

describe('K12 keys', () => {
  const kids = async (): Promise<unknown> =>
    ((await get(endpoint(kc, 'certs'))).json['keys'] as { readonly kid: string }[]).map(({ kid }) => kid)
  const idToken = async (): Promise<string> => String((await signedIn(kc)).json['id_token'])

  it('a new key signs at once; a passive one still checks; a disabled one is gone from the document', async () => {
    const before = await signedIn(kc)
    const old = kc.realm.keys.active.kid
    const next = await kc.admin.rotateKey()
    expect(await kids()).toEqual(expect.arrayContaining([old, next.kid]))
    expect(decodeProtectedHeader(await idToken()).kid).toBe(next.kid)
    const userinfo = async (): Promise<number> =>
      (await fetch(endpoint(kc, 'userinfo'), { headers: { authorization: `Bearer ${String(before.json['access_token'])}` } })).status
    expect(await userinfo()).toBe(200)
    kc.admin.setKeyState(old, 'disabled')
    expect(await kids()).not.toContain(old)
    expect(await userinfo()).toBe(401)
    // Refresh tokens hang on a secret of their own.
    expect((await refresh(kc, before)).status).toBe(200)
    kc.realm.keys.rollSecret()
    expect(refusal(await refresh(kc, before))).toEqual([400, 'invalid_grant', 'Invalid refresh token'])
  })

  it.each(['RS256', 'PS256', 'ES256', 'EdDSA'] as const)('signs ID tokens with %s where the client says so', async (algorithm) => {
    kc.admin.client('sallyport').idTokenAlgorithm = algorithm
    const token = await idToken()
    expect(decodeProtectedHeader(token).alg).toBe(algorithm)
    const checked = await jwtVerify(token, createRemoteJWKSet(new URL(endpoint(kc, 'certs'))), {
      issuer: kc.issuer,
      audience: 'sallyport',
      currentDate: new Date(kc.clock.now()),
    })
    expect(checked.payload['at_hash']).toMatch(algorithm === 'EdDSA' ? /^[\w-]{43}$/ : /^[\w-]{22}$/)
  })
})
