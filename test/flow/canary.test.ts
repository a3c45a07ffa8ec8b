import { afterAll, beforeAll, expect, it } from 'vitest'
import { Browser } from '../harness/browser.ts'
import { expectNoLeak, leaks } from '../harness/canary.ts'
import { freePlaces, startGateways, type Gateways } from '../harness/gateways.ts'
import { CLIENT_SECRET, startHostileProvider, type HostileProvider } from '../harness/hostile-provider.ts'
import { until } from '../harness/processes.ts'
import { startUpstream, type Upstream } from '../harness/upstream.ts'
import { sessionCookie } from '../harness/world.ts'

let provider: HostileProvider
let gateway: Gateways
let upstream: Upstream
/** What the provider handed out, and what only the two ends of the back channel may know. */
const tokens = new Set<string>()

beforeAll(async () => {
  upstream = await startUpstream()
  const places = await freePlaces(1)
  provider = await startHostileProvider(`http://localhost:${places[0]?.public}/bff/callback`)
  const [answerOf, idTokenOf] = [provider.tokens, provider.idToken]
  provider.tokens = async (overrides) => {
    const body = await answerOf(overrides)
    for (const name of ['access_token', 'refresh_token']) tokens.add(String(body[name]))
    return body
  }
  provider.idToken = async (...how) => {
    const idToken = await idTokenOf(...how)
    tokens.add(idToken)
    return idToken
  }
  const route = (name: string, token: string, ...more: string[]): string[] => [
    `  - path: /api/${name}`,
    `    upstream: ${upstream.url}`,
    `    token: { ${token}, audience: 'https://${name}.example', scopes: [${name}.read] }`,
    ...more,
  ]
  gateway = await startGateways({
    places,
    provider: { issuer: provider.issuer, clientId: provider.clientId, clientSecret: CLIENT_SECRET },
    profile: 'keycloak', // of those that send an id_token_hint
    lines: ['telemetry: { log: { level: debug } }'],
    routes: [
      ...route('orders', 'principal: user'),
      ...route('invoices', 'principal: user'),
      ...route('reports', 'principal: app', '    allow: signed_in'),
    ],
  })
})
afterAll(async () => {
  await gateway.stop()
  await provider.close()
  await upstream.stop()
})

const signIn = async (browser: Browser): Promise<string> => {
  const started = await browser.navigate(`${gateway.url}/bff/login?return_to=/here`, { from: new URL(gateway.url), follow: false })
  const { searchParams: asked } = new URL(String(started.headers['location']))
  const code = provider.issueCode({ challenge: asked.get('code_challenge') ?? '', nonce: asked.get('nonce') ?? '' })
  const callback = `${gateway.url}/bff/callback?code=${code}&state=${asked.get('state')}`
  const landed = await browser.navigate(callback, { from: new URL(provider.issuer) })
  expect(landed.url.pathname).toBe('/here')
  return code
}
const api = async (browser: Browser, path: string, status = 200): Promise<void> =>
  expect((await browser.fetch(`${gateway.url}${path}`)).status).toBe(status)
/** The one place where an ID token may stand (spec §1.5): the hint on the way to the provider's end-session endpoint, in the redirect and the address it leads to. */
const withoutHint = (text: string): string => text.replaceAll(/(\/logout\?(?:[^"\s]*&)?id_token_hint=)[\w.-]+/g, '$1…')
const browserSaw = ({ seen }: Browser): string => seen.map(({ url, headers, body }) => withoutHint(`${url} ${headers}\n${body}`)).join('\n')
const bearer = (path: string): string => {
  const seen = upstream.seen.findLast((request) => request.path === path)
  return (seen?.headers.authorization ?? '').replace('Bearer ', '')
}

it('no token, code, verifier, secret or cookie of a whole day is in any place where it does not belong', async () => {
  const browser = new Browser()
  const codes = [await signIn(browser)]
  const cookies = [sessionCookie(browser)?.[1] ?? '']
  // A day: two audiences (the second by a refresh), the application's token, a failure of each kind, a renewal that is refused, signing in again, out.
  await api(browser, '/api/orders')
  await api(browser, '/api/invoices')
  await api(browser, '/api/reports')
  await api(browser, '/bff/user')
  await api(browser, '/bff/session')
  await api(browser, '/api/unknown', 404)
  await browser.fetch(`${gateway.url}/bff/session/refresh`, { method: 'POST' })
  await browser.navigate(`${gateway.url}/bff/callback?code=${codes[0]}&state=forged`, { from: new URL(provider.issuer) })
  codes.push(await signIn(browser))
  cookies.push(sessionCookie(browser)?.[1] ?? '')
  provider.script.token = () => ({ status: 400, body: { error: 'invalid_grant', error_description: 'canary-description' } })
  await api(browser, '/api/invoices', 401)
  delete provider.script.token
  codes.push(await signIn(browser))
  cookies.push(sessionCookie(browser)?.[1] ?? '')
  const out = await browser.fetch(`${gateway.url}/bff/logout`, { method: 'POST' })
  const { location } = JSON.parse(out.body) as { location: string }
  await browser.navigate(new URL(location, gateway.url), { from: new URL(gateway.url) })
  await until('the refresh token is revoked', () => provider.hits('revocation') > 0)

  // They did arrive where they belong: the search below looks for what was really in use.
  for (const name of ['orders', 'invoices']) expect(tokens).toContain(bearer(`/api/${name}`))
  expect(bearer('/api/reports')).toBe('canary-app-token')
  expect(tokens.size).toBeGreaterThanOrEqual(11)
  const hinted = browser.seen.filter(({ url, headers, body }) => withoutHint(`${url}${headers}${body}`) !== `${url}${headers}${body}`)
  expect(hinted.map(({ url }) => new URL(url).pathname)).toEqual(['/bff/logout/continue', '/logout'])
  const verifiers = provider.requests.flatMap(({ parameters }) => parameters.get('code_verifier') ?? [])
  expect([codes.length, new Set(cookies).size, verifiers.length]).toEqual([3, 3, 3])

  const metrics = await (await fetch(`${gateway.gateways[0]?.ops}/metrics`)).text()
  await gateway.gateways[0]?.stop() // all that was to be written is written
  const backChannel = [...tokens, 'canary-app-token', 'canary-description', CLIENT_SECRET, ...verifiers]
  expectNoLeak(backChannel, { browser: browserSaw(browser) })
  expectNoLeak([...backChannel, ...codes, ...cookies], { output: gateway.gateways[0]?.output() ?? '', metrics })
  await gateway.restart(0)
})

it('and the search finds what an upstream gives away', async () => {
  const browser = new Browser()
  await signIn(browser)
  await api(browser, '/api/orders')
  expect(leaks(tokens, { browser: browserSaw(browser) })).toEqual([])
  await api(browser, '/api/orders/echo')
  expect(leaks(tokens, { browser: browserSaw(browser) })).toMatchObject([{ place: 'browser' }])
})
