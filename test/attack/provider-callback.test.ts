import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createHmac, createPublicKey } from 'node:crypto'
import type { JsonWebKey } from 'node:crypto'
import type { Redeemed } from '../../src/domain/provider.ts'
import { profileOf } from '../../src/provider/profiles.ts'
import { startHostileProvider } from '../harness/hostile-provider.ts'
import type { HostileProvider } from '../harness/hostile-provider.ts'
import { askFor, callbackOf, NONCE, providerRoom, visible } from '../harness/provider-room.ts'
import type { ProviderRoom } from '../harness/provider-room.ts'

let hostile: HostileProvider
let room: ProviderRoom
let redeemed: Redeemed | undefined

beforeEach(async () => {
  hostile = await startHostileProvider()
  room = providerRoom(hostile.issuer)
  redeemed = undefined
})
// Every test ends with the search: what was refused, and why, must be told without a single secret.
afterEach(async () => {
  expect(visible(room, redeemed)).not.toContain('canary')
  await room.provider.close()
  await hostile.close()
})

const redeem = async (query: URLSearchParams, checks = room.checks): Promise<Redeemed> => {
  redeemed = await room.provider.redeem(query, checks, undefined)
  return redeemed
}
const callback = (): URLSearchParams => callbackOf(hostile, room)
const withToken = (make: () => Promise<string>): void => {
  hostile.script.token = async () => ({ body: await hostile.tokens({ id_token: await make() }) })
}

describe('a callback that is not ours is refused before any request', () => {
  const change = (edit: (query: URLSearchParams) => void): URLSearchParams => {
    const query = callback()
    edit(query)
    return query
  }
  it.each<[string, string, (query: URLSearchParams) => void]>([
    ['a wrong state', 'state', (query) => query.set('state', 'another')],
    ['no state', 'state', (query) => query.delete('state')],
    ['an empty state', 'state', (query) => query.set('state', '')],
    ['a doubled code', 'duplicate-parameter', (query) => query.append('code', 'second')],
    ['a doubled code of the same value', 'duplicate-parameter', (query) => query.append('code', query.get('code') ?? '')],
    ['a doubled state', 'duplicate-parameter', (query) => query.append('state', query.get('state') ?? '')],
    ['a doubled iss', 'duplicate-parameter', (query) => ['x', 'y'].forEach((iss) => query.append('iss', iss))],
    ['a doubled error', 'duplicate-parameter', (query) => ['x', 'y'].forEach((error) => query.append('error', error))],
    ['a doubled session_state', 'duplicate-parameter', (query) => ['x', 'y'].forEach((value) => query.append('session_state', value))],
    ['code and error at once', 'response-type', (query) => query.set('error', 'access_denied')],
    ['an ID token in the query', 'response-type', (query) => query.set('id_token', 'x')],
    ['an access token in the query', 'response-type', (query) => query.set('access_token', 'x')],
    ['a JARM response', 'response-type', (query) => query.set('response', 'x')],
    ['no code', 'code', (query) => query.delete('code')],
    ['an empty code', 'code', (query) => query.set('code', '')],
    ['a giant code', 'code', (query) => query.set('code', 'x'.repeat(9000))],
  ])('%s', async (_name, check, edit) => {
    expect(await redeem(change(edit))).toEqual({ kind: 'invalid', check })
    expect(hostile.requests).toEqual([])
  })
})

describe('the issuer of the answer (RFC 9207)', () => {
  const withIss = (iss: string | undefined): URLSearchParams => {
    const query = callback()
    if (iss !== undefined) query.set('iss', iss)
    return query
  }
  it.each(['https://evil.example', '', 'slash'])('a callback with iss %j never redeems its code', async (iss) => {
    expect(await redeem(withIss(iss === 'slash' ? `${hostile.issuer}/` : iss))).toEqual({ kind: 'invalid', check: 'iss' })
    expect(hostile.hits('token')).toBe(0)
  })
  it('an announced iss that is missing is refused', async () => {
    hostile.metadata = { authorization_response_iss_parameter_supported: true }
    expect(await redeem(withIss(undefined))).toEqual({ kind: 'invalid', check: 'iss' })
    expect(hostile.hits('token')).toBe(0)
  })
  it('the right iss passes', async () => {
    expect((await redeem(withIss(hostile.issuer))).kind).toBe('signed-in')
  })
  it('an error answer of another issuer is not believed', async () => {
    const query = new URLSearchParams({ error: 'access_denied', state: callback().get('state') ?? '', iss: 'https://evil.example' })
    expect(await redeem(query)).toEqual({ kind: 'invalid', check: 'iss' })
  })
})

