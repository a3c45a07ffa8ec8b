import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from '../harness/browser.ts'
import { expectNoLeak } from '../harness/canary.ts'
import { fault } from '../harness/emulators/core-faults.ts'
import { CLIENT_ID, CLIENT_SECRET, gatewayClient } from '../harness/emulators/keycloak/defaults.ts'
import { type Keycloak, startKeycloak } from '../harness/emulators/keycloak/keycloak.ts'
import { freePlaces, type Gateways, startGateways } from '../harness/gateways.ts'
import { until } from '../harness/processes.ts'
import { startUpstream, type Upstream } from '../harness/upstream.ts'

const SIX = ['a', 'b', 'c', 'd', 'e', 'f']
/** Short enough to wait for its end. */
const LIFE_SECONDS = 3
const KEY = 'canary-api-key'

let keycloak: Keycloak
let gateway: Gateways
let upstream: Upstream
const folder = mkdtempSync(join(tmpdir(), 'sallyport-grants-'))

beforeAll(async () => {
  upstream = await startUpstream()
  writeFileSync(join(folder, 'key'), `${KEY}\n`)
  const places = await freePlaces(1)
  const url = `http://localhost:${places[0]?.public}`
  const scopes = SIX.map((name) => ({ name: `${name}.use`, audiences: [`api-${name}`] }))
  const client = gatewayClient(url)
  keycloak = await startKeycloak({
    realm: { revokeRefreshToken: true },
    scopes,
    clients: [
      { ...client, optionalScopes: [...(client.optionalScopes ?? []), ...scopes.map(({ name }) => name)] },
      ...SIX.map((name) => ({ clientId: `api-${name}`, authenticator: 'bearer-only', standardFlow: false }) as const),
    ],
  })
  const route = (path: string, token: string, ...more: string[]): string[] => [
    `  - path: /${path}`,
    `    upstream: ${upstream.url}`,
    `    token: { ${token} }`,
    ...more,
  ]
  gateway = await startGateways({
    places,
    provider: { issuer: keycloak.issuer, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET },
    profile: 'keycloak',
    routes: [
      ...SIX.flatMap((name) => route(`refresh/${name}`, `principal: user, audience: api-${name}, scopes: [${name}.use]`)),
      ...SIX.flatMap((name) => route(`exchange/${name}`, `principal: user, grant: exchange, audience: api-${name}, scopes: [${name}.use]`)),
      ...route('reports', 'principal: app, audience: reports, scopes: [reports.read]', '    allow: signed_in'),
      ...route('legacy', `principal: app, grant: static, key_file: ${join(folder, 'key')}, header: X-Legacy-Key`, '    allow: signed_in'),
    ],
  })
})
afterAll(async () => {
  await gateway.stop()
  await Promise.all([keycloak.stop(), upstream.stop()])
  rmSync(folder, { recursive: true, force: true })
})
afterEach(() => keycloak.faults.clear())

const signIn = async (user = 'grace'): Promise<Browser> => {
  keycloak.autoLogin = user
  const browser = new Browser()
  const landed = await browser.navigate(`${gateway.url}/bff/login?return_to=/here`, { from: new URL(gateway.url) })
  expect(landed.url.pathname).toBe('/here')
  return browser
}
const call = async (browser: Browser, path: string): Promise<number> => (await browser.fetch(`${gateway.url}${path}`)).status
const page = (browser: Browser, kind: string): Promise<readonly number[]> =>
  Promise.all(SIX.map((name) => call(browser, `/${kind}/${name}`)))
const lastHeaders = (path: string) => upstream.seen.findLast((request) => request.path === path)?.headers ?? {}
const lastToken = (path: string): Record<string, unknown> => decodeJwt(String(lastHeaders(path).authorization).replace('Bearer ', ''))
/** `account` is in the audience of whatever a refresh yields. */
const apisOf = (path: string) => [lastToken(path)['aud']].flat().filter((audience) => audience !== 'account')
const OK = SIX.map(() => 200)

