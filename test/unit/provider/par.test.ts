import { createPrivateKey } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { exportJWK } from 'jose'
import Provider from 'oidc-provider'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { Authorization } from '../../../src/domain/provider.ts'
import { millis } from '../../../src/kernel/time.ts'
import { judgeJwk } from '../../../src/credentials/jwk.ts'
import type { ProviderDeps } from '../../../src/provider/provider.ts'
import { CLIENT_SECRET, startHostileProvider } from '../../harness/hostile-provider.ts'
import type { HostileProvider, Script } from '../../harness/hostile-provider.ts'
import { askFor, NONCE, providerRoom, REDIRECT_URI, secretCredential, STATE, visible } from '../../harness/provider-room.ts'
import type { ProviderRoom } from '../../harness/provider-room.ts'
import { selfSigned } from '../../harness/self-signed.ts'

let hostile: HostileProvider
let room: ProviderRoom
beforeEach(async () => {
  hostile = await startHostileProvider()
  hostile.metadata = { pushed_authorization_request_endpoint: `${hostile.issuer}/par` }
  room = providerRoom(hostile.issuer)
})
afterEach(async () => {
  await room.provider.close()
  await hostile.close()
})
const restart = async (overrides: Partial<ProviderDeps>): Promise<void> => {
  await room.provider.close()
  room = providerRoom(hostile.issuer, overrides)
}
const start = (extras: Record<string, string> = {}, of = room): Promise<Authorization> => {
  const { state, nonce, verifier } = of.checks
  return of.provider.authorizationUrl({
    state,
    nonce,
    verifier,
    scopes: ['openid', 'profile'],
    ask: askFor('https://a.example', ['a.read']),
    extras,
  })
}
const urlOf = async (answer: Promise<Authorization>): Promise<URL> => {
  const got = await answer
  if (got.kind !== 'url') throw new Error(JSON.stringify(got))
  return new URL(got.url)
}
const script = (answer: ReturnType<Script>): void => void (hostile.script.par = () => answer)

describe('a pushed request', () => {
  it('leaves exactly client_id and request_uri to the browser, and the whole request to the provider', async () => {
    const url = await urlOf(start({ prompt: 'login', login_hint: 'ada', redirect_uri: 'https://evil.example', request_uri: 'urn:evil' }))
    expect([...url.searchParams.keys()].sort()).toEqual(['client_id', 'request_uri'])
    expect(url.href.startsWith(`${hostile.issuer}/authorize?`)).toBe(true)
    expect(Object.fromEntries(hostile.takePushed(url.searchParams.get('request_uri') ?? '') ?? [])).toEqual({
      client_id: 'gateway',
      response_type: 'code',
      redirect_uri: REDIRECT_URI,
      scope: 'openid profile a.read',
      state: STATE,
      nonce: NONCE,
      code_challenge: room.challenge,
      code_challenge_method: 'S256',
      prompt: 'login',
      login_hint: 'ada',
      resource: 'https://a.example',
    })
    expect(visible(room)).not.toMatch(new RegExp(`canary|${room.challenge}`))
    expect(room.metrics.join()).toContain('{"provider":"default","request":"par","outcome":"answered"}')
  })

  it('is made anew for each login: no request_uri is used twice', async () => {
    const uris = await Promise.all(Array.from({ length: 5 }, async () => (await urlOf(start())).searchParams.get('request_uri')))
    expect(new Set(uris).size).toBe(5)
    expect(hostile.hits('par')).toBe(5)
  })

  it.each(['client_secret_basic', 'client_secret_post'] as const)('is authenticated as at the token endpoint: %s', async (method) => {
    await restart({ clientAuth: secretCredential(method) })
    await urlOf(start())
    const { headers, parameters } = hostile.last('par')
    expect([headers.authorization?.startsWith('Basic '), parameters.get('client_secret')]).toEqual(
      method === 'client_secret_basic' ? [true, null] : [undefined, CLIENT_SECRET],
    )
  })

  it('is authenticated with a client assertion of its own, where that is the way', async () => {
    const pair = selfSigned({ kind: 'ec' })
    const judged = judgeJwk(JSON.stringify({ ...createPrivateKey(pair.key).export({ format: 'jwk' }), kid: 'k1' }), 'client.jwk')
    if (judged.kind === 'unusable') throw new Error(judged.fault)
    hostile.clientKey = pair.publicKey // accepts no jti twice
    await restart({ clientAuth: { current: () => judged.credential } })
    const url = await urlOf(start())
    const front = hostile.takePushed(url.searchParams.get('request_uri') ?? '')
    expect(front?.get('state')).toBe(STATE)
    await urlOf(start())
    expect((await room.provider.application(askFor('https://a.example', [], 'client_credentials'))).kind).toBe('issued')
  })

  it('keeps what the authorization endpoint’s own address carries', async () => {
    hostile.metadata = { ...hostile.metadata, authorization_endpoint: `${hostile.issuer}/authorize?policy=b2c` }
    expect([...(await urlOf(start())).searchParams.keys()].sort()).toEqual(['client_id', 'policy', 'request_uri'])
  })
})

