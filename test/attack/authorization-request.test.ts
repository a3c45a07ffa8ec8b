import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadSettings } from '../../src/config/load.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { Browser } from '../harness/browser.ts'
import { freePlaces, startGateways, type Gateways } from '../harness/gateways.ts'
import { CLIENT_SECRET, startHostileProvider, type HostileProvider } from '../harness/hostile-provider.ts'
import { NONCE, providerRoom, STATE, VERIFIER } from '../harness/provider-room.ts'
import { startUpstream, type Upstream } from '../harness/upstream.ts'
import { sessionCookie } from '../harness/world.ts'

/** What a sign-in asks of the provider, through the whole gateway: nothing in it is for the browser, or a header, to choose. */
let hostile: HostileProvider
let gateway: Gateways
let upstream: Upstream

beforeAll(async () => {
  upstream = await startUpstream()
  const places = await freePlaces(1)
  hostile = await startHostileProvider(`http://localhost:${places[0]?.public}/bff/callback`)
  gateway = await startGateways({
    places,
    provider: { issuer: hostile.issuer, clientId: hostile.clientId, clientSecret: CLIENT_SECRET },
    lines: ['telemetry: { log: { level: debug } }'],
    routes: [
      '  - path: /api/orders',
      `    upstream: ${upstream.url}`,
      "    token: { principal: user, audience: 'https://orders.example', scopes: [orders.read] }",
    ],
  })
})
afterAll(async () => {
  await gateway.stop()
  await hostile.close()
  await upstream.stop()
})

