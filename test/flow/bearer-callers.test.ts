import { request as send } from 'node:http'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { BearerCaller } from '../../src/domain/caller.ts'
import type { Allow, Route } from '../../src/domain/route.ts'
import type { AccessToken, TokenOutcome } from '../../src/domain/token.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { after, instant, minutes } from '../../src/kernel/time.ts'
import { edgeHost, fetching, signedIn, type EdgeHost, type Got } from '../harness/edge-host.ts'
import { startHostileProvider, type HostileProvider } from '../harness/hostile-provider.ts'
import { providerRoom, type ProviderRoom } from '../harness/provider-room.ts'
import { aRoute } from '../harness/proxy-host.ts'
import { the } from '../harness/the.ts'

let host: EdgeHost
let hostile: HostileProvider
let room: ProviderRoom
let cookie = ''
let derived: string[] = []
/** What `broker.bearer` answers; the caller's own name in the token unless set. */
let answer: TokenOutcome | undefined
/** Made tokens are in memory. */
let isHot = false

const both = ['session', 'bearer'] as const
const userToken: Route['token'] = {
  principal: 'user',
  ask: { ...the.orders, grant: 'refresh' },
  bearerAsk: { ...the.orders, grant: 'on_behalf_of' },
}
const appToken: Route['token'] = { principal: 'app', ask: { ...the.reports, grant: 'client_credentials' } }
const clients: Allow = { kind: 'client', anyOf: ['nightly'] }

const routes = (upstream: URL): readonly Route[] => {
  const at = (name: string, token: Route['token'], allow: Allow, callers: Route['callers']): Route =>
    aRoute(upstream, { route: { name, path: `/${name}`, upstreamPath: `/${name}`, token, allow, ...(callers && { callers }) } })
  return [
    at('api/orders', userToken, { kind: 'signed-in' }, both),
    at('api/scoped', userToken, { kind: 'scope', anyOf: ['orders.write'] }, ['bearer']),
    at('api/mobile', userToken, { kind: 'client', anyOf: ['mobile-app'] }, ['bearer']),
    at('api/jobs', appToken, { kind: 'any-of', rules: [{ kind: 'role', anyOf: ['reader'] }, clients] }, both),
    at('api/people', userToken, { kind: 'signed-in' }, undefined),
    at('api/plain', { principal: 'none' }, { kind: 'any-of', rules: [{ kind: 'signed-in' }, clients] }, ['bearer']),
  ]
}

const tokenFor = (caller: BearerCaller): AccessToken => {
  const now = instant(Date.now())
  const token = Secret.of('access-token', `canary-derived-for-${caller.subject}`)
  return { key: the.orders.key, token, issuedAt: now, expiresAt: after(now, minutes(5)), scopes: [] }
}

beforeAll(async () => {
  hostile = await startHostileProvider()
  room = providerRoom(hostile.issuer)
  host = await edgeHost({
    routes,
    broker: () => ({
      peekBearer: (caller) => (isHot ? tokenFor(caller) : undefined),
      bearer: async (caller) => {
        derived.push(caller.subject)
        return answer ?? { kind: 'issued', access: tokenFor(caller) }
      },
    }),
  })
  const { provider } = host.ports
  provider.readBearerToken = room.provider.readBearerToken
  provider.issuer = room.provider.issuer
  provider.issuers = room.provider.issuers
  cookie = await signedIn(host)
})
afterAll(async () => {
  // What came along, and what was made of it, is in no log, audit event or access line.
  const told = JSON.stringify([host.logged, host.events, host.access, room.lines])
  expect(told).not.toContain('canary')
  expect(told).not.toContain('eyJ')
  await host.close()
  await room.provider.close()
  await hostile.close()
})
beforeEach(() => {
  derived = []
  answer = undefined
  isHot = false
  host.upstreamSaw.length = 0
  host.events.length = 0
})

