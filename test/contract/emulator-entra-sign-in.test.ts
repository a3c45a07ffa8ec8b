import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { CONTOSO, FABRIKAM } from '../harness/emulators/entra/defaults.ts'
import { CONSUMERS, guidOf } from '../harness/emulators/entra/directory.ts'
import type { Entra } from '../harness/emulators/entra/entra.ts'
import type { Json } from '../harness/emulators/core-exchange.ts'
import { CALLBACK, claimsOf, clientOf, LOGIN, ORDERS, pkce, said, someEntra } from './emulator-entra-kit.ts'

let entra: Entra
let client: ReturnType<typeof clientOf>
const SPA = guidOf('app spa')
const SINGLE = guidOf('app single')
beforeAll(async () => {
  entra = await someEntra({
    client: { redirectUris: [CALLBACK, 'http://localhost/back'], logoutUrl: 'https://shop.example.com/bff/logout/frontchannel' },
  })
  client = clientOf(entra)
})
afterAll(() => entra.stop())
afterEach(() => {
  entra.sit('ada')
  entra.faults.clear()
})

const document = async (tenant: string): Promise<Json> =>
  (await said(await fetch(`${entra.issuer(tenant)}/.well-known/openid-configuration`))).body

describe('discovery', () => {
  it('has the members Entra has, and none of those it lacks', async () => {
    const metadata = await document(CONTOSO)
    expect(metadata).toMatchObject({
      issuer: `${entra.origin}/${CONTOSO}/v2.0`,
      subject_types_supported: ['pairwise'],
      frontchannel_logout_supported: true,
      id_token_signing_alg_values_supported: ['RS256'],
      tls_client_certificate_bound_access_tokens: true,
    })
    expect(Object.keys(metadata['mtls_endpoint_aliases'] as Json)).toEqual(['token_endpoint'])
    for (const absent of [
      'code_challenge_methods_supported',
      'grant_types_supported',
      'revocation_endpoint',
      'introspection_endpoint',
      'pushed_authorization_request_endpoint',
      'registration_endpoint',
      'dpop_signing_alg_values_supported',
      'authorization_response_iss_parameter_supported',
      'backchannel_logout_supported',
    ])
      expect(metadata).not.toHaveProperty(absent)
  })

  it('names the tenant by its GUID, whatever it was asked by, and nobody behind the doors for several (E19)', async () => {
    expect((await document('contoso.example'))['issuer']).toBe(entra.issuer(CONTOSO))
    expect((await document('consumers'))['issuer']).toBe(entra.issuer(CONSUMERS))
    for (const door of ['common', 'organizations'])
      expect(await document(door)).toMatchObject({ issuer: `${entra.origin}/{tenantid}/v2.0`, token_endpoint: entra.url('token', door) })
    expect(await document('nobody.example')).toMatchObject({ error: 'invalid_tenant', error_codes: [90002] })
  })

  it('serves several keys, each with its issuer, x5t and x5c, none with alg (E19, E22)', async () => {
    for (const [tenant, issuer] of [
      [CONTOSO, entra.issuer(CONTOSO)],
      ['common', `${entra.origin}/{tenantid}/v2.0`],
    ] as const) {
      const { jwks_uri } = await document(tenant)
      const { keys } = (await said(await fetch(String(jwks_uri)))).body as { readonly keys: Json[] }
      expect(keys.length).toBeGreaterThanOrEqual(2)
      for (const key of keys) {
        expect(key).toMatchObject({ issuer, kty: 'RSA', use: 'sig', x5t: key['kid'], x5c: [expect.any(String)] })
        expect(key).not.toHaveProperty('alg')
        expect(key).not.toHaveProperty('d')
      }
    }
  })

  it('speaks for another host where a national cloud is played', async () => {
    const cloud = await someEntra({ authority: 'https://login.microsoftonline.us' })
    const { body } = await said(await fetch(`${cloud.origin}/${CONTOSO}/v2.0/.well-known/openid-configuration`))
    expect(body).toMatchObject({
      issuer: `https://login.microsoftonline.us/${CONTOSO}/v2.0`,
      token_endpoint: `https://login.microsoftonline.us/${CONTOSO}/oauth2/v2.0/token`,
    })
    await cloud.stop()
  })
})

