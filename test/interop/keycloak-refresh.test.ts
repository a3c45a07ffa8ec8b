import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { claims, createRealm, gist, nextSecond, keycloak } from './kit.ts'
import { gatewayClient, type Realm } from './realm.ts'
import { openWire, type Wire } from './wire.ts'

/** docs/interop.md R6 to R8: what the emulator's rotation, and the broker, rest on. */
describe.skipIf(!keycloak)('refresh at Keycloak with "revoke refresh token" and reuse 0', () => {
  const url = 'http://127.0.0.1:1'
  let realm: Realm
  let wire: Wire
  beforeAll(async () => {
    realm = await createRealm({ clients: [gatewayClient({ clientId: 'gateway', secret: 'a-secret-of-the-gateway', url })] })
    wire = openWire({
      issuer: realm.issuer,
      clientId: 'gateway',
      secret: 'a-secret-of-the-gateway',
      redirectUri: `${url}/bff/callback`,
    })
  })
  afterAll(() => realm?.remove())

  const DETACHED = [400, 'invalid_grant', "Session doesn't have required client"]
  const REUSED = [400, 'invalid_grant', 'Maximum allowed refresh token reuse exceeded']
  const renew = async (token: string): Promise<string> => {
    const answer = await wire.refresh(token)
    expect(gist(answer)).toEqual([200])
    return String(answer.body['refresh_token'])
  }

  it('the token that was used last, again, is refused, and takes the newest one with it', async () => {
    const { refresh_token } = await wire.signIn('ada', 'openid')
    const newest = await renew(refresh_token)
    expect(gist(await wire.refresh(refresh_token))).toEqual(REUSED)
    expect(gist(await wire.refresh(newest))).toEqual(DETACHED)
  })

  it('an older one is stale, and takes the newest one with it', async () => {
    const { refresh_token } = await wire.signIn('ada', 'openid')
    const second = await renew(refresh_token)
    await nextSecond()
    const third = await renew(second)
    expect(gist(await wire.refresh(refresh_token))).toEqual([400, 'invalid_grant', 'Stale token'])
    expect(gist(await wire.refresh(third))).toEqual(DETACHED)
  })

  it('of four at once one gets a token, and that is dead', async () => {
    const { refresh_token } = await wire.signIn('ada', 'openid')
    const answers = await Promise.all([1, 2, 3, 4].map(() => wire.refresh(refresh_token)))
    const [won, ...more] = answers.filter(({ status }) => status === 200)
    expect(more).toHaveLength(0)
    expect(answers.map(gist)).toContainEqual(REUSED)
    expect(gist(await wire.refresh(String(won?.body['refresh_token'])))).toEqual(DETACHED)
  })

  it('a scope narrows the access token, not what the next refresh may ask for; more than was granted is left out without a word', async () => {
    const { refresh_token } = await wire.signIn('ada', 'openid orders.read')
    const narrow = await wire.refresh(refresh_token, { scope: 'openid' })
    expect(claims(narrow.body['access_token'])['aud']).toBe('account')
    const wide = await wire.refresh(String(narrow.body['refresh_token']), { scope: 'openid orders.read customers.read' })
    expect(gist(wide)).toEqual([200])
    expect(claims(wide.body['access_token'])['aud']).toEqual(['orders', 'account'])
    expect(String(wide.body['scope']).split(' ')).not.toContain('customers.read')
  })

  it('a scope the client does not have is refused, and spends nothing', async () => {
    const { refresh_token } = await wire.signIn('ada', 'openid')
    expect(gist(await wire.refresh(refresh_token, { scope: 'openid nonsense' }))).toEqual([
      400,
      'invalid_scope',
      'Invalid scopes: openid nonsense',
    ])
    await renew(refresh_token)
  })

  it('a code that comes twice ends the session its first use began', async () => {
    const code = (await wire.authorize('ada', 'openid')).get('code') ?? ''
    const first = await wire.redeem(code)
    expect(gist(await wire.redeem(code))).toEqual([400, 'invalid_grant', 'Code not valid'])
    expect(gist(await wire.refresh(String(first.body['refresh_token'])))).toEqual(DETACHED)
  })

  it('after a revocation the whole sign-in is over; what is no token is answered 200 with an error in it', async () => {
    const { refresh_token } = await wire.signIn('ada', 'openid')
    expect(gist(await wire.post('revoke', { token: refresh_token, token_type_hint: 'refresh_token' }))).toEqual([200])
    expect(gist(await wire.refresh(refresh_token))).toEqual([400, 'invalid_grant', 'Session not active'])
    expect(gist(await wire.post('revoke', { token: refresh_token }))).toEqual([200, 'invalid_token', 'Invalid token'])
  })

  it('a user who is disabled is refused until enabled again; not-before makes a token stale', async () => {
    const { refresh_token } = await wire.signIn('grace', 'openid')
    const user = `/users/${realm.subjects.grace}`
    await realm.admin('PUT', user, { enabled: false })
    expect(gist(await wire.refresh(refresh_token))).toEqual([400, 'invalid_grant', 'User disabled'])
    await realm.admin('PUT', user, { enabled: true })
    const next = await renew(refresh_token)
    await nextSecond()
    await realm.admin('PUT', '', { notBefore: Math.floor(Date.now() / 1000) })
    expect(gist(await wire.refresh(next))).toEqual([400, 'invalid_grant', 'Stale token'])
    await realm.admin('PUT', '', { notBefore: 0 })
  })
})
