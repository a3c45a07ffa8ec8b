import { randomUUID } from 'node:crypto'
import { connect } from 'node:net'
import { SignJWT } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { edgeHost, fetching, navigation, signedIn, type EdgeHost, type Got } from '../harness/edge-host.ts'
import { startHostileProvider, type HostileProvider } from '../harness/hostile-provider.ts'
import { providerRoom, type ProviderRoom } from '../harness/provider-room.ts'

const BACK = '/bff/logout/backchannel'
const FRONT = '/bff/logout/frontchannel'
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

let host: EdgeHost
let hostile: HostileProvider
let room: ProviderRoom
let providerSessionId = ''

/** The real endpoint over the real flow and the real judgement of tokens; only the sign-in is a stand-in. */
beforeAll(async () => {
  hostile = await startHostileProvider()
  room = providerRoom(hostile.issuer)
  host = await edgeHost()
  const { provider } = host.ports
  const { redeem } = provider
  provider.readLogoutToken = room.provider.readLogoutToken
  provider.issuer = room.provider.issuer
  provider.issuers = room.provider.issuers
  provider.redeem = async (...args) => {
    const signedIn = await redeem(...args)
    if (signedIn.kind !== 'signed-in') return signedIn
    providerSessionId = `ps-${randomUUID()}`
    return { ...signedIn, issuer: hostile.issuer, providerSessionId }
  }
})
afterAll(async () => {
  await host.close()
  await room.provider.close()
  await hostile.close()
})
afterEach(() => {
  host.revoked.length = 0
})

const logoutToken = (over: Record<string, unknown> = {}): Promise<string> => {
  const iat = Math.floor(Date.now() / 1000)
  const events = { 'http://schemas.openid.net/event/backchannel-logout': {} }
  const claims = { iss: hostile.issuer, aud: hostile.clientId, iat, jti: randomUUID(), events, sid: providerSessionId, ...over }
  const { algorithm, kid, privateKey } = hostile.signer
  return new SignJWT(claims).setProtectedHeader({ alg: algorithm, kid, typ: 'logout+jwt' }).sign(privateKey)
}
const formOf = (token: string): string => new URLSearchParams({ logout_token: token }).toString()
const post = (body: string, headers: Record<string, string> = FORM): Promise<Got> => host.ask(BACK, { method: 'POST', headers, body })
const isSignedIn = async (cookie: string): Promise<boolean> =>
  (await host.ask('/bff/session', { headers: { ...fetching, cookie } })).status === 200

