import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Secret } from '../../src/kernel/secret.ts'
import { millis } from '../../src/kernel/time.ts'
import { startHostileProvider } from '../harness/hostile-provider.ts'
import type { HostileProvider, Script } from '../harness/hostile-provider.ts'
import { askFor, callbackOf, providerRoom, visible } from '../harness/provider-room.ts'
import type { ProviderRoom } from '../harness/provider-room.ts'

let hostile: HostileProvider
let room: ProviderRoom
beforeEach(async () => {
  hostile = await startHostileProvider()
  room = providerRoom(hostile.issuer, { timeoutMs: millis(2500) })
})
afterEach(async () => {
  expect(visible(room)).not.toContain('canary')
  await room.provider.close()
  await hostile.close()
})

const known = () => ({ issuer: hostile.issuer, subject: 'ada' })
const refresh = () => room.provider.refresh(Secret.of('refresh-token', 'canary-refresh-old'), askFor('orders'), known())
const BOMB = gzipSync(Buffer.alloc(300 * 1024 * 1024, ' '))

/** Keeps writing until the other side hangs up; `ended` tells that it did. */
const endless = (chunk: string, type = 'application/json'): { readonly script: Script; readonly ended: Promise<number> } => {
  let tell: (bytes: number) => void = () => undefined
  const ended = new Promise<number>((resolve) => {
    tell = resolve
  })
  const script: Script = (_request, response) => {
    let bytes = 0
    response.writeHead(200, { 'content-type': type })
    const more = (): void => {
      while (!response.destroyed && response.write(chunk)) bytes += chunk.length
    }
    response.on('drain', more)
    response.on('close', () => tell(bytes))
    more()
    return undefined
  }
  return { script, ended }
}

describe('an answer that would fill the memory is refused before it does', () => {
  it('a 300 kB gzip bomb of 300 MB is not decoded', async () => {
    expect(BOMB.length).toBeGreaterThan(280_000)
    hostile.script.token = () => ({ headers: { 'content-encoding': 'gzip' }, body: BOMB })
    const before = process.memoryUsage().rss
    expect(await refresh()).toMatchObject({ kind: 'unavailable', sent: 'unknown', cause: 'content-encoding' })
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024)
    expect(hostile.last('token').headers['accept-encoding']).toBe('identity')
  })
  it.each(['discovery', 'jwks'] as const)('a gzip bomb as %s', async (endpoint) => {
    hostile.script[endpoint] = () => ({ headers: { 'content-encoding': 'gzip' }, body: BOMB })
    expect((await room.provider.redeem(callbackOf(hostile, room), room.checks, undefined)).kind).toBe('unavailable')
  })
  it.each(['gzip', 'br', 'deflate', 'zstd', 'identity, gzip'])('content coding %s is refused however small', async (coding) => {
    hostile.script.token = () => ({ headers: { 'content-encoding': coding }, body: '{}' })
    expect(await refresh()).toMatchObject({ kind: 'unavailable', cause: 'content-encoding' })
  })
  it('an endless body is cut off', async () => {
    const { script, ended } = endless('x'.repeat(16 * 1024))
    hostile.script.token = script
    expect(await refresh()).toMatchObject({ kind: 'unavailable', sent: 'unknown', cause: 'body-too-large' })
    expect(await ended).toBeLessThan(64 * 1024 * 1024)
  })
  it('an announced length beyond the bound is not even read', async () => {
    hostile.script.token = (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '99999999' })
      response.write('{')
      return undefined
    }
    expect(await refresh()).toMatchObject({ kind: 'unavailable', cause: 'body-too-large' })
  })
  it('endless headers are cut off', async () => {
    hostile.script.token = (_request, response) => {
      response.socket?.write(`HTTP/1.1 200 OK\r\n${Array.from({ length: 400 }, (_, n) => `x-${n}: ${'y'.repeat(100)}\r\n`).join('')}`)
      return undefined
    }
    expect(await refresh()).toMatchObject({ kind: 'unavailable', sent: 'unknown', cause: 'UND_ERR_HEADERS_OVERFLOW' })
  })
})