describe('an error callback', () => {
  it.each([
    ['access_denied', true, 'access_denied'],
    ['login_required', false, 'login_required'],
    ['<script>alert(1)</script>', false, 'scriptalert1script'],
    ['x'.repeat(500), false, 'x'.repeat(64)],
  ])('%s is told as a refusal, cleaned, and redeems nothing', async (error, cancelled, providerCode) => {
    const query = new URLSearchParams({ error, error_description: 'canary-description', state: callback().get('state') ?? '' })
    expect(await redeem(query)).toEqual({ kind: 'refused', cancelled, providerCode })
    expect(hostile.hits('token')).toBe(0)
  })
  it('without our state is not an answer to us', async () => {
    expect(await redeem(new URLSearchParams({ error: 'access_denied' }))).toEqual({ kind: 'invalid', check: 'state' })
  })
})

describe('an ID token that does not hold never signs anybody in, and its refresh token is revoked', () => {
  const now = Math.floor(Date.now() / 1000)
  it.each<[string, string, Record<string, unknown>]>([
    ['another nonce', 'nonce', { nonce: 'other' }],
    ['no nonce', 'nonce', { nonce: undefined }],
    ['a nonce that is no string', 'nonce', { nonce: [NONCE] }],
    ['another issuer', 'issuer', { iss: 'https://evil.example' }],
    ['another audience', 'audience', { aud: 'another-client' }],
    ['no audience', 'audience', { aud: undefined }],
    ['an audience that is no string', 'audience', { aud: ['gateway', 7] }],
    ['several audiences without azp', 'authorized-party', { aud: ['gateway', 'other'] }],
    ['azp of another client', 'authorized-party', { azp: 'other' }],
    ['an empty subject', 'subject', { sub: '' }],
    ['no subject', 'subject', { sub: undefined }],
    ['a subject of 256 characters', 'subject', { sub: 's'.repeat(256) }],
    ['a subject with a line break', 'subject', { sub: 'ada\nadmin' }],
    ['an expiry a minute ago', 'expiry', { exp: now - 61 }],
    ['no expiry', 'expiry', { exp: undefined }],
    ['an expiry beyond all numbers', 'expiry', { exp: 1e300 }],
    ['an expiry as a string', 'expiry', { exp: String(now + 300) }],
    ['a negative expiry', 'expiry', { exp: -1 }],
    ['an issue more than a minute ahead', 'issued-at', { iat: now + 90 }],
    ['no issue time', 'issued-at', { iat: undefined }],
    ['validity that starts later', 'not-before', { nbf: now + 90 }],
    ['another access token hash', 'at-hash', { at_hash: 'AAAAAAAAAAAAAAAAAAAAAA' }],
    ['an auth_time that is no number', 'auth-time', { auth_time: 'yesterday' }],
    ['40 kB of claims', 'claims-size', { groups: 'g'.repeat(40_000) }],
  ])('%s', async (_name, check, claims) => {
    withToken(() => hostile.idToken({ nonce: NONCE, ...claims }))
    expect(await redeem(callback())).toEqual({ kind: 'invalid', check })
    expect(hostile.last('revocation').parameters.get('token')).toMatch(/^canary-refresh-/)
  })

  it('a clock 10 s ahead is forgiven', async () => {
    withToken(() => hostile.idToken({ nonce: NONCE, iat: now + 10, nbf: now + 10 }))
    expect((await redeem(callback())).kind).toBe('signed-in')
  })
  it('an expired ID token by our clock, not by the machine’s', async () => {
    room.clock.advance(400_000)
    expect(await redeem(callback())).toEqual({ kind: 'invalid', check: 'expiry' })
  })
  it.each([
    ['no auth_time', { auth_time: undefined }],
    ['an auth_time long ago', { auth_time: now - 3600 }],
  ])('max_age was asked for and the answer has %s', async (_name, claims) => {
    withToken(() => hostile.idToken({ nonce: NONCE, ...claims }))
    expect(await redeem(callback(), { ...room.checks, maxAgeSeconds: 60 })).toEqual({ kind: 'invalid', check: 'auth-time' })
  })
  it('a step-up whose acr did not come', async () => {
    withToken(() => hostile.idToken({ nonce: NONCE, acr: '1' }))
    expect(await redeem(callback(), { ...room.checks, acrValues: ['2', '3'] })).toEqual({ kind: 'invalid', check: 'acr' })
  })
})