describe('POST /bff/logout/backchannel', () => {
  it('needs no session, no cookie, no CSRF header, and sets none: 200, kept by nobody', async () => {
    const cookie = await signedIn(host)
    const got = await post(formOf(await logoutToken()))
    expect([got.status, got.body, got.headers['cache-control'], got.headers['set-cookie']]).toEqual([200, '', 'no-store', undefined])
    expect(await isSignedIn(cookie)).toBe(false)
  })

  it('takes the form whatever else is in it, with a charset, and with a cookie that is none of its business', async () => {
    const [first, second] = [await signedIn(host), await signedIn(host)]
    const body = `foo=1&foo=2&${formOf(await logoutToken())}&bar=`
    const got = await post(body, { 'content-type': 'Application/X-WWW-Form-Urlencoded; charset=UTF-8', cookie: first })
    expect([got.status, got.headers['set-cookie']]).toEqual([200, undefined])
    expect([await isSignedIn(first), await isSignedIn(second)]).toEqual([true, false])
  })

  it('a forged token is answered 400 in the words of the specification, without saying which check failed', async () => {
    const cookie = await signedIn(host)
    const got = await post(formOf(`${(await logoutToken()).slice(0, -20)}${'A'.repeat(20)}`))
    expect(got.status).toBe(400)
    expect(got.headers).toMatchObject({
      'cache-control': 'no-store',
      'content-type': expect.stringMatching(/^application\/json/) as string,
    })
    expect(JSON.parse(got.body)).toEqual({
      error: 'invalid_request',
      error_description: 'The logout token is not valid.',
      code: 'logout.token-invalid',
      request_id: expect.any(String) as string,
    })
    expect(host.events).toContainEqual(expect.objectContaining({ event: 'backchannel-logout.rejected', check: 'signature' }))
    expect(await isSignedIn(cookie)).toBe(true)
  })

  it('the same token twice: done, then refused', async () => {
    await signedIn(host)
    const form = formOf(await logoutToken())
    expect([(await post(form)).status, (await post(form)).status]).toEqual([200, 400])
  })

  it.each<[string, () => Promise<Got>, number]>([
    ['GET', async () => host.ask(`${BACK}?${formOf(await logoutToken())}`), 405],
    ['HEAD', async () => host.ask(`${BACK}?${formOf(await logoutToken())}`, { method: 'HEAD' }), 405],
    ['PUT', async () => host.ask(BACK, { method: 'PUT', headers: FORM, body: formOf(await logoutToken()) }), 405],
    ['OPTIONS', () => host.ask(BACK, { method: 'OPTIONS' }), 405],
    ['the token in the query', async () => host.ask(`${BACK}?${formOf(await logoutToken())}`, { method: 'POST', headers: FORM }), 400],
    ['a JSON body', async () => post(JSON.stringify({ logout_token: await logoutToken() }), { 'content-type': 'application/json' }), 400],
    ['a bare token', async () => post(await logoutToken(), { 'content-type': 'application/logout+jwt' }), 400],
    ['a multipart form', async () => post(formOf(await logoutToken()), { 'content-type': 'multipart/form-data; boundary=x' }), 400],
    ['a form that says it is text', async () => post(formOf(await logoutToken()), { 'content-type': 'text/plain' }), 400],
    ['no content type', async () => post(formOf(await logoutToken()), {}), 400],
    ['two tokens', async () => post(`${formOf(await logoutToken())}&${formOf(await logoutToken())}`), 400],
    ['one token twice', async () => ((form) => post(`${form}&${form}`))(formOf(await logoutToken())), 400],
    ['no token', () => post('foo=bar'), 400],
    ['an empty token', () => post('logout_token='), 400],
    ['an empty body', () => post(''), 400],
    ['another name', async () => post(new URLSearchParams({ Logout_Token: await logoutToken() }).toString()), 400],
    ['a body of 17 kB', async () => post(`${formOf(await logoutToken())}&pad=${'x'.repeat(17_000)}`), 413],
    ['a prefetch', async () => post(formOf(await logoutToken()), { ...FORM, 'sec-purpose': 'prefetch' }), 503],
    [
      'another host',
      async () => host.ask(BACK, { method: 'POST', headers: { ...FORM, host: 'evil.example' }, body: formOf(await logoutToken()) }),
      421,
    ],
    ['a slash behind it', async () => host.ask(`${BACK}/`, { method: 'POST', headers: FORM, body: formOf(await logoutToken()) }), 404],
    [
      'an encoded letter',
      async () => host.ask('/bff/logout/%62ackchannel', { method: 'POST', headers: FORM, body: formOf(await logoutToken()) }),
      400,
    ],
  ])('%s ends nothing', async (_name, ask, status) => {
    const cookie = await signedIn(host)
    const got = await ask()
    expect(got.status).toBe(status)
    expect(got.headers['cache-control']).toBe('no-store')
    expect(got.headers['set-cookie']).toBeUndefined()
    expect(await isSignedIn(cookie)).toBe(true)
  })

  const raw = (request: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(host.port, '127.0.0.1', () => socket.write(request))
      let text = ''
      socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      socket.on('close', () => resolve(text)).on('error', reject)
    })
  const head = (length: string): string =>
    `POST ${BACK} HTTP/1.1\r\nHost: localhost:${host.port}\r\nContent-Type: ${FORM['content-type']}\r\n${length}\r\n\r\n`

  it('a body that does not come is not waited for: 408, and the connection ends', async () => {
    const answer = await raw(`${head('Content-Length: 500')}logout_token=`)
    expect(answer).toMatch(/^HTTP\/1\.1 408 [\s\S]*connection: close/i)
    expect(answer).toContain('"code":"request.timeout"')
  })
  it('a body without a length is cut at 16 kB', async () => {
    const chunk = `2000\r\n${'x'.repeat(0x2000)}\r\n`
    expect(await raw(`${head('Transfer-Encoding: chunked')}${chunk}${chunk}${chunk}`)).toMatch(/^HTTP\/1\.1 413 [\s\S]*connection: close/i)
  })
  it('a giant that is only announced is refused at once', async () => {
    expect(await raw(`${head('Content-Length: 1000000000')}`)).toMatch(/^HTTP\/1\.1 413 /)
  })

  it('while the store is away: 503 with Retry-After, and the same token works afterwards', async () => {
    const cookie = await signedIn(host)
    const form = formOf(await logoutToken())
    const { seen } = host.ports.once
    host.ports.once.seen = async () => 'unavailable'
    const away = await post(form)
    expect([away.status, away.headers['retry-after'], away.headers['set-cookie']]).toEqual([503, '2', undefined])
    host.ports.once.seen = seen
    expect((await post(form)).status).toBe(200)
    expect(await isSignedIn(cookie)).toBe(false)
  })

  it('while no key can be had: 503 with Retry-After', async () => {
    const { readLogoutToken } = host.ports.provider
    const other = providerRoom('http://127.0.0.1:9')
    host.ports.provider.readLogoutToken = other.provider.readLogoutToken
    const got = await post(formOf(await logoutToken()))
    expect([got.status, Number(got.headers['retry-after']) > 0]).toEqual([503, true])
    host.ports.provider.readLogoutToken = readLogoutToken
    await other.provider.close()
  })

  it('revokes the refresh token of a session that is held open here', async () => {
    await signedIn(host)
    await post(formOf(await logoutToken()))
    await expect.poll(() => host.revoked.length).toBe(1)
  })
})