const OWN = [
  ...['client_id', 'code_challenge', 'code_challenge_method', 'nonce', 'redirect_uri', 'resource'],
  ...['response_type', 'scope', 'state'],
]
const page = { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', accept: 'text/html' }
/** Where /bff/login sends a browser that asks so. */
const asked = async (query = '', headers: Record<string, string> = {}): Promise<URL> => {
  const started = await new Browser().raw(`${gateway.url}/bff/login${query}`, { headers: { ...page, ...headers } })
  expect(started.status).toBe(302)
  return new URL(String(started.headers['location']))
}

describe('the gateway is a confidential client of the code flow', () => {
  const config = (provider: string): ReturnType<typeof loadSettings> =>
    loadSettings({
      file: '/etc/sallyport/gateway.yaml',
      text: `public_url: http://localhost:8080\nprovider: { issuer: "https://id.example.com", client_id: shop${provider} }\n`,
      env: {},
      readFile: () => 'x',
    })
  it.each([
    ['has no credential', '', 'config.client-auth-absent'],
    ['has an empty list of them', ', client_auth: []', 'config.client-auth-absent'],
    ['asks for another response type', ', client_auth: [{ client_secret_file: /s }], response_type: token', 'config.key-unknown'],
    ['asks for a fragment', ', client_auth: [{ client_secret_file: /s }], response_mode: fragment', 'config.key-unknown'],
  ])('a configuration that %s does not start', (_name, provider, code) => {
    const loaded = config(provider)
    expect(loaded.kind === 'refused' && loaded.findings.map((finding) => finding.code)).toContain(code)
  })

  it('a login asks for a code and the code is redeemed with the client’s credential and its own verifier', async () => {
    const browser = new Browser()
    const started = await browser.navigate(`${gateway.url}/bff/login`, { from: new URL(gateway.url), follow: false })
    const query = new URL(String(started.headers['location'])).searchParams
    expect([query.get('response_type'), query.get('response_mode')]).toEqual(['code', null])
    const code = hostile.issueCode({ challenge: query.get('code_challenge') ?? '', nonce: query.get('nonce') ?? '' })
    await browser.navigate(`${gateway.url}/bff/callback?code=${code}&state=${query.get('state')}`, { from: new URL(hostile.issuer) })
    expect(sessionCookie(browser)).toBeDefined()
    const { headers, parameters } = hostile.last('token')
    expect(headers.authorization).toMatch(/^Basic /)
    expect(parameters.get('grant_type')).toBe('authorization_code')
    expect(parameters.get('code_verifier')).toMatch(/^[\w-]{43}$/)
  })
})

describe('PKCE', () => {
  it('three logins send three S256 challenges, three states and three nonces, and no verifier', async () => {
    const queries = (await Promise.all([asked(), asked(), asked()])).map(({ searchParams }) => searchParams)
    for (const name of ['code_challenge', 'state', 'nonce']) expect(new Set(queries.map((query) => query.get(name))).size).toBe(3)
    for (const query of queries) {
      expect(query.get('code_challenge')).toMatch(/^[\w-]{43}$/)
      expect(query.getAll('code_challenge_method')).toEqual(['S256'])
      expect(query.has('code_verifier')).toBe(false)
    }
  })

  it.each([
    ['does not say whether it does PKCE', undefined],
    ['does plain only', ['plain']],
  ])('a provider that %s gets S256 all the same, is held to state and nonce, and the log says so', async (_name, methods) => {
    const other = await startHostileProvider()
    other.metadata = { code_challenge_methods_supported: methods }
    const room = providerRoom(other.issuer)
    try {
      const asking = await room.provider.authorizationUrl({
        state: Secret.of('state', STATE),
        nonce: Secret.of('nonce', NONCE),
        verifier: Secret.of('code-verifier', VERIFIER),
        scopes: ['openid'],
        ask: undefined,
        extras: {},
      })
      const query = new URL(asking.kind === 'url' ? asking.url : 'x:').searchParams
      expect([query.get('code_challenge_method'), query.get('code_challenge')]).toEqual(['S256', room.challenge])
      expect(room.lines.filter(({ level }) => level === 'warn').map(({ message }) => message)).toEqual([
        'provider does not announce PKCE with S256',
      ])
      const code = other.issueCode({ challenge: room.challenge, nonce: 'another browser’s' })
      const foreign = new URLSearchParams({ code, state: 'another browser’s' })
      expect(await room.provider.redeem(foreign, room.checks, undefined)).toEqual({ kind: 'invalid', check: 'state' })
      const spliced = new URLSearchParams({ code, state: STATE })
      expect(await room.provider.redeem(spliced, room.checks, undefined)).toEqual({ kind: 'invalid', check: 'nonce' })
    } finally {
      await room.provider.close()
      await other.close()
    }
  })
})

describe('the request is made of the configuration', () => {
  it.each<[string, Record<string, string>, number]>([
    ['X-Forwarded-Host', { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https', 'x-forwarded-port': '443' }, 302],
    ['Forwarded', { forwarded: 'host=evil.example;proto=https' }, 302],
    ['X-Original-Host', { 'x-original-host': 'evil.example', 'x-host': 'evil.example', 'x-forwarded-server': 'evil.example' }, 302],
    ['Host', { host: 'evil.example' }, 421],
    ['a Host with another port', { host: 'localhost:1' }, 421],
  ])('%s cannot move the redirect URI', async (_name, headers, status) => {
    const started = await new Browser().raw(`${gateway.url}/bff/login`, { headers: { ...page, ...headers } })
    expect(started.status).toBe(status)
    expect(JSON.stringify([started.headers, started.body])).not.toContain('evil')
    if (status !== 302) return
    const query = new URL(String(started.headers['location'])).searchParams
    expect(query.getAll('redirect_uri')).toEqual([`${gateway.url}/bff/callback`])
  })

  it('the browser can add no scope, audience, request object, redirect URI or other parameter, and none is sent twice', async () => {
    const forged = {
      ...{ scope: 'openid admin', redirect_uri: 'https://evil.example', request_uri: 'https://evil.example/r', request: 'e30.e30.' },
      ...{ claims: '{"id_token":{"acr":null}}', acr_values: '0', max_age: '99999', resource: 'https://evil.example', audience: 'evil' },
      ...{ response_type: 'token', response_mode: 'fragment', client_id: 'evil', state: 'evil', nonce: 'evil', code_challenge: 'evil' },
      ...{ code_challenge_method: 'plain', id_token_hint: 'evil', registration: '{}', display: 'popup', dpop_jkt: 'evil', step_up: 'evil' },
    }
    const { searchParams: query } = await asked(`?${new URLSearchParams(forged).toString()}`)
    expect([...query.keys()].sort()).toEqual(OWN)
    expect(query.get('scope')?.split(' ').sort()).toEqual(['offline_access', 'openid', 'orders.read', 'profile'])
    expect(query.toString()).not.toContain('evil')
  })

  it('a login that a third party initiates is an ordinary login: its iss and target_link_uri count for nothing', async () => {
    const third = { iss: 'https://evil.example', target_link_uri: 'https://evil.example/loot', return_to: 'https://evil.example/loot' }
    const browser = new Browser()
    const started = await browser.navigate(`${gateway.url}/bff/login?${new URLSearchParams(third).toString()}`, {
      from: new URL('https://evil.example'),
      follow: false,
    })
    const target = new URL(String(started.headers['location']))
    expect([target.origin, [...target.searchParams.keys()].sort()]).toEqual([hostile.issuer, OWN])
    const code = hostile.issueCode({
      challenge: target.searchParams.get('code_challenge') ?? '',
      nonce: target.searchParams.get('nonce') ?? '',
    })
    const landed = await browser.navigate(`${gateway.url}/bff/callback?code=${code}&state=${target.searchParams.get('state')}`, {
      from: new URL(hostile.issuer),
    })
    expect(landed.url.href).toBe(`${gateway.url}/`)
    expect(browser.seen.some(({ url }) => new URL(url).origin.includes('evil'))).toBe(false)
  })

  it.each([
    ['an image', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' }, 403],
    ['a frame', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' }, 403],
    ['a fetch', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' }, 403],
    ['a prerender', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-purpose': 'prefetch;prerender' }, 503],
  ])('no sign-in is started by %s of another site: no cookie, no way to the provider', async (_name, headers, status) => {
    const answer = await new Browser().raw(`${gateway.url}/bff/login`, { headers })
    expect([answer.status, answer.headers['location'], answer.headers['set-cookie']]).toEqual([status, undefined, undefined])
  })
})

it('no token is ever in a URL: not to the browser, not to an upstream, not in the access log', async () => {
  const browser = new Browser()
  const tokens: string[] = []
  const answerOf = hostile.tokens
  hostile.tokens = async (overrides) => {
    const body = await answerOf(overrides)
    tokens.push(...['access_token', 'refresh_token', 'id_token'].flatMap((name) => (name in body ? [String(body[name])] : [])))
    return body
  }
  const started = await browser.navigate(`${gateway.url}/bff/login`, { from: new URL(gateway.url), follow: false })
  const query = new URL(String(started.headers['location'])).searchParams
  const code = hostile.issueCode({ challenge: query.get('code_challenge') ?? '', nonce: query.get('nonce') ?? '' })
  await browser.navigate(`${gateway.url}/bff/callback?code=${code}&state=${query.get('state')}`, { from: new URL(hostile.issuer) })
  upstream.seen.length = 0
  expect((await browser.fetch(`${gateway.url}/api/orders?x=1`)).status).toBe(200)
  const handshake = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
  }
  expect((await browser.raw(`${gateway.url}/api/orders?access_token=mine`, { headers: handshake })).status).toBe(501)
  hostile.tokens = answerOf

  expect(tokens).toHaveLength(3)
  expect(upstream.seen.map(({ path }) => path)).toEqual(['/api/orders?x=1'])
  expect(tokens).toContain((upstream.seen[0]?.headers.authorization ?? '').replace('Bearer ', '')) // it went where it belongs
  const urls = [
    ...browser.seen.map(({ url }) => url),
    ...upstream.seen.map(({ path }) => path),
    ...hostile.requests.map(({ path }) => path),
  ]
  for (const token of tokens) for (const text of [...urls, gateway.gateways[0]?.output() ?? '']) expect(text).not.toContain(token)
})
