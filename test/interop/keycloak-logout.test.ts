import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from '../harness/browser.ts'
import { until } from '../harness/processes.ts'
import { type ClientPlace, startClientPlace } from './client-place.ts'
import { claims, createRealm, gist, header, keycloak, nextSecond } from './kit.ts'
import { gatewayClient, type Realm } from './realm.ts'
import { openWire, type Tokens, type Wire } from './wire.ts'

const SECRET = 'a-secret-of-the-gateway'
const OVER = [400, 'invalid_grant', 'Session not active']

/** docs/interop.md R1, R9 to R13. */
describe.skipIf(!keycloak)('sign-outs at Keycloak', () => {
  let place: ClientPlace
  let realm: Realm
  let wire: Wire
  beforeAll(async () => {
    place = await startClientPlace()
    realm = await createRealm({ clients: [gatewayClient({ clientId: 'gateway', secret: SECRET, url: place.url })] })
    wire = openWire({ issuer: realm.issuer, clientId: 'gateway', secret: SECRET, redirectUri: `${place.url}/bff/callback` })
  })
  afterAll(async () => {
    await place?.stop()
    await realm?.remove()
  })

  const noticed = async (act: () => Promise<unknown>): Promise<readonly string[]> => {
    const before = place.notices.length
    await act()
    await until('a notice', () => place.notices.length > before)
    return place.notices.slice(before).map((body) => new URLSearchParams(body).get('logout_token') ?? '')
  }
  const signOut = (browser: Browser, query: Readonly<Record<string, string>>) =>
    browser.navigate(`${wire.endpoint('logout')}?${new URLSearchParams(query).toString()}`, { follow: false })
  const back = (): string => `${place.url}/bff/logout/callback`

  it('with a hint there is no question, with or without cookies, and the client is told', async () => {
    const ada = await wire.signIn('ada', 'openid')
    let location: unknown
    const [token] = await noticed(async () => {
      const answer = await signOut(new Browser(), { id_token_hint: ada.id_token, post_logout_redirect_uri: back(), state: 's1' })
      location = answer.headers['location']
    })
    expect(location).toBe(`${back()}?state=s1`)
    expect(header(token)).toMatchObject({ alg: 'RS256', typ: 'logout+jwt' })
    expect(claims(token)).toMatchObject({
      iss: realm.issuer,
      aud: 'gateway',
      sub: realm.subjects.ada,
      sid: claims(ada.id_token)['sid'],
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    })
    expect(Number(claims(token)['exp']) - Number(claims(token)['iat'])).toBe(120)
    expect(gist(await wire.refresh(ada.refresh_token))).toEqual(OVER)
  })

  it('without a hint the user is asked; an address that is not registered is no way out', async () => {
    const browser = new Browser()
    const { id_token } = await wire.signIn('ada', 'openid', browser)
    const asked = await signOut(browser, { client_id: 'gateway', post_logout_redirect_uri: back() })
    expect([asked.status, asked.body.includes('logout-confirm')]).toEqual([200, true])
    expect((await signOut(browser, { id_token_hint: id_token, post_logout_redirect_uri: 'https://evil.example/' })).status).toBe(400)
  })

  it.each<[string, (tokens: Tokens) => Promise<unknown>]>([
    ['a logout with the refresh token', (tokens) => wire.post('logout', { refresh_token: tokens.refresh_token })],
    ['an administrator who ends the session', ({ id_token }) => realm.admin('DELETE', `/sessions/${String(claims(id_token)['sid'])}`)],
    ['an administrator who signs the user out', () => realm.admin('POST', `/users/${realm.subjects.grace}/logout`)],
  ])('the client is told of %s', async (_what, act) => {
    const tokens = await wire.signIn('grace', 'openid')
    const told = await noticed(() => act(tokens))
    expect(told.map((token) => claims(token)['sid'])).toContain(claims(tokens.id_token)['sid'])
    expect(gist(await wire.refresh(tokens.refresh_token))).toEqual(OVER)
  })

  it('a session with offline_access is not Keycloak’s to sign out: nobody is told, and its refresh token lives on until an administrator moves not-before', async () => {
    const browser = new Browser()
    const { id_token, refresh_token } = await wire.signIn('ada', 'openid offline_access', browser)
    expect(await realm.admin('GET', `/users/${realm.subjects.ada}/sessions`)).not.toContainEqual(
      expect.objectContaining({ id: claims(id_token)['sid'] }),
    )
    const before = place.notices.length
    await signOut(browser, { id_token_hint: id_token, post_logout_redirect_uri: back() })
    expect(gist(await wire.refresh(refresh_token))).toEqual([200])
    // In another second than the token's: an administrator who signs a user out also moves the user's not-before.
    await nextSecond()
    await realm.admin('POST', `/users/${realm.subjects.ada}/logout`)
    await wait(500) // a notice takes 20 ms here; this one never comes
    expect(place.notices.slice(before).map((body) => claims(new URLSearchParams(body).get('logout_token'))['sid'])).not.toContain(
      claims(id_token)['sid'],
    )
    expect(gist(await wire.refresh(refresh_token))).toEqual([400, 'invalid_grant', 'Stale token'])
    expect((await wire.authorize('ada', 'openid', browser, { prompt: 'none' })).get('error')).toBe('login_required')
  })
})