describe('GET /bff/logout/frontchannel', () => {
  const FRAMED = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe', accept: 'text/html' }
  const query = (): string => new URLSearchParams({ iss: hostile.issuer, sid: providerSessionId }).toString()
  const frame = (search = query(), headers: Record<string, string> = FRAMED): Promise<Got> => host.ask(`${FRONT}?${search}`, { headers })

  it('ends the session in a frame of the provider’s page, without a cookie and without setting one; only the provider may frame it', async () => {
    const cookie = await signedIn(host)
    const got = await frame()
    expect([got.status, got.headers['set-cookie'], got.headers['cache-control']]).toEqual([200, undefined, 'no-store'])
    expect(got.headers['content-security-policy']).toContain('frame-ancestors https://login.example.com')
    expect(got.headers['content-security-policy']).toContain("default-src 'none'")
    expect(got.headers['x-frame-options']).toBeUndefined()
    expect(await isSignedIn(cookie)).toBe(false)
  })

  it('never tells the provider to revoke anything', async () => {
    const cookie = await signedIn(host)
    await frame()
    // Another end behind it, which does revoke: what the frame had set off would have come first.
    const other = await signedIn(host)
    await host.ask('/bff/logout/local', { method: 'POST', headers: { ...fetching, cookie: other } })
    await expect.poll(() => host.revoked.length).toBe(1)
    expect(await isSignedIn(cookie)).toBe(false)
    expect(host.events.filter(({ event }) => event === 'token.revoked').length).toBeGreaterThan(0)
    expect(host.revoked).toHaveLength(1)
  })

  it('a presented cookie is cleared when it is of that session, and left alone when it is of another', async () => {
    const other = await signedIn(host)
    const mine = await signedIn(host)
    const search = query()
    expect((await frame(search, { ...FRAMED, cookie: other })).headers['set-cookie']).toBeUndefined()
    const again = await signedIn(host)
    const cleared = (await frame(query(), { ...FRAMED, cookie: again })).headers['set-cookie']?.[0] ?? ''
    expect(cleared).toMatch(/^__Host-Http-sallyport[^=]*=; .*Max-Age=0/)
    expect([await isSignedIn(other), await isSignedIn(mine), await isSignedIn(again)]).toEqual([true, false, false])
  })

  it.each<[string, () => string, Record<string, string>, number, string | undefined]>([
    ['a sid without its issuer', () => `sid=${providerSessionId}`, FRAMED, 400, 'logout.request-invalid'],
    [
      'another issuer',
      () => new URLSearchParams({ iss: 'https://evil.example', sid: providerSessionId }).toString(),
      FRAMED,
      400,
      'logout.request-invalid',
    ],
    ['a doubled sid', () => `${query()}&sid=x`, FRAMED, 400, 'logout.request-invalid'],
    ['no parameter', () => '', FRAMED, 400, 'logout.request-invalid'],
    ['a prefetch', query, { ...navigation('none'), 'sec-purpose': 'prefetch;prerender' }, 503, 'request.prefetch-refused'],
    ['a session nobody knows', () => new URLSearchParams({ iss: hostile.issuer, sid: 'unknown' }).toString(), FRAMED, 200, undefined],
  ])('%s ends nothing and sets nothing', async (_name, search, headers, status, code) => {
    const cookie = await signedIn(host)
    const before = host.problems().length
    const got = await frame(search(), headers)
    expect([got.status, got.headers['set-cookie'], host.problems()[before]]).toEqual([status, undefined, code])
    expect(await isSignedIn(cookie)).toBe(true)
  })

  it('takes no POST, and no page of the gateway’s but this may be framed', async () => {
    expect((await host.ask(FRONT, { method: 'POST', headers: FORM, body: query() })).status).toBe(405)
    expect((await frame('')).headers['content-security-policy']).toContain("frame-ancestors 'none'")
  })
})
