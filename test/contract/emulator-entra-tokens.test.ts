import { decodeProtectedHeader } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { CONTOSO, ORDERS_ID } from '../harness/emulators/entra/defaults.ts'
import { GRAPH_ID, guidOf } from '../harness/emulators/entra/directory.ts'
import type { Entra } from '../harness/emulators/entra/entra.ts'
import { aadstsReply } from '../harness/emulators/entra/errors.ts'
import { fault } from '../harness/emulators/core-faults.ts'
import { digestOf, type Json } from '../harness/emulators/core-exchange.ts'
import { claimsOf, clientOf, LOGIN, NOW, ORDERS, said, someEntra } from './emulator-entra-kit.ts'

const CUSTOMERS = 'api://customers/customers.read'
const DAY = 86_400_000
const SELF = guidOf('app self')
let entra: Entra
let client: ReturnType<typeof clientOf>
beforeAll(async () => {
  entra = await someEntra()
  client = clientOf(entra)
})
afterAll(() => entra.stop())
afterEach(() => {
  entra.sit('ada')
  entra.faults.clear()
})

const cp1 = { claims: JSON.stringify({ access_token: { xms_cc: { values: ['cp1'] } } }) }

describe('E5: the scope says which API', () => {
  it.each([
    ['its URI', ORDERS],
    ['its GUID', `${ORDERS_ID}/orders.read`],
    ['its URI and .default', 'api://orders/.default'],
    ['its GUID and .default', `${ORDERS_ID}/.default`],
  ])('named by %s', async (_how, scope) => {
    const { refresh_token } = await client.signIn()
    const { body } = await client.refresh(refresh_token, `openid ${scope}`)
    expect(claimsOf(body['access_token'])).toMatchObject({ aud: ORDERS_ID, scp: 'orders.read orders.write', ver: '2.0' })
  })

  it('one request, one API: a second one, an unknown one and an unknown permission are refused', async () => {
    const { refresh_token } = await client.signIn()
    expect((await client.refresh(refresh_token, `${ORDERS} ${CUSTOMERS}`)).code).toBe(28000)
    expect((await client.refresh(refresh_token, 'api://nowhere/read')).body).toMatchObject({
      error: 'invalid_resource',
      error_codes: [500011],
    })
    expect((await client.refresh(refresh_token, 'api://orders/orders.burn')).code).toBe(70011)
    expect(
      (await client.redeem((await client.visit({ scope: `${LOGIN} ${ORDERS} ${CUSTOMERS}` })).code, { scope: `${ORDERS} ${CUSTOMERS}` }))
        .code,
    ).toBe(28000)
  })

  it('a scope without an API is Microsoft Graph’s', async () => {
    const { refresh_token } = await client.signIn()
    const { body } = await client.refresh(refresh_token, 'User.Read')
    expect(claimsOf(body['access_token'])).toMatchObject({ aud: 'https://graph.microsoft.com', scp: 'User.Read' })
  })

  it('without scopes a refresh is for the last API, and a code for the first that was authorized', async () => {
    const several = { scope: `${LOGIN} ${CUSTOMERS} ${ORDERS}` }
    const answer = await client.post({
      grant_type: 'authorization_code',
      code: (await client.visit(several)).code,
      redirect_uri: 'https://shop.example.com/bff/callback',
    })
    expect(claimsOf(answer.body['access_token'])['aud']).toBe(guidOf('app customers'))
    const { refresh_token } = await client.signIn()
    expect(claimsOf((await client.refresh(refresh_token, null)).body['access_token'])['aud']).toBe(ORDERS_ID)
  })

  it('without scopes a code that names no API at all is refused, with OIDC scopes it is Graph’s', async () => {
    const login = { scope: 'openid profile offline_access' }
    const bare = await client.visit(login)
    expect(
      (await client.post({ grant_type: 'authorization_code', code: bare.code, redirect_uri: 'https://shop.example.com/bff/callback' }))
        .code,
    ).toBe(28003)
    expect(claimsOf((await client.redeem((await client.visit(login)).code, login)).body['access_token'])['aud']).toBe(
      'https://graph.microsoft.com',
    )
  })

  it.each([
    ['no scope', null, 90009, undefined],
    ['OIDC scopes only', 'openid profile', 90009, undefined],
    ['its URI', 'api://self/use', 90009, undefined],
    ['its GUID', `${SELF}/use`, undefined, undefined],
  ])('a client that is its own API must name itself by GUID: %s', async (_how, scope, strict, lenient) => {
    for (const [lenient90009, code] of [
      [false, strict],
      [true, lenient],
    ] as const) {
      const small = await someEntra({
        lenient90009,
        apps: [
          {
            name: 'self',
            secrets: ['s'],
            redirectUris: ['https://shop.example.com/bff/callback'],
            api: { uris: ['api://self'], scopes: ['use'] },
          },
        ],
        consents: [{ client: SELF, resource: SELF, scopes: ['use'] }],
      })
      const self = clientOf(small, SELF, 's')
      const { refresh_token } = await self.signIn({ scope: `${LOGIN} api://self/use` })
      expect((await self.refresh(refresh_token, scope)).code).toBe(code)
      await small.stop()
    }
  })
})