describe('E1: a request that cannot be answered at its redirect URI is a page', () => {
  it.each([
    ['an unknown client', { client_id: guidOf('nobody') }, CONTOSO, 700016],
    ['an unregistered redirect URI', { redirect_uri: `${CALLBACK}/` }, CONTOSO, 50011],
    ['an unknown tenant', {}, 'nobody.example', 90002],
  ])('%s', async (_what, parameters, tenant, code) => {
    const visited = await client.visit(parameters, { tenant })
    expect([visited.status, visited.location]).toEqual([400, null])
    expect(visited.html).toContain(`AADSTS${code}`)
  })

  it('a single-tenant application at a door for several', async () => {
    const small = await someEntra({ apps: [{ name: 'single', redirectUris: [CALLBACK] }] })
    const visited = await clientOf(small, SINGLE).visit({}, { tenant: 'common' })
    expect([visited.status, visited.location]).toEqual([400, null])
    expect(visited.html).toContain('AADSTS50194')
    await small.stop()
  })

  it.each([
    ['another response type', { response_type: 'token' }, 'unsupported_response_type', 70005],
    ['a scope that names no permission', { scope: 'openid api://orders/orders.burn' }, 'invalid_scope', 70011],
    ['an unknown API', { scope: 'openid api://nowhere/read' }, 'invalid_resource', 500011],
    ['resource (E6)', { resource: 'api://orders' }, 'invalid_request', 901002],
    ['no session for prompt=none', { prompt: 'none' }, 'login_required', 50058],
  ])('after that, errors are callbacks: %s', async (_what, parameters, error, code) => {
    const { callback, number } = await client.visit(parameters)
    expect([callback?.get('error'), number, callback?.get('state')]).toEqual([error, code, 'the-state'])
    expect(callback?.has('error_uri')).toBe(true)
  })
})