const now = (): number => Math.floor(Date.now() / 1000)
const token = (over: Readonly<Record<string, unknown>> = {}): Promise<string> =>
  new SignJWT({
    iss: hostile.issuer,
    aud: host.origin,
    iat: now(),
    exp: now() + 120,
    jti: `canary-${Math.random()}`,
    sub: 'ada',
    client_id: 'mobile-app',
    scope: 'orders.read',
    ...over,
  })
    .setProtectedHeader({ alg: hostile.signer.algorithm, kid: hostile.signer.kid, typ: 'at+jwt' })
    .sign(hostile.signer.privateKey)
const daemon = (over: Readonly<Record<string, unknown>> = {}): Promise<string> => token({ sub: 'nightly', client_id: 'nightly', ...over })
const bearer = (text: string): Record<string, string> => ({ authorization: `Bearer ${text}` })
const codeOf = (got: Got): string => (JSON.parse(got.body) as { code: string }).code
const METADATA = '/.well-known/oauth-protected-resource'

describe('a caller with an access token', () => {
  it('reaches a user route as that user, without CSRF header, cookie or session', async () => {
    const got = await host.ask('/api/orders/1', { method: 'POST', headers: bearer(await token()), body: '{}' })
    expect(got.status).toBe(200)
    expect(host.upstreamSaw.map(({ authorization }) => authorization)).toEqual(['Bearer canary-derived-for-ada'])
    expect(derived).toEqual(['ada'])
    expect(got.headers['cache-control']).toMatch(/no-store|private/)
    expect(got.headers['set-cookie']).toBeUndefined()
  })

  it('never has its own token sent on', async () => {
    const own = await token()
    await host.ask('/api/orders/1', { headers: bearer(own) })
    expect(JSON.stringify(host.upstreamSaw)).not.toContain(own)
  })

  it('that is known, with what was made of it in memory, is served without a promise before the upstream', async () => {
    const own = await token()
    await host.ask('/api/orders/1', { headers: bearer(own) })
    isHot = true
    derived = []
    const { readBearerToken } = host.ports.provider
    host.ports.provider.readBearerToken = () => {
      throw new Error('asked again')
    }
    try {
      for (let i = 0; i < 3; i += 1) expect((await host.ask('/api/orders/1', { headers: bearer(own) })).status).toBe(200)
    } finally {
      host.ports.provider.readBearerToken = readBearerToken
    }
    expect(derived).toEqual([])
  })

  it('is recorded once per token, with who it is and through which application', async () => {
    const own = await token({ sub: 'grace' })
    for (let i = 0; i < 3; i += 1) await host.ask('/api/orders/1', { headers: bearer(own) })
    const accepted = host.events.filter(({ event }) => event === 'caller.accepted')
    expect(accepted).toMatchObject([{ subject: 'grace', kind: 'user', client: 'mobile-app' }])
  })

  it('is let in by scopes of that token, and told which code RFC 6750 has for it', async () => {
    const got = await host.ask('/api/scoped', { headers: bearer(await token()) })
    expect([got.status, codeOf(got)]).toEqual([403, 'policy.denied'])
    expect(got.headers['www-authenticate']).toContain('error="insufficient_scope"')
    expect((await host.ask('/api/scoped', { headers: bearer(await token({ scope: 'orders.write' })) })).status).toBe(200)
    expect(host.upstreamSaw).toHaveLength(1)
  })

  it('is let in through the application that the rule names', async () => {
    expect((await host.ask('/api/mobile', { headers: bearer(await token()) })).status).toBe(200)
    expect((await host.ask('/api/mobile', { headers: bearer(await token({ client_id: 'other' })) })).status).toBe(403)
  })

  it('that expires is refused from that moment on, known or not', async () => {
    const own = await token({ exp: now() + 2 })
    isHot = true
    expect((await host.ask('/api/orders/1', { headers: bearer(own) })).status).toBe(200)
    host.clock.shift(3000)
    room.clock.advance(3000)
    try {
      const got = await host.ask('/api/orders/1', { headers: bearer(own) })
      expect([got.status, codeOf(got)]).toEqual([401, 'caller.token-invalid'])
    } finally {
      host.clock.shift(-3000)
      room.clock.advance(-3000)
    }
  })

  it('loses its open stream when its token ends', async () => {
    const own = await token({ exp: now() + 60 })
    const headers = { ...bearer(own), accept: 'text/event-stream' }
    const ended = new Promise<string>((resolve, reject) => {
      const outgoing = send({
        host: '127.0.0.1',
        port: host.port,
        path: '/api/orders/events',
        headers: { host: new URL(host.origin).host, ...headers },
      })
      outgoing.on('response', (incoming) => {
        let got = ''
        incoming.setEncoding('utf8').on('data', (chunk: string) => {
          got += chunk
          host.clock.shift(61_000)
        })
        incoming.on('close', () => resolve(got))
        incoming.on('error', () => resolve(got))
      })
      outgoing.on('error', reject).end()
    })
    try {
      expect(await ended).toBe('data: hello\n\n')
    } finally {
      host.clock.shift(-61_000)
    }
  })
})

