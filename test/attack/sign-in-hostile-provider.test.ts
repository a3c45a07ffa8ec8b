import { createHmac, createPublicKey, randomUUID } from 'node:crypto'
import type { JsonWebKey } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Browser, type Answer } from '../harness/browser.ts'
import { freePlaces, startGateways, type Gateways } from '../harness/gateways.ts'
import { CLIENT_SECRET, startHostileProvider, type HostileProvider, type Script } from '../harness/hostile-provider.ts'
import { auditOf, until, type AuditLine } from '../harness/processes.ts'
import { startUpstream, type Upstream } from '../harness/upstream.ts'
import { sessionCookie, withCookie } from '../harness/world.ts'

/** The whole gateway against a provider that lies: whatever is refused is refused before harm, audited with the check, and told without detail. */
let hostile: HostileProvider
let gateway: Gateways
let upstream: Upstream
const slow: NodeJS.Timeout[] = []

const start = async (): Promise<void> => {
  const places = await freePlaces(1)
  hostile = await startHostileProvider(`http://localhost:${places[0]?.public}/bff/callback`)
  const route = (name: string): string[] => [
    `  - path: /api/${name}`,
    `    upstream: ${upstream.url}`,
    `    token: { principal: user, audience: 'https://${name}.example', scopes: [${name}.read] }`,
  ]
  gateway = await startGateways({
    places,
    provider: { issuer: hostile.issuer, clientId: hostile.clientId, clientSecret: CLIENT_SECRET },
    providerLines: ['  timeout: 2s'],
    lines: ['telemetry: { log: { level: debug } }'],
    routes: [...route('orders'), ...route('invoices')],
  })
}
beforeAll(async () => {
  upstream = await startUpstream()
  await start()
})
afterAll(async () => {
  await gateway.stop()
  await hostile.close()
  await upstream.stop()
})
afterEach(() => {
  for (const timer of slow.splice(0)) clearInterval(timer)
  hostile.metadata = {}
  for (const endpoint of Object.keys(hostile.script) as (keyof typeof hostile.script)[]) delete hostile.script[endpoint]
  upstream.seen.length = 0
  // What the provider said, and what it handed out, is in no line.
  expect(gateway.gateways[0]?.output()).not.toContain('canary')
})

interface Attempt {
  readonly browser: Browser
  readonly nonce: string
  /** The good callback, for a case to spoil. */
  readonly callback: URL
}

/** As far as the provider, which then issues a code for the user it knows. */
const attempt = async (browser = new Browser(), returnTo = '/here'): Promise<Attempt> => {
  const started = await browser.navigate(`${gateway.url}/bff/login?return_to=${returnTo}`, { from: new URL(gateway.url), follow: false })
  const { searchParams: asked } = new URL(String(started.headers['location']))
  const nonce = asked.get('nonce') ?? ''
  const callback = new URL(`${gateway.url}/bff/callback`)
  callback.searchParams.set('code', hostile.issueCode({ challenge: asked.get('code_challenge') ?? '', nonce }))
  callback.searchParams.set('state', asked.get('state') ?? '')
  return { browser, nonce, callback }
}
const comeBack = ({ browser, callback }: Attempt): Promise<Answer> =>
  browser.navigate(callback, { from: new URL(hostile.issuer), until: ({ url }) => url.pathname === '/here' })

const auditedAs = async (requestId: unknown): Promise<AuditLine> => {
  let found: AuditLine | undefined
  await until(`an audit event of ${String(requestId)}`, () => {
    found = auditOf(gateway.gateways[0]).find((line) => line['requestId'] === requestId && line.event === 'sign-in.failed')
    return found !== undefined
  })
  return found ?? { event: 'sign-in.failed' }
}

/** The callback's own answer, wherever the browser was led afterwards. */
const callbackAnswer = ({ browser }: Attempt): { readonly status: number; readonly requestId: unknown; readonly body: string } => {
  const seen = browser.seen.findLast(({ url }) => new URL(url).pathname === '/bff/callback')
  const headers = JSON.parse(seen?.headers ?? '{}') as Record<string, unknown>
  return { status: seen?.status ?? 0, requestId: headers['x-request-id'], body: seen?.body ?? '' }
}