describe('an answer that takes its time is given up within the total bound', () => {
  it('a body that trickles', async () => {
    const timers: NodeJS.Timeout[] = []
    hostile.script.token = (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      timers.push(setInterval(() => response.write(' '), 50))
      return undefined
    }
    expect(await refresh()).toMatchObject({ kind: 'unavailable', sent: 'unknown', cause: 'timeout' })
    for (const timer of timers) clearInterval(timer)
  })
  it('no answer at all', async () => {
    hostile.script.token = () => undefined
    expect(await refresh()).toMatchObject({ kind: 'unavailable', sent: 'unknown', cause: 'timeout' })
  })
  it('a discovery that hangs sends no refresh token', async () => {
    hostile.script.discovery = () => undefined
    expect(await refresh()).toMatchObject({ kind: 'unavailable', sent: 'not-sent', cause: 'timeout' })
    expect(hostile.hits('token')).toBe(0)
  })
})

describe('credentials go to the token endpoint and nowhere else', () => {
  it.each([301, 302, 303, 307, 308])('a %i redirect of the token endpoint is not followed', async (status) => {
    const elsewhere = await startHostileProvider()
    hostile.script.token = () => ({ status, headers: { location: `${elsewhere.issuer}/token` } })
    expect(await refresh()).toMatchObject({ kind: 'unavailable', sent: 'unknown', cause: 'redirect' })
    expect(elsewhere.requests).toEqual([])
    await elsewhere.close()
  })
  it('a redirecting discovery or key set is not followed either', async () => {
    const elsewhere = await startHostileProvider()
    hostile.script.discovery = () => ({ status: 302, headers: { location: `${elsewhere.issuer}/.well-known/openid-configuration` } })
    expect(await refresh()).toMatchObject({ kind: 'unavailable', sent: 'not-sent', cause: 'redirect' })
    expect(elsewhere.requests).toEqual([])
    await elsewhere.close()
  })
  it.each([
    ['http off loopback', 'http://10.0.0.1/token'],
    ['another scheme', 'file:///etc/passwd'],
    ['user info', 'https://user:pass@idp.example/token'],
    ['a fragment', 'https://idp.example/token#x'],
    ['no URL', 'token'],
    ['no string', 7],
  ])('metadata whose token endpoint has %s is refused', async (_name, endpoint) => {
    hostile.metadata = { token_endpoint: endpoint }
    expect(await refresh()).toMatchObject({ kind: 'unavailable', sent: 'not-sent', cause: 'endpoint-invalid' })
  })
  it.each([
    ['a trailing slash', (issuer: string) => `${issuer}/`],
    ['another host', () => 'https://evil.example'],
    ['another case', (issuer: string) => issuer.toUpperCase()],
  ])('metadata whose issuer has %s is refused', async (_name, change) => {
    hostile.metadata = { issuer: change(hostile.issuer) }
    expect(await refresh()).toMatchObject({ kind: 'unavailable', sent: 'not-sent', cause: 'issuer-mismatch' })
    expect(hostile.hits('token')).toBe(0)
  })
  it.each(['http://idp.example', 'http://127.0.0.1.evil.example', 'ftp://127.0.0.1', 'https://a:b@idp.example'])(
    'an issuer %s is refused at start',
    (issuer) => {
      expect(() => providerRoom(issuer)).toThrow('provider.issuer')
    },
  )
  it('an http issuer on loopback needs the insecure switch', () => {
    expect(() => providerRoom(hostile.issuer, { insecureAllowHttp: false })).toThrow('provider.issuer')
  })
})