describe('an application that calls for itself', () => {
  it('gets the application’s token where a rule names it, which is audited once per token', async () => {
    const own = await daemon()
    const since = host.events.length
    for (const _time of [1, 2]) expect((await host.ask('/api/jobs', { headers: bearer(own) })).status).toBe(200)
    expect(host.upstreamSaw).toHaveLength(2)
    expect(host.events.slice(since).filter(({ event }) => event === 'access.allowed')).toMatchObject([
      { route: 'api/jobs', principal: 'app', subject: 'nightly' },
    ])
  })
  it.each<[string, Readonly<Record<string, unknown>>]>([
    ['is not let in by a role it has', { sub: 'other', client_id: 'other', roles: ['reader'] }],
    ['is not let in under a name that only begins like it', { sub: 'nightly-2', client_id: 'nightly-2' }],
  ])('%s', async (_what, over) => {
    expect((await host.ask('/api/jobs', { headers: bearer(await daemon(over)) })).status).toBe(403)
    expect(host.upstreamSaw).toEqual([])
  })
  it('never reaches a route of users, and nothing is asked for it', async () => {
    const counted = host.counted('sallyport_broker_principal_mismatches_total')
    const got = await host.ask('/api/orders/1', { headers: bearer(await daemon()) })
    expect([got.status, codeOf(got)]).toEqual([403, 'caller.user-required'])
    expect([host.upstreamSaw, derived]).toEqual([[], []])
    expect(host.events.at(-1)).toMatchObject({ event: 'access.denied', rule: 'principal', route: 'api/orders', subject: 'nightly' })
    expect(host.counted('sallyport_broker_principal_mismatches_total')).toBe(counted + 1)
  })
  it('a user who came through that very application is judged as a user', async () => {
    expect((await host.ask('/api/jobs', { headers: bearer(await token({ client_id: 'nightly' })) })).status).toBe(403)
    expect((await host.ask('/api/jobs', { headers: bearer(await token({ client_id: 'nightly', roles: ['reader'] })) })).status).toBe(200)
  })
  it('is let in where nothing is attached, by its name alone', async () => {
    expect((await host.ask('/api/plain', { headers: bearer(await daemon()) })).status).toBe(200)
    expect((await host.ask('/api/plain', { headers: bearer(await daemon({ sub: 'x', client_id: 'x' })) })).status).toBe(403)
    expect(host.upstreamSaw.map(({ authorization }) => authorization)).toEqual([undefined])
  })
})