describe('E6: resource', () => {
  it('is not a parameter of this endpoint', async () => {
    const { refresh_token } = await client.signIn()
    expect((await client.refresh(refresh_token, ORDERS, { resource: 'api://orders' })).code).toBe(901002)
  })
})

describe('E7: access tokens', () => {
  it('are of the version their API wants, with its names for everything', async () => {
    const { access_token, refresh_token } = await client.signIn()
    const v2 = claimsOf(access_token)
    expect(v2).toMatchObject({
      ver: '2.0',
      aud: ORDERS_ID,
      iss: entra.issuer(),
      azp: entra.clientId,
      azpacr: '1',
      tid: CONTOSO,
      preferred_username: 'ada@contoso.example',
    })
    expect(v2).not.toHaveProperty('appid')
    for (const [named, aud] of [
      ['api://inventory', 'api://inventory'],
      [guidOf('app inventory'), guidOf('app inventory')],
    ]) {
      const v1 = claimsOf((await client.refresh(refresh_token, `${named}/inventory.read`)).body['access_token'])
      expect(v1).toMatchObject({
        ver: '1.0',
        aud,
        iss: `https://sts.windows.net/${CONTOSO}/`,
        appid: entra.clientId,
        appidacr: '1',
        upn: 'ada@contoso.example',
      })
      expect(v1).not.toHaveProperty('azp')
    }
  })

  it('differ in uti and lifetime, know the user by oid everywhere and by sub only per API', async () => {
    const { refresh_token, id_token } = await client.signIn()
    const many = await Promise.all([ORDERS, ORDERS, CUSTOMERS].map(async (scope) => client.refresh(refresh_token, scope)))
    const claims = many.map(({ body }) => claimsOf(body['access_token']))
    expect(new Set(claims.map(({ uti }) => uti)).size).toBe(3)
    expect(new Set([...claims, claimsOf(id_token)].map(({ oid }) => oid)).size).toBe(1)
    expect(claims[0]?.['sub']).toBe(claims[1]?.['sub'])
    expect(new Set([claims[0]?.['sub'], claims[2]?.['sub'], claimsOf(id_token)['sub']]).size).toBe(3)
    for (const { body } of many) {
      expect(body['expires_in']).toBeGreaterThanOrEqual(3599)
      expect(body['expires_in']).toBeLessThan(5400)
      // What the client is told is from now; the token itself is dated five minutes back.
      expect(claimsOf(body['access_token'])).toMatchObject({ exp: NOW / 1000 + Number(body['expires_in']) + 1, iat: NOW / 1000 - 300 })
    }
  })

  it('of Graph fail a naive check of their signature', async () => {
    const { refresh_token } = await client.signIn()
    const { body } = await client.refresh(refresh_token, 'User.Read')
    expect(decodeProtectedHeader(String(body['access_token']))).toHaveProperty('nonce')
    expect(await entra.keys.verify(String(body['access_token']))).toBeUndefined()
    const userinfo = await said(
      await fetch(`${entra.origin}/graph/oidc/userinfo`, { headers: { authorization: `Bearer ${String(body['access_token'])}` } }),
    )
    expect(userinfo.body).toMatchObject({ name: 'Ada Lovelace' })
  })

  it('last as long as a test wants', async () => {
    const small = await someEntra({ accessTokenSeconds: 5 })
    expect((await clientOf(small).signIn())['expires_in']).toBe(4)
    await small.stop()
  })
})