describe('whether a refresh token may be spent is told exactly', () => {
  it('a provider that refuses connections was sent nothing', async () => {
    await refresh() // discovery is held now
    await hostile.close()
    expect(await refresh()).toMatchObject({ kind: 'unavailable', sent: 'not-sent', cause: 'ECONNREFUSED' })
    hostile = await startHostileProvider()
  })
  it('a connection that breaks after the request leaves it unknown', async () => {
    hostile.script.token = (_request, response) => {
      response.socket?.destroy()
      return undefined
    }
    expect(await refresh()).toMatchObject({ kind: 'unavailable', sent: 'unknown' })
    expect(hostile.hits('token')).toBe(1)
  })
  it('a provider that speaks no TLS was sent nothing', async () => {
    const sockets = new Set<{ destroy(): void }>()
    let received = ''
    const plain = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('data', (data) => {
        received += data.toString('latin1')
        socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
      })
    })
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve))
    hostile.metadata = { token_endpoint: `https://127.0.0.1:${(plain.address() as AddressInfo).port}/token` }
    expect(await refresh()).toMatchObject({ kind: 'unavailable', sent: 'not-sent' })
    expect(received).not.toContain('canary')
    for (const socket of sockets) socket.destroy()
    plain.close()
  })
  it('one call sends one request, whatever comes back', async () => {
    for (const status of [200, 400, 401, 429, 500, 503]) {
      hostile.script.token = () => ({
        status,
        body: { error: 'use_dpop_nonce' },
        headers: { 'dpop-nonce': 'n', 'www-authenticate': 'DPoP error="use_dpop_nonce"' },
      })
      const before = hostile.hits('token')
      await refresh()
      expect(hostile.hits('token') - before).toBe(1)
    }
  })
})

describe('answers that are no answers sign nobody out', () => {
  it.each<[string, Script, string, string]>([
    ['an HTML 502', () => ({ status: 502, headers: { 'content-type': 'text/html' }, body: '<h1>bad</h1>' }), 'unknown', 'http-502'],
    [
      'an HTML 400 that quotes invalid_grant',
      () => ({ status: 400, headers: { 'content-type': 'text/html' }, body: '{"error":"invalid_grant"}' }),
      'answered',
      'http-400',
    ],
    ['a 400 without a body', () => ({ status: 400, body: '' }), 'answered', 'http-400'],
    ['a 400 with a JSON array', () => ({ status: 400, body: ['invalid_grant'] }), 'answered', 'http-400'],
    ['an unknown code', () => ({ status: 400, body: { error: 'canary_no_such_code'.slice(7) } }), 'answered', 'no_such_code'],
    ['a 500 that says invalid_grant', () => ({ status: 500, body: { error: 'invalid_grant' } }), 'unknown', 'http-500'],
    ['a 503 in JSON', () => ({ status: 503, body: { error: 'temporarily_unavailable' } }), 'answered', 'overloaded'],
    [
      'a 503 of somebody in between that says how long',
      () => ({ status: 503, headers: { 'retry-after': '7' }, body: 'x' }),
      'unknown',
      'overloaded',
    ],
    ['a 503 of somebody in between', () => ({ status: 503, headers: { 'content-type': 'text/html' }, body: 'x' }), 'unknown', 'http-503'],
    ['a gzip-coded 429', () => ({ status: 429, headers: { 'content-encoding': 'gzip' }, body: BOMB }), 'answered', 'throttled'],
  ])('%s', async (_name, script, sent, cause) => {
    hostile.script.token = script
    expect(await refresh()).toMatchObject({ kind: 'unavailable', sent, cause })
  })
  // A rotation may be in it. Taken for "not rotated", the old token would be sent again as if nothing were known of it, and a strict provider ends the family.
  it.each<[string, Script]>([
    ['is HTML', () => ({ headers: { 'content-type': 'text/html' }, body: '<h1>welcome</h1>' })],
    ['is cut JSON', () => ({ headers: { 'content-type': 'application/json' }, body: '{"access_token":"a","refresh_token":"canary' })],
    [
      'holds a refresh token that cannot be stored',
      () => ({ body: { access_token: 'a', token_type: 'Bearer', refresh_token: 'canary\n' } }),
    ],
    ['holds a refresh token that is no string, beside a broken access token', () => ({ body: { access_token: 1, refresh_token: [] } })],
  ])('a 200 that %s leaves it unknown whether the refresh token is spent', async (_name, script) => {
    hostile.script.token = script
    expect(await refresh()).toMatchObject({ kind: 'unavailable', sent: 'unknown', cause: 'response' })
  })
  it('a 200 without a refresh token keeps the old one, whatever else is wrong with it', async () => {
    hostile.script.token = () => ({ body: { access_token: 'a', token_type: 'DPoP' } })
    expect(await refresh()).toMatchObject({ kind: 'violation', concerns: 'audience', check: 'token-type', refreshToken: undefined })
  })
})