describe('a signature that is not the provider’s', () => {
  it('a broken signature', async () => {
    withToken(async () => `${(await hostile.idToken({ nonce: NONCE })).split('.').slice(0, 2).join('.')}.${'A'.repeat(86)}`)
    expect(await redeem(callback())).toEqual({ kind: 'invalid', check: 'signature' })
  })
  it('another key under the known key id', async () => {
    const rogue = await hostile.newSigner()
    withToken(() => hostile.idToken({ nonce: NONCE }, { kid: hostile.signer.kid }, rogue))
    expect(await redeem(callback())).toEqual({ kind: 'invalid', check: 'signature' })
  })
  it('alg none', async () => {
    const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    withToken(async () => `${part({ alg: 'none', kid: hostile.signer.kid })}.${part(hostile.claims({ nonce: NONCE }))}.`)
    expect(await redeem(callback())).toEqual({ kind: 'invalid', check: 'algorithm' })
  })
  it('HS256 with the public key as its secret', async () => {
    const rsa = await hostile.newSigner('RS256')
    hostile.keys = [rsa.publicJwk]
    const pem = createPublicKey({ key: rsa.publicJwk as JsonWebKey, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
    const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const body = `${part({ alg: 'HS256', kid: rsa.kid })}.${part(hostile.claims({ nonce: NONCE }))}`
    withToken(async () => `${body}.${createHmac('sha256', pem).update(body).digest('base64url')}`)
    hostile.metadata = { id_token_signing_alg_values_supported: ['RS256', 'HS256', 'none'] }
    expect(await redeem(callback())).toEqual({ kind: 'invalid', check: 'algorithm' })
  })
  it('an algorithm that the provider does not announce', async () => {
    hostile.metadata = { id_token_signing_alg_values_supported: ['RS256'] }
    expect(await redeem(callback())).toEqual({ kind: 'invalid', check: 'algorithm' })
  })
  it('a key that the token brings along, by value or by reference, is neither used nor fetched', async () => {
    const rogue = await hostile.newSigner()
    const header = { jwk: rogue.publicJwk, jku: `${hostile.issuer}/rogue`, x5u: `${hostile.issuer}/rogue` }
    withToken(() => hostile.idToken({ nonce: NONCE }, { ...header, kid: hostile.signer.kid }, rogue))
    expect(await redeem(callback())).toEqual({ kind: 'invalid', check: 'signature' })
    expect(hostile.requests.some((request) => request.endpoint === 'other')).toBe(false)
  })
  it('a crit header nobody understands', async () => {
    withToken(async () => {
      const [, payload, signature] = (await hostile.idToken({ nonce: NONCE })).split('.')
      const header = Buffer.from(JSON.stringify({ alg: 'ES256', kid: hostile.signer.kid, crit: ['evil'], evil: true })).toString(
        'base64url',
      )
      return `${header}.${payload}.${signature}`
    })
    expect((await redeem(callback())).kind).toBe('invalid')
  })
  it('a token that is no JWT at all, or far too long', async () => {
    for (const token of ['not-a-jwt', `a.${'b'.repeat(70_000)}.c`, 'a.b.c.d.e']) {
      withToken(async () => token)
      expect(await redeem(callback())).toEqual({ kind: 'invalid', check: 'id-token' })
    }
  })
})

describe('key changes', () => {
  it('a login right after a key change works, although the copy of the keys is fresh', async () => {
    expect((await redeem(callback())).kind).toBe('signed-in')
    await hostile.rotateKey()
    expect((await redeem(callback())).kind).toBe('signed-in')
    expect(hostile.hits('jwks')).toBe(2)
  })
  it('a key that is gone is not accepted once its successor is known', async () => {
    await redeem(callback())
    const old = hostile.signer
    await hostile.rotateKey()
    await redeem(callback())
    withToken(() => hostile.idToken({ nonce: NONCE }, {}, old))
    expect(await redeem(callback())).toEqual({ kind: 'invalid', check: 'key-unknown' })
  })
  it('a clock that is set back does not keep a new key from being fetched', async () => {
    await redeem(callback())
    await hostile.rotateKey()
    await redeem(callback())
    await hostile.rotateKey()
    room.clock.advance(-3_600_000)
    // Its signature holds; that it comes from the future is another matter.
    expect(await redeem(callback())).toEqual({ kind: 'invalid', check: 'issued-at' })
    expect(hostile.hits('jwks')).toBe(3)
  })
  it('1000 unknown key ids cost one fetch per interval', async () => {
    expect((await redeem(callback())).kind).toBe('signed-in')
    let invented = 0
    withToken(() => hostile.idToken({ nonce: NONCE }, { kid: `invented-${invented++}` }))
    for (let batch = 0; batch < 20; batch++) {
      const kinds = await Promise.all(
        Array.from({ length: 50 }, async () => (await room.provider.redeem(callback(), room.checks, undefined)).kind),
      )
      expect(new Set(kinds)).toEqual(new Set(['invalid']))
    }
    expect(invented).toBe(1000)
    expect(hostile.hits('jwks')).toBe(2)
    room.clock.advance(11_000)
    await redeem(callback())
    expect(hostile.hits('jwks')).toBe(3)
  })
  it('without keys no code is spent', async () => {
    hostile.script.jwks = () => ({ status: 500 })
    expect(await redeem(callback())).toMatchObject({ kind: 'unavailable', cause: 'keys' })
    expect(hostile.hits('token')).toBe(0)
  })
})

describe('tokens that must not be used', () => {
  it.each<[string, string, Record<string, unknown>]>([
    ['a line break in the access token', 'access-token', { access_token: 'canary\r\nx-evil: 1' }],
    ['a non-ASCII access token', 'access-token', { access_token: 'canary-é' }],
    ['an empty access token', 'access-token', { access_token: '' }],
    ['no access token', 'access-token', { access_token: undefined }],
    ['a DPoP token nobody asked for', 'token-type', { token_type: 'DPoP' }],
    ['no token type', 'token-type', { token_type: undefined }],
    ['token type N_A', 'token-type', { token_type: 'N_A' }],
    ['a life of zero', 'expires-in', { expires_in: 0 }],
    ['a negative life', 'expires-in', { expires_in: -5 }],
    ['a life that is no number', 'expires-in', { expires_in: 'soon' }],
    ['a life of null', 'expires-in', { expires_in: null }],
    ['a refresh token that is no string', 'refresh-token', { refresh_token: { canary: 1 } }],
    ['no ID token', 'id-token', { id_token: undefined }],
    ['an ID token that is no string', 'id-token', { id_token: ['x'] }],
  ])('%s', async (_name, check, overrides) => {
    hostile.script.token = async () => ({ body: await hostile.tokens({ id_token: await hostile.idToken({ nonce: NONCE }), ...overrides }) })
    expect(await redeem(callback())).toEqual({ kind: 'invalid', check })
  })
  it('the type of a token is the same in another case', async () => {
    hostile.script.token = async () => ({
      body: await hostile.tokens({ id_token: await hostile.idToken({ nonce: NONCE }), token_type: 'bEaReR' }),
    })
    expect((await redeem(callback())).kind).toBe('signed-in')
  })
  it('an app-only token for a user’s ask', async () => {
    const appOnly = await hostile.idToken({ aud: 'https://orders.example', sub: 'gateway' })
    hostile.script.token = async () => ({
      body: await hostile.tokens({ access_token: appOnly, id_token: await hostile.idToken({ nonce: NONCE }) }),
    })
    redeemed = await room.provider.redeem(callback(), room.checks, askFor('https://orders.example'))
    expect(redeemed).toEqual({ kind: 'invalid', check: 'access-token-principal' })
  })
  it('a token for another audience is dropped, the login stands', async () => {
    const other = await hostile.idToken({ aud: 'https://other.example' })
    hostile.script.token = async () => ({
      body: await hostile.tokens({ access_token: other, id_token: await hostile.idToken({ nonce: NONCE }) }),
    })
    const answer = await room.provider.redeem(callback(), room.checks, askFor('https://orders.example'))
    expect(answer).toMatchObject({ kind: 'signed-in', access: undefined })
  })
  // A real Keycloak did: its code takes no audience, and the first call to one API handed it a token for all of them.
  it.each`
    what                                                       | aud                        | scopes             | refresh_token       | used
    ${'for two of our APIs is not handed to one of them'}      | ${['orders', 'customers']} | ${['orders.read']} | ${'canary-refresh'} | ${false}
    ${'for one of our APIs and a foreign one is all there is'} | ${['orders', 'account']}   | ${['orders.read']} | ${'canary-refresh'} | ${true}
    ${'that no refresh could narrow is used as it came'}       | ${['orders', 'customers']} | ${[]}              | ${'canary-refresh'} | ${true}
    ${'without a refresh token is used as it came'}            | ${['orders', 'customers']} | ${['orders.read']} | ${undefined}        | ${true}
  `('a token of the sign-in $what', async ({ aud, scopes, refresh_token, used }) => {
    const ask = askFor('orders', scopes as string[])
    await room.provider.close()
    room = providerRoom(hostile.issuer, { profile: profileOf('keycloak'), userAsks: [ask, askFor('customers', ['customers.read'])] })
    hostile.script.token = async () => ({
      body: await hostile.tokens({
        access_token: await hostile.idToken({ aud }),
        id_token: await hostile.idToken({ nonce: NONCE }),
        refresh_token,
      }),
    })
    const answer = await room.provider.redeem(callback(), room.checks, ask)
    expect(answer.kind === 'signed-in' && answer.access !== undefined).toBe(used)
  })
  it.each`
    what                                                      | scope                                  | aud          | asked              | used
    ${'by the scopes of another route is not handed to one'}  | ${'openid orders.read customers.read'} | ${undefined} | ${['orders.read']} | ${false}
    ${'by the audience of another route is not handed to it'} | ${'openid orders.read'}                | ${['stock']} | ${['orders.read']} | ${false}
    ${'by scopes that no route asks for is all there is'}     | ${'openid orders.read email'}          | ${undefined} | ${['orders.read']} | ${true}
    ${'that is turned in for others is for all of them'}      | ${'openid orders.read customers.read'} | ${['stock']} | ${[]}              | ${true}
  `('where routes name scopes alone, a token $what', async ({ scope, aud, asked, used }) => {
    const ask = askFor(undefined, asked as string[])
    await room.provider.close()
    const userAsks = [ask, askFor(undefined, ['customers.read']), askFor('stock', ['stock.read'])]
    room = providerRoom(hostile.issuer, { profile: profileOf('keycloak'), userAsks })
    hostile.script.token = async () => ({
      body: await hostile.tokens({
        access_token: aud ? await hostile.idToken({ aud }) : 'canary-opaque',
        id_token: await hostile.idToken({ nonce: NONCE }),
        refresh_token: 'canary-refresh',
        scope,
      }),
    })
    const answer = await room.provider.redeem(callback(), room.checks, ask)
    expect(answer.kind === 'signed-in' && answer.access !== undefined).toBe(used)
  })
  it('prototype keys among the claims are dropped', async () => {
    withToken(() => hostile.idToken({ nonce: NONCE, ['__proto__x']: 1, constructor: { x: 1 }, nested: { prototype: 1, ok: 1 } }))
    const answer = await redeem(callback())
    expect(answer.kind === 'signed-in' && [Object.hasOwn(answer.claims, 'constructor'), answer.claims['nested']]).toEqual([
      false,
      { ok: 1 },
    ])
  })
  it('a used code is rejected by the provider and told as such', async () => {
    const query = callback()
    expect((await redeem(query)).kind).toBe('signed-in')
    expect(await redeem(query)).toEqual({ kind: 'invalid', check: 'code-rejected' })
  })
})
