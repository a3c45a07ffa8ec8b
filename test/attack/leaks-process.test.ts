import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { request as send } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser, exchange } from '../harness/browser.ts'
import { expectNoLeak } from '../harness/canary.ts'
import { freePlaces, startGateways, type Gateways, type Place } from '../harness/gateways.ts'
import { CLIENT_SECRET, startHostileProvider, type HostileProvider } from '../harness/hostile-provider.ts'
import { freePort } from '../harness/free-port.ts'
import { auditOf, startGatewayProcess, until, type AuditLine } from '../harness/processes.ts'
import { exchangeRaw } from '../harness/proxy-host.ts'
import { startUpstream, type Upstream } from '../harness/upstream.ts'
import { sessionCookie, withCookie } from '../harness/world.ts'

/** One gateway as operations run it: what it writes, what it opens, who may command it. */
let hostile: HostileProvider
let gateway: Gateways
let upstream: Upstream
let place: Place
const secrets = new Set<string>([CLIENT_SECRET])

beforeAll(async () => {
  upstream = await startUpstream()
  const places = await freePlaces(1)
  place = places[0]!
  hostile = await startHostileProvider(`http://localhost:${place.public}/bff/callback`)
  const [answerOf, idTokenOf] = [hostile.tokens, hostile.idToken]
  hostile.tokens = async (overrides) => {
    const body = await answerOf(overrides)
    for (const name of ['access_token', 'refresh_token']) secrets.add(String(body[name]))
    return body
  }
  hostile.idToken = async (...how) => {
    const idToken = await idTokenOf(...how)
    secrets.add(idToken)
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
    provider: { issuer: hostile.issuer, clientId: hostile.clientId, clientSecret: CLIENT_SECRET },
    lines: ['telemetry: { log: { level: debug } }'],
    routes: [
      ...route('orders', 'principal: user'),
      ...route('invoices', 'principal: user'),
      ...route('reports', 'principal: app', '    allow: { roles: [auditor] }'),
    ],
  })
})
afterAll(async () => {
  await gateway.stop()
  await hostile.close()
  await upstream.stop()
})

const signIn = async (
  claims: Record<string, unknown> = {},
): Promise<{ readonly browser: Browser; readonly code: string; readonly callback: string }> => {
  const browser = new Browser()
  const started = await browser.navigate(`${gateway.url}/bff/login`, { from: new URL(gateway.url), follow: false })
  const query = new URL(String(started.headers['location'])).searchParams
  const code = hostile.issueCode({ challenge: query.get('code_challenge') ?? '', nonce: query.get('nonce') ?? '', claims })
  const callback = `${gateway.url}/bff/callback?code=${code}&state=${query.get('state')}`
  await browser.navigate(callback, { from: new URL(hostile.issuer) })
  expect(sessionCookie(browser)).toBeDefined()
  secrets.add(code).add(sessionCookie(browser)?.[1] ?? '')
  return { browser, code, callback }
}
const output = (): string => gateway.gateways[0]?.output() ?? ''
/** What it wrote once it served; before that `serve` tells a person on stderr what it thinks of the configuration. */
const lines = (): string[] => {
  const all = output().split('\n').slice(0, -1) // the last one may be half written
  return all.slice(all.findIndex((line) => line.includes('"gateway started"')))
}
const events = (): AuditLine[] => auditOf(gateway.gateways[0])
const has = (fields: Record<string, unknown>): Promise<void> =>
  until(JSON.stringify(fields), () => events().some((line) => Object.entries(fields).every(([name, value]) => line[name] === value)))

/** By the socket, as `curl --unix-socket` does. */
const admin = (path: string, method = 'GET', headers: Record<string, string> = {}): Promise<{ status: number; body: string }> =>
  new Promise((resolve, reject) => {
    const outgoing = send({ socketPath: join(gateway.folder, 'admin-0.sock'), path, method, headers, agent: false }, (incoming) => {
      let body = ''
      incoming.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, body }))
    })
    outgoing.on('error', reject)
    outgoing.end()
  })