describe('whether it is pushed', () => {
  it.each`
    mode         | announced | required | pushed
    ${undefined} | ${true}   | ${false} | ${true}
    ${'auto'}    | ${true}   | ${true}  | ${true}
    ${'auto'}    | ${false}  | ${false} | ${false}
    ${'off'}     | ${true}   | ${false} | ${false}
    ${'off'}     | ${true}   | ${true}  | ${true}
    ${'on'}      | ${true}   | ${false} | ${true}
    ${'on'}      | ${false}  | ${false} | ${'refused'}
    ${'auto'}    | ${false}  | ${true}  | ${'refused'}
    ${'off'}     | ${false}  | ${true}  | ${'refused'}
  `('par: $mode, announced: $announced, required: $required → $pushed', async ({ mode, announced, required, pushed }) => {
    hostile.metadata = {
      ...(announced && { pushed_authorization_request_endpoint: `${hostile.issuer}/par` }),
      ...(required && { require_pushed_authorization_requests: true }),
    }
    await restart({ par: mode as ProviderDeps['par'] })
    const answer = await start()
    if (pushed === 'refused') {
      expect(answer).toEqual({ kind: 'refused', providerCode: 'par-not-announced' })
      expect(room.lines.filter(({ level }) => level === 'error')).toMatchObject([{ facts: { code: 'par-not-announced' } }])
      return
    }
    const { searchParams } = await urlOf(Promise.resolve(answer))
    expect([searchParams.has('request_uri'), searchParams.has('state'), hostile.hits('par')]).toEqual([pushed, !pushed, pushed ? 1 : 0])
  })

  it('an endpoint that may not be spoken to is none', async () => {
    hostile.metadata = { pushed_authorization_request_endpoint: 'http://par.example/par' }
    await restart({ par: 'on' })
    expect(await start()).toEqual({ kind: 'refused', providerCode: 'par-not-announced' })
  })
})

describe('when it does not succeed, nothing is put into the browser’s address instead', () => {
  const json = { 'content-type': 'application/json' }
  it.each<[string, Exclude<Awaited<ReturnType<Script>>, undefined>, Partial<Authorization>]>([
    ['500', { status: 500, body: 'x' }, { kind: 'unavailable', cause: 'http-500' }],
    ['503', { status: 503, headers: { 'retry-after': '7' } }, { kind: 'unavailable', cause: 'overloaded', retryAfter: millis(7000) }],
    ['429', { status: 429, headers: { 'retry-after': '9' } }, { kind: 'unavailable', cause: 'throttled', retryAfter: millis(9000) }],
    ['a redirect', { status: 302, headers: { location: 'https://evil.example' } }, { kind: 'unavailable', cause: 'redirect' }],
    [
      'a gzip bomb',
      { status: 201, headers: { ...json, 'content-encoding': 'gzip' }, body: gzipSync(Buffer.alloc(1 << 24)) },
      { kind: 'unavailable', cause: 'content-encoding' },
    ],
    ['200 instead of 201', { status: 200, body: { request_uri: 'urn:x', expires_in: 60 } }, { kind: 'unavailable', cause: 'par-response' }],
    ['no request_uri', { status: 201, body: { expires_in: 60 } }, { kind: 'unavailable', cause: 'par-response' }],
    [
      'a request_uri with a line break',
      { status: 201, body: { request_uri: 'urn:x\r\ny', expires_in: 60 } },
      { kind: 'unavailable', cause: 'par-response' },
    ],
    [
      'a request_uri of 10 kB',
      { status: 201, body: { request_uri: 'x'.repeat(10_000), expires_in: 60 } },
      { kind: 'unavailable', cause: 'par-response' },
    ],
    ['no expires_in', { status: 201, body: { request_uri: 'urn:x' } }, { kind: 'unavailable', cause: 'par-response' }],
    ['a life of zero', { status: 201, body: { request_uri: 'urn:x', expires_in: 0 } }, { kind: 'unavailable', cause: 'par-response' }],
    ['HTML', { status: 201, headers: { 'content-type': 'text/html' }, body: '<p>' }, { kind: 'unavailable', cause: 'par-response' }],
    [
      'a rejected client',
      { status: 401, body: { error: 'invalid_client' } },
      { kind: 'credential-rejected', providerCode: 'invalid_client' },
    ],
    ['a rejected client without a word', { status: 401, body: '' }, { kind: 'credential-rejected', providerCode: 'http-401' }],
    [
      'Keycloak’s rejected client',
      { status: 401, body: { error: 'unauthorized_client' } },
      { kind: 'credential-rejected', providerCode: 'unauthorized_client' },
    ],
    [
      'an invalid request',
      { status: 400, body: { error: 'invalid_request', error_description: 'canary' } },
      { kind: 'refused', providerCode: 'invalid_request' },
    ],
    [
      'an invalid redirect URI',
      { status: 400, body: { error: 'invalid_redirect_uri' } },
      { kind: 'refused', providerCode: 'invalid_redirect_uri' },
    ],
    ['an unknown scope', { status: 400, body: { error: 'invalid_scope' } }, { kind: 'refused', providerCode: 'invalid_scope' }],
    ['404', { status: 404, body: '' }, { kind: 'refused', providerCode: 'http-404' }],
    ['413', { status: 413, body: '' }, { kind: 'refused', providerCode: 'http-413' }],
  ])('%s', async (_name, answer, expected) => {
    script(answer)
    expect(await start()).toMatchObject(expected)
    expect(visible(room)).not.toContain('canary')
    expect(hostile.hits('par')).toBe(1) // no retry
  })

  it('a request_uri that may be over before the browser has it', async () => {
    hostile.script.par = () =>
      new Promise((resolve) => {
        setTimeout(() => resolve({ status: 201, body: { request_uri: 'urn:x', expires_in: 0.05 } }), 100)
      })
    expect(await start()).toMatchObject({ kind: 'unavailable', cause: 'par-expired' })
  })

  it('silence is bounded by the time one call may take', async () => {
    await restart({ timeoutMs: millis(300) })
    script(undefined)
    expect(await start()).toMatchObject({ kind: 'unavailable', cause: 'timeout' })
  })

  it('without a usable credential nothing is sent', async () => {
    await restart({ clientAuth: { current: () => undefined } })
    expect(await start()).toMatchObject({ kind: 'unavailable', cause: 'no-credential' })
    expect(hostile.hits('par')).toBe(0)
  })
})