describe('E8: refresh tokens', () => {
  it('are new each time while the old ones live on, also side by side, for every API', async () => {
    const { refresh_token: first } = await client.signIn()
    const many = await Promise.all([1, 2, 3, 4].map(() => client.refresh(first)))
    expect(new Set([first, ...many.map(({ body }) => body['refresh_token'])]).size).toBe(5)
    expect((await client.refresh(first, CUSTOMERS)).status).toBe(200)
    expect((await client.refresh(many[0]?.body['refresh_token'], CUSTOMERS)).status).toBe(200)
    expect(entra.record.sentAgain()).toContain(digestOf(String(first)))
    expect(String(first)).not.toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/)
  })

  it('come only where offline_access was asked for', async () => {
    expect(await client.signIn({ scope: `openid ${ORDERS}` })).not.toHaveProperty('refresh_token')
  })

  it('belong to their client', async () => {
    const { refresh_token } = await client.signIn()
    const small = await someEntra({ apps: [{ name: 'gateway', id: entra.clientId, secrets: ['s'] }] })
    expect((await clientOf(small, entra.clientId, 's').refresh(refresh_token)).body).toMatchObject({ error: 'invalid_grant' })
    await small.stop()
  })

  it('die of revocation (50173), of disabling (50057), of 90 idle days (700082) and of a sign-in frequency (70043)', async () => {
    const small = await someEntra()
    const mine = clientOf(small)
    const { refresh_token: old } = await mine.signIn()
    small.clock.shift(1000)
    small.revokeSignIns('ada')
    expect((await mine.refresh(old)).body).toMatchObject({ error: 'invalid_grant', error_codes: [50173], suberror: 'bad_token' })
    const { refresh_token } = await mine.signIn()
    small.setEnabled('ada', false)
    expect((await mine.refresh(refresh_token)).code).toBe(50057)
    small.setEnabled('ada', true)
    const undo = small.addPolicy({ resource: 'orders', require: { signInEverySeconds: 3600 } })
    expect((await mine.refresh(refresh_token)).status).toBe(200)
    small.clock.shift(3_601_000)
    expect((await mine.refresh(refresh_token)).body).toMatchObject({ error_codes: [70043], suberror: 'token_expired' })
    undo()
    small.clock.shift(89 * DAY)
    const { body } = await mine.refresh(refresh_token)
    small.clock.shift(2 * DAY)
    expect((await mine.refresh(refresh_token)).code).toBe(700082)
    expect((await mine.refresh(body['refresh_token'])).status).toBe(200)
    expect((await mine.refresh('nonsense')).body).toMatchObject({ error: 'invalid_grant', error_codes: [9002313] })
    await small.stop()
  })

  it('are revoked at Graph by the user themselves', async () => {
    const small = await someEntra()
    const mine = clientOf(small)
    const { refresh_token } = await mine.signIn()
    const { body } = await mine.refresh(refresh_token, 'User.Read')
    const { oid } = claimsOf(body['access_token'])
    small.clock.shift(1000)
    const revoked = await fetch(`${small.origin}/graph/v1.0/users/${String(oid)}/revokeSignInSessions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${String(body['access_token'])}` },
    })
    expect(revoked.status).toBe(200)
    expect((await mine.refresh(refresh_token)).code).toBe(50173)
    await small.stop()
  })
})

describe('E13: the application for itself', () => {
  it('has roles, no scopes, no user, no refresh token and no ID token', async () => {
    const { body } = await client.asApplication('api://orders/.default')
    expect(Object.keys(body).sort()).toEqual(['access_token', 'expires_in', 'ext_expires_in', 'token_type'])
    const claims = claimsOf(body['access_token'])
    expect(claims).toMatchObject({ aud: ORDERS_ID, idtyp: 'app', roles: ['Orders.Read.All'], oid: claims['sub'], azp: entra.clientId })
    expect(claims).not.toHaveProperty('scp')
    // Without a role of its own the token comes all the same: the API has to look.
    expect(claimsOf((await client.asApplication('api://customers/.default')).body['access_token'])).not.toHaveProperty('roles')
  })

  it('may be for the application itself, by its GUID: what a probe of a credential asks for', async () => {
    const { body } = await client.asApplication(`${entra.clientId}/.default`)
    expect(claimsOf(body['access_token'])).toMatchObject({ aud: entra.clientId, azp: entra.clientId })
  })

  it.each([
    ['a permission instead of .default', ORDERS, CONTOSO, 1002012],
    ['two APIs', 'api://orders/.default api://customers/.default', CONTOSO, 1002012],
    ['an unknown API', 'api://nowhere/.default', CONTOSO, 500011],
    ['no role where one is required', 'api://reports/.default', CONTOSO, 501051],
    ['a door for several tenants', 'api://orders/.default', 'common', 90023],
  ])('is refused: %s', async (_what, scope, tenant, code) => {
    expect((await client.asApplication(scope, tenant)).code).toBe(code)
  })
})

