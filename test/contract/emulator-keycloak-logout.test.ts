import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
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
  refresh,
  refusal,
  SECRET,
  signedIn,
} from '../harness/emulators/keycloak/kit.ts'

const AFTER = 'https://shop.example.com/bff/logout/callback'
const GONE = [400, 'invalid_grant', 'Session not active']
let kc: Keycloak
/** Path and logout token of each notice, as a client received it. */
let received: { readonly path: string; readonly token: string }[] = []
let answerWith = 200
const listener: Server = createServer((request, response) => {
  let body = ''
  request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
  request.on('end', () => {
    received.push({ path: request.url ?? '', token: new URLSearchParams(body).get('logout_token') ?? '' })
    response.writeHead(answerWith).end()
  })
})
beforeAll(async () => {
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const url = `http://127.0.0.1:${(listener.address() as AddressInfo).port}`
  const redirectUris = ['https://shop.example.com/bff/callback']
  kc = await startKeycloak({
    clients: [
      gatewayClient('https://shop.example.com', { backchannelLogoutUrl: `${url}/shop` }),
      { clientId: 'books', secret: 'books-secret', redirectUris, backchannelLogoutUrl: `${url}/books`, backchannelSessionRequired: false },
      {
        clientId: 'frames',
        secret: 'frames-secret',
        redirectUris,
        frontchannelLogoutUrl: 'https://frames.example/out?x=1',
        backchannelLogoutUrl: `${url}/never`,
      },
    ],
  })
})
afterAll(async () => {
  await kc.stop()
  listener.close()
})
beforeEach(() => {
  received = []
  answerWith = 200
  Object.assign(kc.logout.delivery, { copies: 1, before: undefined, type: 'logout+jwt' })
  for (const one of kc.realm.users.values()) one.notBefore = 0
})

const logout = (parameters: Readonly<Record<string, string>>, cookie = '') =>
  get(`${endpoint(kc, 'logout')}?${new URLSearchParams(parameters).toString()}`, cookie)
const hint = (login: Awaited<ReturnType<typeof signedIn>>) => ({ id_token_hint: String(login.json['id_token']) })

describe('K6 logout by the browser', () => {
  it('with a hint: at once, back with state, and every client that listens is told once', async () => {
    const login = await signedIn(kc)
    await authorize(kc, { cookie: login.cookie, parameters: { client_id: 'books', scope: 'openid' } })
    const answer = await logout({ ...hint(login), post_logout_redirect_uri: AFTER, state: 's1' }, login.cookie)
    expect([answer.status, answer.headers.get('location')]).toEqual([302, `${AFTER}?state=s1`])
    expect(received.map(({ path }) => path).toSorted()).toEqual(['/books', '/shop'])
    expect(refusal(await refresh(kc, login))).toEqual(GONE)
    expect((await authorize(kc, { cookie: login.cookie, parameters: { prompt: 'none' } })).query.get('error')).toBe('login_required')
  })

  it('with a hint it needs no cookie, and an expired hint will do', async () => {
    const login = await signedIn(kc)
    kc.clock.shift(600_000)
    const answer = await logout({ ...hint(login), post_logout_redirect_uri: AFTER })
    expect(answer.headers.get('location')).toBe(AFTER)
    expect(refusal(await refresh(kc, login))).toEqual(GONE)
  })

  it('without a hint people are asked, and nothing happens until they say yes', async () => {
    const login = await signedIn(kc)
    const page = await logout({ client_id: 'sallyport', post_logout_redirect_uri: AFTER, state: 's2' }, login.cookie)
    expect([page.status, page.text.includes('Do you want to log out?')]).toEqual([200, true])
    expect((await refresh(kc, login)).status).toBe(200)
    const yes = await post(actionOf(page) ?? '', { confirmLogout: 'Logout' }, { cookie: login.cookie })
    expect(yes.headers.get('location')).toBe(`${AFTER}?state=s2`)
    expect(refusal(await refresh(kc, login))).toEqual(GONE)
  })

  it.each([
    [
      'a redirect that is not registered',
      { client_id: 'sallyport', post_logout_redirect_uri: 'https://evil.example' },
      'Invalid redirect uri',
    ],
    ['a redirect of nobody', { post_logout_redirect_uri: AFTER }, 'Missing parameters: id_token_hint'],
    ['a hint that is none', { id_token_hint: 'rubbish' }, 'Invalid parameter: id_token_hint'],
  ])('refuses %s on a page', async (_what, parameters, words) => {
    const answer = await logout(parameters)
    expect([answer.status, answer.headers.get('location')]).toEqual([400, null])
    expect(answer.text).toContain(words)
  })

  it('clients of the front channel get a frame with iss and sid, and no notice', async () => {
    const login = await signedIn(kc)
    await authorize(kc, { cookie: login.cookie, parameters: { client_id: 'frames', scope: 'openid' } })
    const page = await logout({ ...hint(login), post_logout_redirect_uri: AFTER }, login.cookie)
    expect(page.status).toBe(200)
    const frame = new URL((/<iframe src="([^"]+)"/.exec(page.text)?.[1] ?? '').replaceAll('&#38;', '&'))
    expect([frame.searchParams.get('iss'), frame.searchParams.get('sid')]).toEqual([kc.issuer, login.json['session_state']])
    expect(received.map(({ path }) => path)).toEqual(['/shop'])
  })
})