describe('what is refused at the door', () => {
  it('a session cookie beside an access token, whatever either is worth', async () => {
    for (const headers of [bearer(await token()), bearer('nonsense'), { authorization: 'Basic eA==' }]) {
      const got = await host.ask('/api/orders/1', { headers: { ...fetching, cookie, ...headers } })
      expect([got.status, codeOf(got)]).toEqual([400, 'caller.ambiguous'])
    }
    expect(host.upstreamSaw).toEqual([])
    // The session is none the worse for it.
    expect((await host.ask('/api/orders/1', { headers: { ...fetching, cookie } })).status).toBe(200)
  })

  it('a session where only access tokens are taken', async () => {
    const got = await host.ask('/api/scoped', { headers: { ...fetching, cookie } })
    expect([got.status, codeOf(got)]).toEqual([401, 'caller.token-absent'])
    expect(got.headers['www-authenticate']).toBe(`Bearer resource_metadata="${host.origin}${METADATA}/api/scoped"`)
    expect(got.body).not.toContain('login_url')
  })

  it('an access token where only sessions are taken: it is dropped, as it always was', async () => {
    const got = await host.ask('/api/people', { headers: { ...fetching, ...bearer(await token()) } })
    expect([got.status, codeOf(got)]).toEqual([401, 'session.absent'])
    const own = await token()
    await host.ask('/api/people', { headers: { ...fetching, cookie, ...bearer(own) } })
    expect(JSON.stringify(host.upstreamSaw)).not.toContain(own)
  })

  it.each<[string, () => Promise<Record<string, string | string[]>>, number, string, string | undefined]>([
    ['nothing', async () => fetching, 401, 'session.absent', undefined],
    ['another scheme', async () => ({ authorization: 'Basic YTpi' }), 401, 'caller.token-absent', undefined],
    ['Bearer and nothing', async () => ({ authorization: 'Bearer' }), 401, 'caller.token-invalid', 'invalid_token'],
    ['Bearer and two words', async () => ({ authorization: `Bearer ${await token()} x` }), 401, 'caller.token-invalid', 'invalid_token'],
    ['Bearer and two blanks', async () => ({ authorization: `Bearer  ${await token()}` }), 401, 'caller.token-invalid', 'invalid_token'],
    [
      'Bearer and two tokens',
      async () => ({ authorization: `Bearer ${await token()}, Bearer x` }),
      401,
      'caller.token-invalid',
      'invalid_token',
    ],
    ['for another audience', async () => bearer(await token({ aud: 'https://other' })), 401, 'caller.token-invalid', 'invalid_token'],
    ['an ID token', async () => bearer(await token({ nonce: 'n' })), 401, 'caller.token-invalid', 'invalid_token'],
    ['opaque', async () => bearer('canary-opaque'), 401, 'caller.token-invalid', 'invalid_token'],
  ])('%s', async (_what, headers, status, code, error) => {
    const got = await host.ask('/api/orders/1', { headers: await headers() })
    expect([got.status, codeOf(got)]).toEqual([status, code])
    const challenge = String(got.headers['www-authenticate'])
    expect(challenge).toContain(`resource_metadata="${host.origin}${METADATA}/api/orders"`)
    expect(/error="([^"]+)"/.exec(challenge)?.[1]).toBe(error)
    expect(host.upstreamSaw).toEqual([])
  })

  it('two Authorization lines', async () => {
    const text = await token()
    const got = await host.ask('/api/orders/1', { headers: { authorization: [`Bearer ${text}`, 'Bearer x'] } })
    expect([got.status, codeOf(got)]).toEqual([400, 'request.malformed'])
  })

  it('a token in the query or in a form', async () => {
    const text = await token()
    expect((await host.ask(`/api/scoped?access_token=${text}`)).status).toBe(401)
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    expect((await host.ask('/api/scoped', { method: 'POST', headers: form, body: `access_token=${text}` })).status).toBe(401)
    expect(host.upstreamSaw).toEqual([])
  })

  it('a page of another site: the preflight is answered here, for every kind of route', async () => {
    const preflight = {
      origin: 'https://evil.example.com',
      'access-control-request-method': 'GET',
      'access-control-request-headers': 'authorization',
    }
    for (const path of ['/api/orders/1', '/api/scoped', '/api/plain']) {
      const got = await host.ask(path, { method: 'OPTIONS', headers: preflight })
      expect(got.status).toBe(403)
      expect(Object.keys(got.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
    }
    expect(host.upstreamSaw).toEqual([])
  })

  it('a provider whose keys cannot be had says nothing against the token: 503', async () => {
    const { readBearerToken } = host.ports.provider
    host.ports.provider.readBearerToken = async () => ({ kind: 'unavailable', retryAfter: minutes(0.1), cause: 'timeout' })
    try {
      const got = await host.ask('/api/orders/1', { headers: bearer(await token()) })
      expect([got.status, codeOf(got), got.headers['retry-after']]).toEqual([503, 'provider.unavailable', '6'])
    } finally {
      host.ports.provider.readBearerToken = readBearerToken
    }
  })
})

describe('what the provider says of a caller’s token', () => {
  it.each<[Extract<TokenOutcome, { kind: 'refused' }>['code'], number, string, string | undefined]>([
    ['token.assertion-rejected', 401, 'token.assertion-rejected', 'invalid_token'],
    ['session.step-up-required', 401, 'caller.step-up-required', 'insufficient_user_authentication'],
    ['token.consent-required', 403, 'token.audience-denied', undefined],
    ['token.audience-denied', 403, 'token.audience-denied', undefined],
    ['token.principal-mismatch', 502, 'token.principal-mismatch', undefined],
    ['token.credential-rejected', 502, 'token.credential-rejected', undefined],
  ])('%s is told as %i', async (code, status, told, error) => {
    answer = { kind: 'refused', code }
    const got = await host.ask('/api/orders/1', { headers: bearer(await token()) })
    expect([got.status, codeOf(got)]).toEqual([status, told])
    expect(/error="([^"]+)"/.exec(String(got.headers['www-authenticate']))?.[1]).toBe(error)
    expect(got.body).not.toContain('login_url')
    expect(host.upstreamSaw).toEqual([])
  })
})