describe('E2: the callback and its code', () => {
  it('carries session_state and state, and no iss', async () => {
    const { callback, code } = await client.visit()
    expect([...(callback?.keys() ?? [])].sort()).toEqual(['code', 'session_state', 'state'])
    const { body } = await client.redeem(code)
    expect(claimsOf(body['id_token'])['sid']).toBe(callback?.get('session_state'))
  })

  it('gives a code for one redemption, even when two come at once', async () => {
    const { code } = await client.visit()
    const twice = await Promise.all([client.redeem(code), client.redeem(code)])
    expect(new Set(twice.map(({ status }) => status))).toEqual(new Set([200, 400]))
    expect(await client.redeem(code)).toMatchObject({ status: 400, code: 54005, body: { error: 'invalid_grant' } })
  })

  it('binds it to its tenant, its client, its redirect URI and ten minutes', async () => {
    const other = await someEntra({
      apps: [
        { name: 'gateway', secrets: ['s'], redirectUris: [CALLBACK, `${CALLBACK}2`], multiTenant: true },
        { name: 'other', secrets: ['s'] },
      ],
    })
    const mine = clientOf(other, other.clientId, 's')
    expect((await mine.redeem((await mine.visit()).code, {}, { tenant: FABRIKAM })).code).toBe(700005)
    expect((await clientOf(other, guidOf('app other'), 's').redeem((await mine.visit()).code)).code).toBe(700007)
    expect((await mine.redeem((await mine.visit()).code, { redirect_uri: `${CALLBACK}2` })).code).toBe(50011)
    const { code } = await mine.visit()
    other.clock.shift(601_000)
    expect((await mine.redeem(code)).code).toBe(70008)
    expect((await mine.redeem('nonsense')).body).toMatchObject({ error: 'invalid_grant', error_codes: [9002313] })
    await other.stop()
  })

  it('answers by form_post and fragment where asked', async () => {
    const form = await client.visit({ response_mode: 'form_post' })
    expect(form.html).toMatch(/<form method="POST" action="https:\/\/shop\.example\.com\/bff\/callback">.*name="session_state"/)
    const fragment = await client.visit({ response_mode: 'fragment' })
    expect(new URL(fragment.location ?? '').hash).toMatch(/^#code=.*&state=the-state$/)
  })

  it('takes http://localhost with any port, and nothing else by half', async () => {
    expect((await client.visit({ redirect_uri: 'http://localhost:8123/back' })).code).not.toBe('')
    expect((await client.visit({ redirect_uri: 'http://localhost:8123/elsewhere' })).html).toContain('AADSTS50011')
    expect((await client.visit({ redirect_uri: 'http://127.0.0.1:8123/back' })).html).toContain('AADSTS50011')
  })
})

describe('E3: PKCE, unannounced and enforced', () => {
  it.each([
    ['the verifier', (verifier: string) => ({ code_verifier: verifier }), undefined],
    ['another verifier', () => ({ code_verifier: pkce().verifier }), 501481],
    ['no verifier', () => ({}), 50148],
  ])('a challenge, then %s', async (_what, form, code) => {
    const { verifier, ...challenge } = pkce()
    const visited = await client.visit(challenge)
    const answer = await client.redeem(visited.code, form(verifier) as Record<string, string>)
    expect(answer.code).toBe(code)
  })

  it('takes plain, and no challenge of the wrong size', async () => {
    const { verifier } = pkce()
    const { code } = await client.visit({ code_challenge: verifier, code_challenge_method: 'plain' })
    expect((await client.redeem(code, { code_verifier: verifier })).status).toBe(200)
    expect((await client.visit({ code_challenge: 'short', code_challenge_method: 'S256' })).number).toBe(501491)
  })
})

describe('E4: the type of the redirect URI decides about Origin', () => {
  it('a web application must not send one, a single-page application must, and its refresh tokens last a day', async () => {
    const headers = { origin: 'https://shop.example.com' }
    const { code } = await client.visit()
    expect((await client.redeem(code, {}, { headers })).code).toBe(9002326)
    const small = await someEntra({
      apps: [{ name: 'spa', public: true, redirectUris: [{ uri: CALLBACK, type: 'spa' }] }],
      consents: [{ client: SPA, resource: guidOf('app orders'), scopes: ['orders.read'] }],
    })
    // A public application with no secret: only the Origin stands for it.
    const spa = clientOf(small, SPA)
    const withoutSecret = async (code_: string, origin: boolean) =>
      said(
        await fetch(small.url('token'), {
          method: 'POST',
          headers: origin ? headers : {},
          body: new URLSearchParams({
            client_id: SPA,
            grant_type: 'authorization_code',
            code: code_,
            redirect_uri: CALLBACK,
            scope: `${LOGIN} ${ORDERS}`,
          }),
        }),
      )
    expect((await withoutSecret((await spa.visit()).code, false)).code).toBe(9002327)
    const { body } = await withoutSecret((await spa.visit()).code, true)
    const again = (token: unknown) => spa.refresh(token, ORDERS, {}, { headers })
    small.clock.shift(12 * 3_600_000)
    const second = await again(body['refresh_token'])
    expect(second.status).toBe(200)
    small.clock.shift(13 * 3_600_000)
    expect((await again(second.body['refresh_token'])).code).toBe(700084)
    await small.stop()
  })
})

describe('the pages', () => {
  it('ask who is there, and go on with whom they are told; the browser stays signed in', async () => {
    entra.sit(undefined)
    const page = await client.visit()
    expect(page.status).toBe(200)
    expect(page.html).toMatch(/<form method="POST".*value="ada".*value="grace"/)
    const chosen = await client.visit({}, { form: { user: 'ada' } })
    expect(chosen.code).not.toBe('')
    const again = await client.visit({ prompt: 'none' }, { cookie: chosen.cookie ?? '' })
    expect(again.callback?.get('session_state')).toBe(chosen.callback?.get('session_state'))
    expect((await client.visit({ prompt: 'login' }, { cookie: chosen.cookie ?? '' })).status).toBe(200)
  })

  it('let nobody in who is disabled', async () => {
    entra.setEnabled('ada', false)
    expect((await client.visit()).html).toContain('AADSTS50057')
    entra.setEnabled('ada', true)
  })
})

describe('E16: consent', () => {
  const REPORTS = `${LOGIN} api://reports/reports.read`
  it('is asked for per API, can be declined, and cannot be had silently', async () => {
    entra.directory.withdrawConsent(entra.clientId, guidOf('app reports'))
    entra.sit({ user: 'ada', consent: false })
    const declined = await client.visit({ scope: REPORTS })
    expect([declined.callback?.get('error'), declined.number]).toEqual(['access_denied', 65004])
    entra.sit(undefined)
    const { cookie = '' } = await client.visit({}, { form: { user: 'ada' } })
    const silent = await client.visit({ scope: REPORTS, prompt: 'none' }, { cookie })
    expect([silent.callback?.get('error'), silent.number]).toEqual(['consent_required', 65001])
    expect((await client.visit({ scope: REPORTS }, { cookie })).html).toContain('Permissions requested')
    entra.sit('ada')
    expect((await client.visit({ scope: REPORTS })).code).not.toBe('')
    entra.sit(undefined)
    expect((await client.visit({ scope: REPORTS, prompt: 'none' }, { cookie })).code).not.toBe('')
    expect((await client.visit({ scope: REPORTS, prompt: 'consent' }, { cookie })).html).toContain('Permissions requested')
  })

  it('of some permissions is an administrator’s', async () => {
    expect((await client.visit({ scope: 'openid api://reports/reports.write' })).number).toBe(90094)
  })

  it('.default stands for what was consented, and mixes with nothing', async () => {
    const { body } = await client.redeem((await client.visit({ scope: `${LOGIN} api://orders/.default` })).code, {
      scope: 'api://orders/.default',
    })
    expect(claimsOf(body['access_token'])['scp']).toBe('orders.read orders.write')
    expect((await client.visit({ scope: 'openid api://orders/.default api://orders/orders.read' })).number).toBe(70011)
  })
})

describe('E18: sign-out', () => {
  it('frames each application with sid alone, forgets the browser, and goes on to a registered address only', async () => {
    const { cookie = '', callback } = await client.visit()
    const to = `${entra.url('logout')}?${String(new URLSearchParams({ post_logout_redirect_uri: CALLBACK, state: 's', logout_hint: 'O.x' }))}`
    const page = await (await fetch(to, { headers: { cookie } })).text()
    expect(page).toContain(
      `<iframe hidden src="https://shop.example.com/bff/logout/frontchannel?sid=${callback?.get('session_state') ?? ''}"></iframe>`,
    )
    expect(page).not.toContain('iss=')
    expect(page).toContain(`${CALLBACK}?state=s`)
    entra.sit(undefined)
    expect((await client.visit({ prompt: 'none' }, { cookie })).number).toBe(50058)
    const elsewhere = await fetch(`${entra.url('logout')}?post_logout_redirect_uri=https://evil.example/`)
    expect([elsewhere.headers.get('refresh'), await elsewhere.text()]).toEqual([null, expect.not.stringContaining('evil')])
    expect((await fetch(to)).headers.get('refresh')).toBe(`0;url=${CALLBACK}?state=s`)
  })

  it('leaves refresh tokens alone', async () => {
    const visited = await client.visit()
    const { body } = await client.redeem(visited.code)
    await fetch(entra.url('logout'), { headers: { cookie: visited.cookie ?? '' } })
    expect((await client.refresh(body['refresh_token'])).status).toBe(200)
  })
})

describe('E19: tenants', () => {
  it('issues to who came through common from their own tenant', async () => {
    entra.sit('grace')
    const { code } = await client.visit({}, { tenant: 'common' })
    const { body } = await client.redeem(code, {}, { tenant: 'organizations' })
    expect(claimsOf(body['id_token'])).toMatchObject({ tid: FABRIKAM, iss: entra.issuer(FABRIKAM) })
  })

  it('knows guests by another id and their provider, and sends strangers away', async () => {
    entra.sit('grace')
    const { code } = await client.visit()
    const { body } = await client.redeem(code)
    const guest = claimsOf(body['id_token'])
    expect(guest).toMatchObject({ tid: CONTOSO, iss: entra.issuer(CONTOSO), idp: `https://sts.windows.net/${FABRIKAM}/` })
    const atHome = await client.refresh(body['refresh_token'], ORDERS, {}, { tenant: FABRIKAM })
    expect(claimsOf(atHome.body['access_token'])).toMatchObject({ tid: FABRIKAM })
    expect(claimsOf(atHome.body['access_token'])['oid']).not.toBe(guest['oid'])
    entra.sit('ada')
    expect((await client.visit({}, { tenant: FABRIKAM })).html).toContain('AADSTS50020')
    const ada = await client.signIn()
    expect((await client.refresh(ada['refresh_token'], ORDERS, {}, { tenant: FABRIKAM })).code).toBe(50020)
  })

  it('can let a key name another issuer', async () => {
    entra.setKeyIssuer(entra.keys.active.kid, entra.issuer(FABRIKAM))
    const { keys } = (await said(await fetch(`${entra.origin}/${CONTOSO}/discovery/v2.0/keys`))).body as { readonly keys: Json[] }
    expect(keys.find(({ kid }) => kid === entra.keys.active.kid)?.['issuer']).toBe(entra.issuer(FABRIKAM))
  })
})