describe('who, when, where: each of these leaves an audit line', () => {
  const complete = (line: AuditLine | undefined): void => {
    expect(line?.['time']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    expect(line?.['requestId']).toMatch(/^[0-9a-f]{32}$/)
    expect(line?.['address']).toBe('127.0.0.1')
  }
  const last = (event: AuditLine['event']): AuditLine | undefined => events().findLast((line) => line.event === event)

  it('a sign-in that was started, that succeeded, that failed, and a callback that was replayed', async () => {
    const { browser, callback } = await signIn()
    await has({ event: 'sign-in.succeeded', subject: 'ada' })
    for (const event of ['sign-in.started', 'sign-in.succeeded'] as const) complete(last(event))
    expect(last('sign-in.succeeded')?.['sessionRef']).toMatch(/^[\w-]{22}$/)
    await new Browser().navigate(callback, { from: new URL(hostile.issuer), follow: false })
    await has({ event: 'sign-in.failed', code: 'login.attempt-unknown', check: 'attempt-cookie' })
    complete(last('sign-in.failed'))
    await browser.navigate(`${gateway.url}/bff/callback?code=x&state=forged`, { from: new URL(hostile.issuer), follow: false })
    await has({ event: 'sign-in.failed', check: 'state' })
  })
  it('a sign-out, a denied route, a request of another site, a refused refresh', async () => {
    const { browser } = await signIn()
    expect((await browser.fetch(`${gateway.url}/api/reports`)).status).toBe(403)
    await has({ event: 'access.denied', route: 'api/reports', rule: 'role', subject: 'ada' })
    complete(last('access.denied'))
    await browser.raw(`${gateway.url}/api/orders`, {
      method: 'POST',
      headers: { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' },
    })
    await has({ event: 'csrf.refused', route: 'api/orders', code: 'csrf.cross-site' })
    complete(last('csrf.refused'))
    hostile.script.token = () => ({ status: 400, body: { error: 'invalid_grant', error_description: 'canary-description' } })
    expect((await browser.fetch(`${gateway.url}/api/invoices`)).status).toBe(401)
    delete hostile.script.token
    await has({ event: 'token.failed', subject: 'ada', providerCode: 'invalid_grant' })
    await has({ event: 'session.ended', reason: 'refresh-refused', subject: 'ada' })
    const again = await signIn()
    await again.browser.fetch(`${gateway.url}/bff/logout`, { method: 'POST' })
    await has({ event: 'session.ended', reason: 'user', subject: 'ada' })
    complete(last('session.ended'))
  })
})

describe('an operator', () => {
  // A busy machine may hold up what takes milliseconds; a gateway that does not keep its promise fails each time.
  it('ends one session by its ref over the admin socket: dead within a second, here and for whoever copied the cookie, and audited', {
    retry: 2,
  }, async () => {
    const [victim, bystander] = [await signIn(), await signIn()]
    const thief = withCookie(new Browser(), sessionCookie(victim.browser))
    const id = Buffer.from(sessionCookie(victim.browser)?.[1] ?? '', 'base64url').subarray(0, 16)
    const ref = createHash('sha256').update(id).digest().subarray(0, 16).toString('base64url')
    expect((await thief.fetch(`${gateway.url}/api/orders`)).status).toBe(200)
    const since = Date.now()
    expect(await admin(`/admin/sessions/${ref}`, 'DELETE')).toMatchObject({ status: 200, body: '{"outcome":"ended"}' })
    for (const browser of [victim.browser, thief])
      for (const path of ['/api/orders', '/bff/user']) expect((await browser.fetch(`${gateway.url}${path}`)).status).toBe(401)
    expect(Date.now() - since).toBeLessThan(1000)
    expect((await bystander.browser.fetch(`${gateway.url}/bff/user`)).status).toBe(200)
    await has({ event: 'session.ended', reason: 'admin', sessionRef: ref })
    await has({ event: 'admin.command', command: 'sessions.end', outcome: 'ended', sessionRef: ref })
  })
  it('is whoever may open a socket that only its user may open; no browser, and nobody over the network', async () => {
    expect(statSync(join(gateway.folder, 'admin-0.sock')).mode & 0o777).toBe(0o600)
    for (const headers of [{ origin: gateway.url }, { 'sec-fetch-site': 'same-origin' }] as Record<string, string>[])
      expect((await admin('/admin/status', 'GET', headers)).status).toBe(403)
    expect((await admin('/admin/status')).status).toBe(200)
  })
})

describe('the listeners are apart', () => {
  it.each([
    '/metrics',
    '/livez',
    '/readyz',
    '/healthz',
    '/health',
    '/admin/status',
    '/admin/sessions',
    '/debug/pprof',
    '/debug',
    '/bff/metrics',
    '/bff/admin/status',
    '/forwardauth',
    '/.env',
    '/.git/config',
    '/package.json',
  ])('the public one has no %s', async (path) => {
    for (const headers of [{}, { accept: 'text/html', 'user-agent': 'kube-probe/1.31' }, { 'user-agent': 'GoogleHC/1.0' }] as Record<
      string,
      string
    >[]) {
      const answer = await exchange(new URL(`${gateway.url}${path}`), { headers })
      expect(answer.status).toBe(404)
      expect(answer.body).not.toMatch(/process_|sallyport_|nodejs_|"ready"/)
    }
  })
  it.each(['/', '/bff/user', '/bff/login', '/api/orders', '/admin/status', '/admin/sessions/AAAAAAAAAAAAAAAAAAAAAA', '/metrics/x'])(
    'the ops one has no %s',
    async (path) => {
      for (const method of ['GET', 'POST', 'DELETE']) {
        const answer = await exchange(new URL(`http://127.0.0.1:${place.ops}${path}`), { method })
        expect(answer.status).toBe(404)
      }
    },
  )
  it('and the admin one has neither health, nor numbers, nor the gateway itself', async () => {
    for (const path of ['/metrics', '/livez', '/bff/user', '/api/orders', '/']) expect((await admin(path)).status).toBe(404)
  })
  it('nothing says what it runs on: no version, no banner, no stack', async () => {
    const answers = [
      ...(await Promise.all(
        ['/', '/bff/user', '/bff/login', '/api/orders', '/nowhere'].map((path) => exchange(new URL(`${gateway.url}${path}`))),
      )),
      ...(await Promise.all(['/livez', '/readyz', '/nowhere'].map((path) => exchange(new URL(`http://127.0.0.1:${place.ops}${path}`))))),
    ]
    for (const { headers, body } of answers) {
      for (const name of ['server', 'x-powered-by', 'via', 'x-aspnet-version', 'x-runtime']) expect(headers[name]).toBeUndefined()
      expect(`${JSON.stringify(headers)}${body}`).not.toMatch(/fastify|node\.?js|undici|sallyport\/\d|openssl/i)
      expect(`${JSON.stringify(headers)}${body}`).not.toContain(process.versions.node)
    }
    expect(await exchangeRaw(place.public, 'nonsense\r\n\r\n')).not.toMatch(/\r\nserver:|fastify|node/i)
  })
})

describe('what it writes', () => {
  it('stays one JSON line of ASCII per event, whatever stands in the request', async () => {
    const before = lines().length
    const evil = '\u2028{"event":"key.removed"}\u0085\u202e'
    const crafted = [
      `GET /bff/login?login_hint=%0d%0a%7b%22event%22%3a1%7d&return_to=%E2%80%A8 HTTP/1.1\r\nHost: localhost:${place.public}\r\nConnection: close\r\n\r\n`,
      `GET /bff/callback?error=%0d%0a%7b%22schema%22%3a%22sallyport.audit%2f1%22%7d&state=%E2%80%A8 HTTP/1.1\r\nHost: localhost:${place.public}\r\nUser-Agent: a\u00852${evil}\r\nX-Request-Id: x"}{\r\nX-Forwarded-For: 1.2.3.4"}{\r\nConnection: close\r\n\r\n`,
      `GET /a%0d%0ab%22%7d%7b HTTP/1.1\r\nHost: localhost:${place.public}\r\nConnection: close\r\n\r\n`,
      `GET /\u00e2\u0080\u00a8"}{ HTTP/1.1\r\nHost: localhost:${place.public}\r\nConnection: close\r\n\r\n`,
      `G"}{T / HTTP/1.1\r\nHost: localhost:${place.public}\r\n\r\n`,
    ]
    for (const text of crafted) await exchangeRaw(place.public, Buffer.from(text, 'latin1'))
    // A provider may call people by any name.
    const subject = 'ada"}{"event":"key.removed"} \\'
    await signIn({ sub: subject })
    await has({ event: 'sign-in.succeeded', subject })
    await until('the lines', () => lines().length >= before + 4)
    expect(lines().join('\n')).toMatch(/^[\x20-\x7e\n]*$/)
    for (const line of lines()) {
      const parsed = JSON.parse(line) as Record<string, unknown>
      // A forged event would be a line with an event in it that is none of ours.
      expect(['undefined', 'string']).toContain(typeof parsed['event'])
      if ('event' in parsed) expect(parsed['schema']).toBe('sallyport.audit/1')
    }
    expect(events().map(({ event }) => event)).not.toContain('key.removed')
  })
  it('is in UTC throughout, and orders as it was written', () => {
    let before = 0
    for (const line of lines()) {
      const { time } = JSON.parse(line) as { time: string | number }
      // Epoch milliseconds in the log, ISO 8601 with Z in the audit stream: neither depends on where the machine stands.
      const at = typeof time === 'number' ? time : Date.parse(time)
      if (typeof time === 'string') expect(time.endsWith('Z')).toBe(true)
      expect(at).toBeGreaterThan(Date.UTC(2024, 0))
      expect(at).toBeGreaterThanOrEqual(before - 1000)
      before = at
    }
  })
  it('holds no token, code, verifier, assertion, secret, key or cookie, and names sessions by their hash', async () => {
    const { browser } = await signIn()
    await browser.fetch(`${gateway.url}/api/orders`)
    await browser.fetch(`${gateway.url}/bff/logout`, { method: 'POST' })
    for (const { parameters, headers } of hostile.requests) {
      for (const name of ['code_verifier', 'client_assertion']) if (parameters.has(name)) secrets.add(parameters.get(name) ?? '')
      if (headers.authorization) secrets.add(headers.authorization.replace('Basic ', ''))
    }
    const metrics = await (await fetch(`http://127.0.0.1:${place.ops}/metrics`)).text()
    const status = (await admin('/admin/status')).body
    expect(secrets.size).toBeGreaterThan(10)
    expectNoLeak(secrets, { output: output(), metrics, status })
    const keys = readFileSync(join(gateway.folder, 'gateway-0.yaml'), 'utf8').match(/keys_dir: (.*)/)?.[1] ?? ''
    expectNoLeak([readFileSync(join(keys, 'index.key'), 'utf8'), readFileSync(join(keys, '20261101T000000Z-000001.key'), 'utf8')], {
      output: output(),
      metrics,
    })
    expect(output()).toMatch(/"sessionRef":"[\w-]{22}"/)
  })
})

it('a Redis that cannot be reached is told without its password, by whatever way it was given', async () => {
  const [publicPort, opsPort, redisPort] = [await freePort(), await freePort(), await freePort()]
  const password = 'CANARY-redis-p4ssw0rd'
  const keys = readFileSync(join(gateway.folder, 'gateway-0.yaml'), 'utf8').match(/keys_dir: (.*)/)?.[1] ?? ''
  const config = join(gateway.folder, 'redis.yaml')
  writeFileSync(
    config,
    [
      `public_url: http://localhost:${publicPort}`,
      `listen: { public: "127.0.0.1:${publicPort}", ops: "127.0.0.1:${opsPort}", admin: off }`,
      `provider: { issuer: "${hostile.issuer}", insecure_allow_http: true, client_id: gateway, client_auth: [{ client_secret: "\${env:SECRET}" }] }`,
      `session: { keys_dir: ${keys}, store: { redis: { url: "redis://127.0.0.1:${redisPort}", username: u, password: "\${env:REDIS}" } } }`,
      'telemetry: { log: { level: debug } }',
      'shutdown: { delay: 0s, grace: 1s }',
      '',
    ].join('\n'),
  )
  const one = await startGatewayProcess({ config, publicPort, opsPort, env: { SECRET: CLIENT_SECRET, REDIS: password }, until: 'alive' })
  await until('it tried', () => /Redis|store|ECONNREFUSED/i.test(one.output()))
  const answer = await exchange(new URL(`http://localhost:${publicPort}/bff/user`), {
    headers: { 'x-csrf': '1', cookie: `__Host-Http-sallyport-${publicPort}=${'A'.repeat(64)}` },
  })
  expect([answer.status, answer.headers['set-cookie']]).toEqual([503, undefined])
  await one.stop()
  expectNoLeak([password, CLIENT_SECRET], { output: one.output(), answer: `${answer.body}${JSON.stringify(answer.headers)}` })
})

it('a signal opens no debugger and writes no dump in the image', async () => {
  const dockerfile = readFileSync(new URL('../../Dockerfile', import.meta.url), 'utf8')
  const entry = /ENTRYPOINT (.*)/.exec(dockerfile)?.[1] ?? ''
  expect(entry).toContain('--disable-sigusr1')
  expect(dockerfile).not.toMatch(/--inspect|--heapsnapshot-signal|--report-on|--heap-prof|--cpu-prof|abort-on-uncaught/)
  // And the flag does what it says.
  const child = spawn(process.execPath, ['--disable-sigusr1', '-e', 'setInterval(() => {}, 1000); console.log("up")'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()))
  await until('up', () => said.includes('up'))
  child.kill('SIGUSR1')
  await new Promise((resolve) => setTimeout(resolve, 200))
  expect(said).not.toContain('Debugger')
  child.kill('SIGKILL')
})