describe('with oidc-provider, which takes no other', () => {
  it('signs in with two parameters in front, and the same address is good for one sign-in only', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const provider = new Provider(issuer, {
      clients: [
        {
          client_id: 'gateway',
          client_secret: CLIENT_SECRET,
          redirect_uris: [REDIRECT_URI],
          grant_types: ['authorization_code', 'refresh_token'],
        },
      ],
      jwks: { keys: [{ ...(await exportJWK(selfSigned({ kind: 'ec' }).privateKey)), kid: 'k', alg: 'ES256', use: 'sig' }] },
      clientDefaults: { id_token_signed_response_alg: 'ES256' },
      cookies: { keys: ['x'] },
      findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
      features: { pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true } },
    })
    const handle = provider.callback()
    server.on('request', (request, response) => void handle(request, response))
    const real = providerRoom(issuer, { par: 'off', scopes: ['openid'] }) // required wins
    onTestFinished(async () => {
      await real.provider.close()
      server.closeAllConnections()
      server.close()
    })
    const { state, nonce, verifier } = real.checks
    const url = await urlOf(real.provider.authorizationUrl({ state, nonce, verifier, scopes: ['openid'], ask: undefined, extras: {} }))
    expect([...url.searchParams.keys()].sort()).toEqual(['client_id', 'request_uri'])

    const query = await throughDevForms(url.href)
    const redeemed = await real.provider.redeem(query, real.checks, undefined)
    expect(redeemed).toMatchObject({ kind: 'signed-in', subject: 'ada' })

    const again = await fetch(url, { redirect: 'manual' })
    const location = new URL(again.headers.get('location') ?? 'x:', issuer)
    expect([location.searchParams.has('code'), location.pathname.includes('interaction')]).toEqual([false, false])
    expect(again.status === 400 || location.searchParams.has('error')).toBe(true)

    // A plain request is refused there: what was pushed is what was needed.
    const plain = new URL(`${issuer}/auth`)
    plain.search = new URLSearchParams({
      client_id: 'gateway',
      response_type: 'code',
      scope: 'openid',
      redirect_uri: REDIRECT_URI,
      code_challenge: real.challenge,
      code_challenge_method: 'S256',
    }).toString()
    const refused = await fetch(plain, { redirect: 'manual' })
    expect(`${refused.status} ${refused.headers.get('location') ?? ''}`).not.toContain('/interaction/')
  })
})

/** Follows redirects and submits the development forms, with a cookie jar, until the redirect URI is reached. */
const throughDevForms = async (begin: string): Promise<URLSearchParams> => {
  const jar = new Map<string, string>()
  let next: { url: string; body?: URLSearchParams } = { url: begin }
  for (let step = 0; step < 20; step += 1) {
    const response = await fetch(next.url, {
      redirect: 'manual',
      method: next.body ? 'POST' : 'GET',
      headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(next.body && { body: next.body }),
    })
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      jar.set(name, value)
    }
    const location = response.headers.get('location')
    if (location?.startsWith(REDIRECT_URI)) return new URL(location).searchParams
    if (location !== null) {
      next = { url: new URL(location, next.url).href }
      continue
    }
    const page = await response.text()
    const action = /<form[^>]*action="([^"]+)"/.exec(page)?.[1]
    if (action === undefined) throw new Error(`no form at step ${step}: ${response.status}`)
    const prompt = /name="prompt" value="([^"]+)"/.exec(page)?.[1] ?? 'login'
    next = { url: new URL(action, next.url).href, body: new URLSearchParams({ prompt, login: 'ada', password: 'x' }) }
  }
  throw new Error('never came back')
}