describe('K6 logout by the client', () => {
  it('POST with the refresh token ends the whole sign-in and posts the notices', async () => {
    const login = await signedIn(kc)
    const form = { ...SECRET, refresh_token: String(login.json['refresh_token']) }
    const answer = await post(endpoint(kc, 'logout'), form)
    expect([answer.status, answer.text, received.length]).toEqual([204, '', 1])
    expect(refusal(await refresh(kc, login))).toEqual(GONE)
    expect((await authorize(kc, { cookie: login.cookie, parameters: { prompt: 'none' } })).query.get('error')).toBe('login_required')
    expect(refusal(await post(endpoint(kc, 'logout'), { ...form, client_secret: 'wrong' })).slice(0, 2)).toEqual([
      401,
      'unauthorized_client',
    ])
  })
})

describe('K6 back-channel logout', () => {
  it('the token is signed by the realm, and says whom and which session', async () => {
    const login = await signedIn(kc)
    await kc.admin.signOutUser('ada')
    const { token = '' } = received[0] ?? {}
    const { payload } = await jwtVerify(token, createRemoteJWKSet(new URL(endpoint(kc, 'certs'))), {
      issuer: kc.issuer,
      audience: 'sallyport',
    })
    expect(decodeProtectedHeader(token)).toMatchObject({ alg: 'RS256', typ: 'logout+jwt' })
    expect(payload).toMatchObject({ sub: kc.admin.user('ada').id, sid: login.json['session_state'], typ: 'Logout' })
    expect(payload['events']).toEqual({ 'http://schemas.openid.net/event/backchannel-logout': {} })
    expect([(payload.exp ?? 0) - (payload.iat ?? 0), typeof payload.jti, 'nonce' in payload]).toEqual([120, 'string', false])
  })

  it('leaves out `sid` where the client does not want it', async () => {
    await authorize(kc, { parameters: { client_id: 'books', scope: 'openid' } })
    await kc.admin.signOutUser('ada')
    expect(kc.logout.notices.at(-1)).toMatchObject({ clientId: 'books', sid: undefined, status: 200 })
  })

  it('is tried once, whatever the client answers', async () => {
    answerWith = 503
    await signedIn(kc)
    await kc.admin.signOutUser('ada')
    expect([received.length, kc.logout.notices.at(-1)?.status]).toEqual([1, 503])
  })

  it('comes twice, or late, where a test says so', async () => {
    kc.logout.delivery.copies = 2
    await signedIn(kc)
    await kc.admin.signOutUser('ada')
    expect(received.map(({ token }) => token)).toEqual([received[0]?.token, received[0]?.token])
    expect(received).toHaveLength(2)
    const gate = Promise.withResolvers<void>()
    kc.logout.delivery.before = () => gate.promise
    const login = await signedIn(kc)
    const told = kc.admin.signOutUser('ada')
    // The session is over before anybody hears of it.
    expect(refusal(await refresh(kc, login))).toEqual(GONE)
    expect(received).toHaveLength(2)
    gate.resolve()
    await told
    expect(received).toHaveLength(4)
  })

  it('can overtake the answer to the code, so that the session is over before its client stored it', async () => {
    const held = kc.faults.hold('token', 'answer')
    const login = signedIn(kc)
    await held.arrived
    await kc.admin.signOutUser('ada')
    expect(received).toHaveLength(1)
    held.release()
    expect((await login).status).toBe(200)
    expect(kc.logout.notices.at(-1)?.sid).toBe(claimsOf(await login, 'id_token')['sid'])
  })

  it('sessions of an offline token end with its deletion only, and that is told', async () => {
    const offline = { parameters: { scope: 'openid offline_access' } }
    kc.admin.client('sallyport').backchannelRevokeOffline = true
    await signedIn(kc, offline)
    await kc.admin.signOutUser('ada')
    expect(received).toEqual([])
    await kc.admin.revokeOffline('ada')
    expect(received).toHaveLength(1)
    const { payload } = await jwtVerify(received[0]?.token ?? '', createRemoteJWKSet(new URL(endpoint(kc, 'certs'))))
    expect(payload['events']).toMatchObject({ revoke_offline_access: true })
  })
})