/** The page says nothing of what was wrong, nobody is signed in, and the audit stream names the check. */
const expectRefused = async (
  spoiled: Attempt,
  expected: { readonly status: number; readonly code: string; readonly check: string },
): Promise<void> => {
  const { status, requestId, body } = callbackAnswer(spoiled)
  expect(status).toBe(expected.status)
  expect(await auditedAs(requestId)).toMatchObject({ event: 'sign-in.failed', code: expected.code, check: expected.check })
  expect(body).not.toMatch(/canary|nonce|issuer|signature|audience|expir(y|ed at)|subject|id.token/i)
  expect(body).not.toContain(hostile.issuer)
  expect(sessionCookie(spoiled.browser)).toBeUndefined()
  expect((await spoiled.browser.fetch(`${gateway.url}/bff/user`)).status).toBe(401)
}

const respond =
  (make: (nonce: string) => Promise<Record<string, unknown>>) =>
  async ({ nonce }: Attempt) => {
    hostile.script.token = async () => ({ body: await hostile.tokens(await make(nonce)) })
  }
const spoil =
  (edit: (query: URLSearchParams) => void) =>
  async ({ callback }: Attempt) =>
    edit(callback.searchParams)
const NOW = Math.floor(Date.now() / 1000)

const unsigned = (nonce: string): string => {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'none' })}.${part(hostile.claims({ nonce }))}.`
}
/** RS256's public key taken for an HMAC secret: the classic confusion of algorithms. */
const keyed = (nonce: string): string => {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part({ alg: 'HS256', kid: hostile.signer.kid })}.${part(hostile.claims({ nonce }))}`
  const secret = createPublicKey({ key: hostile.signer.publicJwk as JsonWebKey, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}
const trickle: Script = (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' })
  slow.push(setInterval(() => response.write(' '), 100))
  return undefined
}
const BOMB = gzipSync(Buffer.alloc(100 * 1024 * 1024, ' '))

describe('a callback that is not the answer to this browser’s question never redeems its code', () => {
  it.each<[string, number, string, string, (attempt: Attempt) => Promise<void>]>([
    ['a doubled code', 400, 'request.parameter-invalid', 'parameter-doubled', spoil((query) => query.append('code', 'another'))],
    [
      'a doubled state',
      400,
      'request.parameter-invalid',
      'parameter-doubled',
      spoil((query) => query.append('state', query.get('state') ?? '')),
    ],
    [
      'a doubled iss',
      400,
      'request.parameter-invalid',
      'parameter-doubled',
      spoil((query) => ['a', 'b'].forEach((iss) => query.append('iss', iss))),
    ],
    ['an invented state', 200, 'login.attempt-unknown', 'state', spoil((query) => query.set('state', 'A'.repeat(200)))],
    ['no state', 200, 'login.attempt-unknown', 'state', spoil((query) => query.delete('state'))],
    ['no code', 400, 'login.response-invalid', 'code', spoil((query) => query.delete('code'))],
    ['the iss of another provider', 400, 'login.response-invalid', 'iss', spoil((query) => query.set('iss', 'https://evil.example'))],
    ['an ID token in the query', 400, 'login.response-invalid', 'response-type', spoil((query) => query.set('id_token', unsigned('x')))],
  ])('%s', async (_name, status, code, check, edit) => {
    const spoiled = await attempt()
    await edit(spoiled)
    const before = hostile.hits('token')
    await comeBack(spoiled)
    await expectRefused(spoiled, { status, code, check })
    expect(hostile.hits('token')).toBe(before)
  })

  it('the state of another browser: somebody else’s sign-in cannot be planted in this one', async () => {
    const theirs = await attempt()
    const victim = { ...theirs, browser: new Browser() }
    const before = hostile.hits('token')
    await victim.browser.navigate(victim.callback, { from: new URL(hostile.issuer), follow: false })
    await expectRefused(victim, { status: 200, code: 'login.attempt-unknown', check: 'attempt-cookie' })
    expect(hostile.hits('token')).toBe(before)
  })
})

describe('a token answer that does not hold signs nobody in', () => {
  it.each<[string, number, string, string, (attempt: Attempt) => Promise<void>]>([
    [
      'a wrong nonce',
      400,
      'login.response-invalid',
      'nonce',
      respond(async () => ({ id_token: await hostile.idToken({ nonce: 'other' }) })),
    ],
    ['no nonce', 400, 'login.response-invalid', 'nonce', respond(async () => ({ id_token: await hostile.idToken() }))],
    [
      'another issuer',
      400,
      'login.response-invalid',
      'issuer',
      respond(async (nonce) => ({ id_token: await hostile.idToken({ nonce, iss: 'https://evil.example' }) })),
    ],
    [
      'another client’s token',
      400,
      'login.response-invalid',
      'audience',
      respond(async (nonce) => ({ id_token: await hostile.idToken({ nonce, aud: 'other' }) })),
    ],
    [
      'an expired token',
      400,
      'login.response-invalid',
      'expiry',
      respond(async (nonce) => ({ id_token: await hostile.idToken({ nonce, exp: NOW - 120 }) })),
    ],
    ['alg none', 400, 'login.response-invalid', 'algorithm', respond(async (nonce) => ({ id_token: unsigned(nonce) }))],
    ['alg HS256 with the public key', 400, 'login.response-invalid', 'algorithm', respond(async (nonce) => ({ id_token: keyed(nonce) }))],
    [
      'a signature by another key',
      400,
      'login.response-invalid',
      'signature',
      respond(async (nonce) => ({ id_token: await hostile.idToken({ nonce }, { kid: hostile.signer.kid }, await hostile.newSigner()) })),
    ],
    ['no ID token', 400, 'login.response-invalid', 'id-token', respond(async () => ({}))],
    [
      'a gzip bomb',
      503,
      'provider.unavailable',
      'content-encoding',
      async () => void (hostile.script.token = () => ({ headers: { 'content-encoding': 'gzip' }, body: BOMB })),
    ],
    ['a body that trickles', 503, 'provider.unavailable', 'timeout', async () => void (hostile.script.token = trickle)],
  ])('%s', async (_name, status, code, check, script) => {
    const spoiled = await attempt()
    await script(spoiled)
    await comeBack(spoiled)
    await expectRefused(spoiled, { status, code, check })
  })

  it('an announced iss that is missing', async () => {
    // Metadata are read once: a gateway of its own meets this provider for the first time.
    const places = await freePlaces(1)
    const other = await startHostileProvider(`http://localhost:${places[0]?.public}/bff/callback`)
    other.metadata = { authorization_response_iss_parameter_supported: true }
    const [outer, provider] = [gateway, hostile]
    gateway = await startGateways({
      places,
      provider: { issuer: other.issuer, clientId: other.clientId, clientSecret: CLIENT_SECRET },
      routes: ['  - path: /open', `    upstream: ${upstream.url}`, '    token: { principal: none }'],
    })
    hostile = other
    try {
      const spoiled = await attempt()
      await comeBack(spoiled)
      await expectRefused(spoiled, { status: 400, code: 'login.response-invalid', check: 'iss' })
      expect(hostile.requests.filter(({ parameters }) => parameters.get('grant_type') === 'authorization_code')).toEqual([])
      const good = await attempt()
      good.callback.searchParams.set('iss', hostile.issuer)
      expect((await comeBack(good)).url.pathname).toBe('/here')
    } finally {
      await gateway.stop()
      await hostile.close()
      ;[gateway, hostile] = [outer, provider]
    }
  })

  it('and the same flow unspoiled does', async () => {
    const good = await attempt()
    good.callback.searchParams.set('iss', hostile.issuer)
    expect((await comeBack(good)).url.pathname).toBe('/here')
    expect(sessionCookie(good.browser)).toBeDefined()
    expect((await good.browser.fetch(`${gateway.url}/bff/user`)).status).toBe(200)
  })
})

describe('on refresh', () => {
  /** Signed in as Ada; the first call of a second audience makes the gateway refresh. */
  const signedIn = async (): Promise<Browser> => {
    const good = await attempt()
    await comeBack(good)
    expect((await good.browser.fetch(`${gateway.url}/api/orders`)).status).toBe(200)
    upstream.seen.length = 0
    return good.browser
  }
  const failed = (check: string, subject: string): Promise<void> =>
    until(`token.failed ${check}`, () =>
      auditOf(gateway.gateways[0]).some((line) => line.event === 'token.failed' && line['check'] === check && line['subject'] === subject),
    )

  it.each<[string, string, Record<string, unknown>]>([
    ['another user’s ID token', 'subject-changed', { sub: 'grace', name: 'Grace' }],
    ['another issuer’s', 'issuer', { iss: 'https://evil.example' }],
    ['another client’s', 'audience', { aud: 'other' }],
  ])(
    '%s ends the session: no upstream is asked, nobody is shown the other user, the refresh token is revoked',
    async (_name, check, claims) => {
      const browser = await signedIn()
      const thief = withCookie(new Browser(), sessionCookie(browser))
      const rotated = `canary-refresh-${randomUUID()}`
      hostile.script.token = async () => ({
        body: await hostile.tokens({ refresh_token: rotated, id_token: await hostile.idToken(claims) }),
      })
      const answer = await browser.fetch(`${gateway.url}/api/invoices`)
      expect([answer.status, (JSON.parse(answer.body) as { code: string }).code]).toEqual([401, 'session.ended'])
      expect(answer.body).not.toMatch(/canary|grace|evil|subject|issuer|audience/i)
      expect(upstream.seen).toEqual([])
      expect((await thief.fetch(`${gateway.url}/bff/user`)).status).toBe(401)
      await failed(check, 'ada')
      await until('revoked', () =>
        hostile.requests.some(({ endpoint, parameters }) => endpoint === 'revocation' && parameters.get('token') === rotated),
      )
    },
  )

  it('an expired ID token spoils that answer only: 502, no upstream is asked, and the session goes on', async () => {
    const browser = await signedIn()
    hostile.script.token = async () => ({ body: await hostile.tokens({ id_token: await hostile.idToken({ exp: NOW - 120 }) }) })
    const answer = await browser.fetch(`${gateway.url}/api/invoices`)
    expect([answer.status, (JSON.parse(answer.body) as { code: string }).code]).toEqual([502, 'token.invalid'])
    expect(upstream.seen).toEqual([])
    await failed('expiry', 'ada')
    delete hostile.script.token
    expect((await browser.fetch(`${gateway.url}/api/orders`)).status).toBe(200)
  })

  // Of all that is wrong with an answer, these four have signed people out of other gateways.
  it.each<[string, number, () => void | Promise<void>]>([
    ['an empty 400', 503, () => void (hostile.script.token = () => ({ status: 400, body: '' }))],
    [
      'a challenge instead of an error',
      503,
      () =>
        void (hostile.script.token = () => ({ status: 401, headers: { 'www-authenticate': 'Bearer error="invalid_grant"' }, body: '' })),
    ],
    [
      'keys that are away while a new one signs',
      200,
      async () => {
        const early = await hostile.newSigner()
        hostile.script.jwks = () => ({ status: 503 })
        hostile.script.token = async () => ({ body: await hostile.tokens({ id_token: await hostile.idToken({}, {}, early) }) })
      },
    ],
    // The last: whoever met it leaves the provider alone for a while.
    [
      'an HTML 502',
      503,
      () => void (hostile.script.token = () => ({ status: 502, headers: { 'content-type': 'text/html' }, body: '<p>canary' })),
    ],
  ])('%s ends no session: that call is answered %i, the others go on, and so does the person', async (_name, status, plant) => {
    const ends = () => auditOf(gateway.gateways[0]).filter(({ event }) => event === 'session.ended').length
    const endedBefore = ends()
    const browser = await signedIn()
    const before = hostile.hits('token')
    await plant()
    const answer = await browser.fetch(`${gateway.url}/api/invoices`)
    expect([answer.status, hostile.hits('token') - before]).toEqual([status, 1])
    if (status === 503) expect(answer.headers['retry-after']).toBeDefined()
    expect((await browser.fetch(`${gateway.url}/api/orders`)).status).toBe(200)
    expect((await browser.fetch(`${gateway.url}/bff/user`)).status).toBe(200)
    expect(ends()).toBe(endedBefore)
  })
})