describe('metadata of the protected resources (RFC 9728)', () => {
  it('there is one for all and one for each route that takes access tokens, under its own name', async () => {
    for (const path of ['', '/api/orders', '/api/scoped']) {
      const got = await host.ask(METADATA + path)
      expect([got.status, got.headers['content-type'], got.headers['cache-control']]).toEqual([
        200,
        'application/json; charset=utf-8',
        'public, max-age=300',
      ])
      expect(JSON.parse(got.body)).toMatchObject({
        resource: host.origin + path,
        authorization_servers: [hostile.issuer],
        bearer_methods_supported: ['header'],
        scopes_supported: ['gateway'],
      })
      expect(Object.keys(got.headers)).not.toContain('set-cookie')
    }
  })
  it.each(['/api/people', '/api', '/api/orders/1', '/api/orders/', '/nothing'])('there is none for %s', async (path) => {
    const got = await host.ask(METADATA + path)
    expect([got.status, codeOf(got)]).toEqual([404, 'endpoint.unknown'])
  })
})

it('an address that sends much that is wrong waits, and others do not', async () => {
  // Last of all: from here on this address is known for it.
  const codes = new Set<number>()
  for (let i = 0; i < 80; i += 1) codes.add((await host.ask('/api/orders/1', { headers: bearer(`canary-garbage-${i}`) })).status)
  expect([...codes]).toEqual([401, 429])
  const limited = await host.ask('/api/orders/1', { headers: bearer('canary-garbage-81') })
  expect([limited.status, codeOf(limited)]).toEqual([429, 'caller.rate-limited'])
  expect(Number(limited.headers['retry-after'])).toBeGreaterThan(0)
  // What was found wrong a moment ago is told from memory.
  expect((await host.ask('/api/orders/1', { headers: bearer('canary-garbage-1') })).status).toBe(401)
  expect(host.events.filter(({ event }) => event === 'caller.refused').length).toBeLessThanOrEqual(60)
})