describe('E17: groups', () => {
  it('stand in the token up to two hundred, and then a place does where nobody should ask', async () => {
    expect(claimsOf((await client.signIn())['access_token'])['groups']).toHaveLength(3)
    entra.sit('grace')
    const { access_token, refresh_token } = await client.signIn()
    const claims = claimsOf(access_token)
    expect(claims).not.toHaveProperty('groups')
    expect(claims).toMatchObject({
      _claim_names: { groups: 'src1' },
      _claim_sources: { src1: { endpoint: expect.stringContaining('getMemberObjects') } },
    })
    const { body } = await client.refresh(refresh_token, 'User.Read')
    const headers = { authorization: `Bearer ${String(body['access_token'])}` }
    const ids = await said(await fetch(`${entra.origin}/graph/v1.0/me/getMemberObjects`, { method: 'POST', headers }))
    expect(ids.body['value']).toHaveLength(250)
    const members = await said(await fetch(`${entra.origin}/graph/v1.0/me/transitiveMemberOf`, { headers }))
    expect((members.body['value'] as Json[])[0]).toHaveProperty('id', (ids.body['value'] as string[])[0])
    // A page at a time, unless a larger one is asked for.
    expect(members.body['value']).toHaveLength(100)
    const cast = `${entra.origin}/v1.0/me/transitiveMemberOf/microsoft.graph.group?$top=200&$skiptoken=200`
    expect((await fetch(cast, { headers })).status).toBe(400)
    const last = await said(await fetch(`${cast}&$count=true`, { headers: { ...headers, consistencylevel: 'eventual' } }))
    expect([(last.body['value'] as Json[]).length, last.body['@odata.nextLink']]).toEqual([50, undefined])
    expect(members.body['@odata.nextLink']).toContain('skiptoken=100')
    expect(
      (await fetch(`${entra.origin}/graph/v1.0/me/getMemberObjects`, { headers: { authorization: `Bearer ${String(access_token)}` } }))
        .status,
    ).toBe(401)
  })
})

describe('E20: throttling', () => {
  it('by the fault plan, in JSON and HTML', async () => {
    const { refresh_token } = await client.signIn()
    entra.faults.next('token', fault.reply(aadstsReply(90055)))
    expect(await client.refresh(refresh_token)).toMatchObject({ status: 429, code: 90055 })
    entra.faults.next('token', fault.throttled(7, 'html'))
    const html = await client.refresh(refresh_token)
    expect([html.status, html.headers.get('retry-after'), html.headers.get('content-type')]).toEqual([429, '7', 'text/html; charset=utf-8'])
    expect((await client.refresh(refresh_token)).status).toBe(200)
  })

  it('as a loop, after so many equal requests within a minute', async () => {
    const small = await someEntra({ loopAfter: 3 })
    const mine = clientOf(small)
    const { refresh_token } = await mine.signIn()
    for (let i = 0; i < 3; i += 1) expect((await mine.refresh(refresh_token)).status).toBe(200)
    expect(await mine.refresh(refresh_token)).toMatchObject({ status: 400, code: 50196, body: { error: 'invalid_grant' } })
    expect((await mine.refresh(refresh_token, CUSTOMERS)).status).toBe(200)
    small.clock.shift(61_000)
    expect((await mine.refresh(refresh_token)).status).toBe(200)
    await small.stop()
  })
})