describe.each([
  ['refresh', 'refresh_token'],
  ['exchange', 'urn:ietf:params:oauth:grant-type:token-exchange'],
])('a page that calls six APIs by %s', (kind, grant) => {
  it('makes six token calls right after the sign-in at most, and each API gets a token of its own', async () => {
    const browser = await signIn()
    keycloak.record.clear()
    expect(await page(browser, kind)).toEqual(OK)
    expect(keycloak.record.tokenCalls.length).toBeLessThanOrEqual(6)
    for (const name of SIX) expect(apisOf(`/${kind}/${name}`)).toEqual([`api-${name}`])
    expect(await page(browser, kind)).toEqual(OK)
    expect(keycloak.record.tokenCalls.length).toBeLessThanOrEqual(6)
  })

  it('makes one per audience at their expiry, however often it asks', async () => {
    keycloak.realm.settings.accessTokenLifespan = LIFE_SECONDS
    const browser = await signIn()
    expect(await page(browser, kind)).toEqual(OK)
    keycloak.realm.settings.accessTokenLifespan = 300
    const before = String(lastHeaders(`/${kind}/a`).authorization)
    const ends = Math.max(...SIX.map((name) => Number(lastToken(`/${kind}/${name}`)['exp'])))
    await until('the tokens are over', () => Date.now() / 1000 > ends)
    keycloak.record.clear()
    const statuses = await Promise.all([page(browser, kind), page(browser, kind), page(browser, kind)])
    expect(statuses).toEqual([OK, OK, OK])
    expect(keycloak.record.where({ grant })).toHaveLength(6)
    // An exchange turns in the session's own token, which is renewed once for all of them.
    expect(keycloak.record.tokenCalls).toHaveLength(kind === 'refresh' ? 6 : 7)
    expect(String(lastHeaders(`/${kind}/a`).authorization)).not.toBe(before)
    expect(keycloak.record.sentAgain()).toEqual([])
  })

  it('lets no audience wait for the pause of another that is refused', async () => {
    const browser = await signIn()
    keycloak.faults.when(
      ({ endpoint, form }) => endpoint === 'token' && (form.get('scope') ?? '').includes('c.use') && form.get('grant_type') === grant,
      fault.reply({ status: 400, json: { error: 'invalid_scope', error_description: 'Invalid scopes: c.use' } }),
    )
    keycloak.record.clear()
    expect(await page(browser, kind)).toEqual(SIX.map((name) => (name === 'c' ? 403 : 200)))
    expect(await page(browser, kind)).toEqual(SIX.map((name) => (name === 'c' ? 403 : 200)))
    expect(keycloak.record.tokenCalls.length).toBeLessThanOrEqual(6)
    expect(await call(browser, '/bff/user')).toBe(200)
  })
})

it('an exchanged token is the user’s, for one API, issued to the gateway', async () => {
  const browser = await signIn()
  expect(await call(browser, '/exchange/a')).toBe(200)
  const { sub } = JSON.parse((await browser.fetch(`${gateway.url}/bff/user`)).body).claims as { sub: string }
  expect(lastToken('/exchange/a')).toMatchObject({ sub, azp: CLIENT_ID, aud: 'api-a' })
})

it('while exchanges are slow, one does not wait for another', async () => {
  const browser = await signIn()
  const held = keycloak.faults.hold('token', 'arrival')
  const slow = call(browser, '/exchange/a')
  const { form } = await held.arrived
  expect(form.get('audience')).toBe('api-a')
  expect(await call(browser, '/exchange/b')).toBe(200)
  held.release()
  expect(await slow).toBe(200)
})

it('a session that Keycloak ended is ended at the next exchange, not refused for one API', async () => {
  const browser = await signIn()
  keycloak.faults.when(
    ({ endpoint, form }) => endpoint === 'token' && form.get('grant_type') !== 'authorization_code',
    fault.reply({ status: 400, json: { error: 'invalid_grant', error_description: 'Session not active' } }),
  )
  const refused = await browser.fetch(`${gateway.url}/exchange/a`)
  expect([refused.status, JSON.parse(refused.body)]).toEqual([401, expect.objectContaining({ code: 'session.ended' })])
})

it('the application’s token carries no user, and an API key travels in its own header alone', async () => {
  const browser = await signIn()
  expect(await call(browser, '/reports')).toBe(200)
  expect(lastToken('/reports')).toMatchObject({ azp: CLIENT_ID, preferred_username: `service-account-${CLIENT_ID}` })
  const answer = await browser.fetch(`${gateway.url}/legacy`, { headers: { 'x-legacy-key': 'mine' } })
  expect(answer.status).toBe(200)
  expect(lastHeaders('/legacy')).toMatchObject({ 'x-legacy-key': KEY })
  expect(lastHeaders('/legacy').authorization).toBeUndefined()
  expectNoLeak([KEY, CLIENT_SECRET], {
    output: gateway.gateways[0]?.output() ?? '',
    browser: browser.seen.map(({ headers, body }) => `${headers}\n${body}`).join('\n'),
  })
})