describe('E21: the details of answers', () => {
  it('have numbers, scopes in another order and with their API, and client_info where asked', async () => {
    const body = await client.signIn({}, { client_info: '1' })
    expect(body).toMatchObject({
      token_type: 'Bearer',
      expires_in: expect.any(Number),
      ext_expires_in: expect.any(Number),
      scope: 'api://orders/orders.write api://orders/orders.read',
    })
    const info = JSON.parse(Buffer.from(String(body['client_info']), 'base64url').toString()) as Json
    expect(info).toEqual({ uid: claimsOf(body['id_token'])['oid'], utid: CONTOSO })
  })

  it('refuse with a number, lines that end in CRLF, a date of its own form and the caller’s correlation id', async () => {
    const correlation = guidOf('correlation')
    const { status, body, headers } = await client.refresh(
      'nonsense',
      ORDERS,
      {},
      { headers: { 'client-request-id': correlation, 'return-client-request-id': 'true' } },
    )
    expect(status).toBe(400)
    expect(body).toMatchObject({
      error: 'invalid_grant',
      error_codes: [9002313],
      timestamp: '2026-11-20 20:00:00Z',
      correlation_id: correlation,
      trace_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    })
    expect(body['error_description']).toMatch(
      /^AADSTS9002313: .*\r\nTrace ID: .*\r\nCorrelation ID: .*\r\nTimestamp: 2026-11-20 20:00:00Z$/,
    )
    expect(headers.get('client-request-id')).toBe(correlation)
  })

  it('say which field is missing, which grant is unknown and which verb is wrong', async () => {
    expect((await client.post({ grant_type: 'password' })).body).toMatchObject({ error: 'unsupported_grant_type', error_codes: [70003] })
    expect((await client.post({})).code).toBe(900144)
    expect((await said(await fetch(entra.url('token')))).code).toBe(900561)
  })
})

describe('E22: keys roll', () => {
  it('at once, and an ID token of the key that went is checked by nobody any more', async () => {
    const kids = async (): Promise<unknown[]> => {
      const { keys } = (await said(await fetch(`${entra.origin}/${CONTOSO}/discovery/v2.0/keys`))).body as { readonly keys: Json[] }
      return keys.map(({ kid }) => kid)
    }
    const { id_token: before } = await client.signIn()
    const old = String(decodeProtectedHeader(String(before)).kid)
    await entra.keys.roll()
    const { id_token: after } = await client.signIn()
    const fresh = decodeProtectedHeader(String(after)).kid
    expect(fresh).not.toBe(old)
    expect(await kids()).toEqual(expect.arrayContaining([old, fresh]))
    entra.keys.withdraw(old)
    expect(await kids()).not.toContain(old)
  })
})

describe('E23: size', () => {
  it('refresh tokens grow from one to the next, up to four thousand characters', async () => {
    const small = await someEntra({ refreshTokenBytes: 3000, refreshTokenGrowth: 700 })
    const mine = clientOf(small)
    let { refresh_token: token } = await mine.signIn()
    const lengths: number[] = []
    for (let i = 0; i < 3; i += 1) {
      lengths.push(String(token).length)
      token = (await mine.refresh(token)).body['refresh_token']
    }
    expect([...lengths, String(token).length]).toEqual([3000, 3700, 4096, 4096])
    await small.stop()
  })

  it('ID tokens of people in many groups are fat', async () => {
    const small = await someEntra({
      client: { idTokenClaims: ['sid', 'groups'] },
      users: [{ key: 'ada', name: 'Ada', tenant: CONTOSO, upn: 'ada@contoso.example', groups: 200 }],
    })
    expect(String((await clientOf(small).signIn())['id_token']).length).toBeGreaterThan(10_000)
    await small.stop()
  })
})

describe('E15: claims', () => {
  it('cp1 gives a token of a day that says so, where the API takes part', async () => {
    const { refresh_token } = await client.signIn()
    const long = await client.refresh(refresh_token, ORDERS, cp1)
    expect(long.body).toMatchObject({ expires_in: 86_399, refresh_in: 43_200 })
    expect(claimsOf(long.body['access_token'])).toMatchObject({ xms_cc: ['cp1'] })
    expect(Number((await client.refresh(refresh_token, CUSTOMERS, cp1)).body['expires_in'])).toBeLessThan(5400)
  })

  it('an API challenges what was revoked: whoever said cp1 is told which claims to bring', async () => {
    const small = await someEntra()
    const mine = clientOf(small)
    const { refresh_token } = await mine.signIn()
    const { body } = await mine.refresh(refresh_token, ORDERS, cp1)
    const call = (token: unknown) => fetch(`${small.resourceUrl('orders')}/x`, { headers: { authorization: `Bearer ${String(token)}` } })
    expect(await (await call(body['access_token'])).json()).toMatchObject({
      api: 'orders',
      principal: 'user',
      user: 'ada',
      path: '/api/orders/x',
    })
    small.clock.shift(1000)
    small.revokeSignIns('ada')
    const challenged = await call(body['access_token'])
    expect(challenged.status).toBe(401)
    const claims = /claims="([A-Za-z0-9+/=]+)"/.exec(challenged.headers.get('www-authenticate') ?? '')?.[1] ?? ''
    expect(JSON.parse(Buffer.from(claims, 'base64').toString())).toMatchObject({ access_token: { nbf: { essential: true } } })
    expect(GRAPH_ID).toBe(/client_id="([^"]+)"/.exec(challenged.headers.get('www-authenticate') ?? '')?.[1])
    expect((await mine.refresh(refresh_token, ORDERS, { claims: Buffer.from(claims, 'base64').toString() })).code).toBe(50173)
    const again = await mine.signIn({}, cp1)
    expect((await call(again['access_token'])).status).toBe(200)
    await small.stop()
  })

  it('an authentication context is had by stepping up, and by nothing else', async () => {
    const small = await someEntra()
    const mine = clientOf(small)
    small.demand('orders', 'c1')
    const { access_token, refresh_token } = await mine.signIn()
    const call = (token: unknown) => fetch(small.resourceUrl('orders'), { headers: { authorization: `Bearer ${String(token)}` } })
    const challenged = await call(access_token)
    expect(challenged.headers.get('www-authenticate')).toContain('cc_type="authcontext"')
    const wanted = { claims: JSON.stringify({ access_token: { acrs: { essential: true, value: 'c1' } } }) }
    const refused = await mine.refresh(refresh_token, ORDERS, wanted)
    expect(refused.body).toMatchObject({ error: 'interaction_required', suberror: 'basic_action', claims: wanted.claims })
    small.sit({ user: 'ada', mfa: false })
    expect((await mine.visit(wanted)).html).toContain('second factor')
    // A browser that is signed in is asked as well, and nobody being there is no yes.
    const { cookie = '' } = await mine.visit()
    small.sit(undefined)
    expect((await mine.visit(wanted, { cookie })).html).toMatch(/name="mfa" value="yes"/)
    small.sit('ada')
    const stepped = await mine.signIn(wanted, wanted)
    expect(claimsOf(stepped['access_token'])).toMatchObject({ acrs: ['c1'] })
    expect((await call(stepped['access_token'])).status).toBe(200)
    small.demand('orders', undefined)
    expect((await call(access_token)).status).toBe(200)
    await small.stop()
  })

  it('that are no JSON are refused', async () => {
    expect((await client.refresh((await client.signIn())['refresh_token'], ORDERS, { claims: '{' })).code).toBe(90023)
  })
})

describe('Conditional Access', () => {
  it('asks for a second factor when an API is first wanted, with claims that a sign-in then satisfies', async () => {
    const small = await someEntra()
    const mine = clientOf(small)
    const { refresh_token } = await mine.signIn()
    small.addPolicy({ resource: 'customers', require: 'mfa' })
    expect((await mine.refresh(refresh_token)).status).toBe(200)
    const refused = await mine.refresh(refresh_token, CUSTOMERS)
    expect(refused).toMatchObject({ status: 400, code: 50076, body: { error: 'invalid_grant', suberror: 'basic_action' } })
    const claims = String(refused.body['claims'])
    expect(JSON.parse(claims)).toMatchObject({ access_token: { capolids: { essential: true, values: [expect.any(String)] } } })
    const again = await mine.signIn({ claims })
    expect((await mine.refresh(again['refresh_token'], CUSTOMERS)).status).toBe(200)
    await small.stop()
  })

  it('blocks, and wants a managed device, whatever one proves', async () => {
    const small = await someEntra()
    const mine = clientOf(small)
    const { refresh_token } = await mine.signIn()
    const undo = small.addPolicy({ user: 'ada', require: 'block' })
    expect((await mine.refresh(refresh_token)).code).toBe(53003)
    const visited = await mine.visit()
    expect([visited.callback?.get('error'), visited.number]).toEqual(['access_denied', 53003])
    undo()
    small.addPolicy({ require: 'compliant-device' })
    expect((await mine.refresh(refresh_token)).body).toMatchObject({ error: 'interaction_required', error_codes: [53000] })
    await small.stop()
  })

  it('lets a withdrawn consent be had again by asking (65001)', async () => {
    const small = await someEntra()
    const mine = clientOf(small)
    const { refresh_token } = await mine.signIn()
    expect((await mine.refresh(refresh_token, 'api://reports/reports.read')).body).toMatchObject({
      error: 'invalid_grant',
      error_codes: [65001],
      suberror: 'consent_required',
    })
    await mine.visit({ scope: `${LOGIN} api://reports/reports.read` })
    expect((await mine.refresh(refresh_token, 'api://reports/reports.read')).status).toBe(200)
    await small.stop()
  })
})
