import { createHmac, createPublicKey } from 'node:crypto'
import type { JsonWebKey } from 'node:crypto'
import { SignJWT, UnsecuredJWT } from 'jose'
import type { JWTHeaderParameters } from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { LogoutTokenRead } from '../../src/domain/provider.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { startHostileProvider } from '../harness/hostile-provider.ts'
import type { HostileProvider } from '../harness/hostile-provider.ts'
import { providerRoom, visible } from '../harness/provider-room.ts'
import type { ProviderRoom } from '../harness/provider-room.ts'

const EVENT = 'http://schemas.openid.net/event/backchannel-logout'

let hostile: HostileProvider
let room: ProviderRoom
let last: LogoutTokenRead | undefined

beforeEach(async () => {
  hostile = await startHostileProvider()
  room = providerRoom(hostile.issuer)
  last = undefined
})
// What was refused, and why, is told without the token and without its claims.
afterEach(async () => {
  expect(visible(room, last?.kind === 'valid' ? undefined : last)).not.toContain('canary')
  await room.provider.close()
  await hostile.close()
})

const now = (): number => Math.floor(Date.now() / 1000)
type Over = Readonly<Record<string, unknown>>
const good = (over: Over = {}): Record<string, unknown> => {
  const claims = {
    iss: hostile.issuer,
    aud: hostile.clientId,
    iat: now(),
    exp: now() + 120,
    jti: 'canary-jti',
    sub: 'ada',
    sid: 'provider-session-1',
    events: { [EVENT]: {} },
    ...over,
  }
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined))
}
const signed = (over: Over = {}, header: Partial<JWTHeaderParameters> = {}, by = hostile.signer): Promise<string> => {
  const full = { alg: by.algorithm, kid: by.kid, typ: 'logout+jwt', ...header }
  const present = Object.fromEntries(Object.entries(full).filter(([, value]) => value !== undefined)) as unknown as JWTHeaderParameters
  return new SignJWT(good(over)).setProtectedHeader(present).sign(by.privateKey)
}
const read = async (token: string, requireType = false): Promise<LogoutTokenRead> => {
  last = await room.provider.readLogoutToken(Secret.of('logout-token', token), { requireType })
  return last
}
const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

it('a good logout token names session, user and itself', async () => {
  const iat = now()
  expect(await read(await signed({ iat }))).toEqual({
    kind: 'valid',
    issuer: hostile.issuer,
    subject: 'ada',
    providerSessionId: 'provider-session-1',
    tokenId: 'canary-jti',
    issuedAt: iat * 1000,
  })
})

describe('what providers in the field send is taken', () => {
  it.each<[string, Over, Partial<JWTHeaderParameters>]>([
    ['sid without sub', { sub: undefined }, {}],
    ['sub without sid', { sid: undefined }, {}],
    ['typ JWT', {}, { typ: 'JWT' }],
    ['no typ', {}, { typ: undefined } as unknown as Partial<JWTHeaderParameters>],
    ['typ as a whole media type', {}, { typ: 'application/Logout+JWT' }],
    ['no exp', { exp: undefined }, {}],
    ['aud as a list of one', { aud: ['gateway'] }, {}],
    ['aud as a list, with azp', { aud: ['gateway', 'another'], azp: 'gateway' }, {}],
    ['Keycloak’s second event', { events: { [EVENT]: {}, revoke_offline_access: true } }, {}],
    ['a clock that runs ahead a little', { iat: Math.floor(Date.now() / 1000) + 20 }, {}],
    ['one that was two minutes on the way', { iat: Math.floor(Date.now() / 1000) - 118 }, {}],
  ])('%s', async (_name, over, header) => {
    expect(await read(await signed(over, header))).toMatchObject({ kind: 'valid' })
  })
})

describe('a logout token that is not quite one ends nothing', () => {
  it.each<[string, string, Over, Partial<JWTHeaderParameters>?]>([
    ['another issuer', 'issuer', { iss: 'https://evil.example' }],
    ['the issuer with a slash', 'issuer', { iss: 'http://127.0.0.1/' }],
    ['no issuer', 'issuer', { iss: undefined }],
    ['a list of issuers', 'issuer', { iss: ['http://127.0.0.1'] }],
    ['another client', 'audience', { aud: 'another' }],
    ['no audience', 'audience', { aud: undefined }],
    ['an empty list of audiences', 'audience', { aud: [] }],
    ['an audience that is no text', 'audience', { aud: ['gateway', 7], azp: 'gateway' }],
    ['several audiences, nobody authorized', 'authorized-party', { aud: ['gateway', 'another'] }],
    ['another authorized party', 'authorized-party', { azp: 'another' }],
    ['no iat', 'issued-at', { iat: undefined }],
    ['an iat in the future', 'issued-at', { iat: Math.floor(Date.now() / 1000) + 120 }],
    ['an iat of three minutes ago', 'issued-at', { iat: Math.floor(Date.now() / 1000) - 180 }],
    ['an iat in milliseconds', 'issued-at', { iat: Date.now() }],
    ['an iat as text', 'issued-at', { iat: String(Math.floor(Date.now() / 1000)) }],
    ['an exp that has passed', 'expiry', { exp: Math.floor(Date.now() / 1000) - 60 }],
    ['an exp as text', 'expiry', { exp: '9999999999' }],
    ['an exp of null', 'expiry', { exp: null }],
    ['not yet valid', 'not-before', { nbf: Math.floor(Date.now() / 1000) + 300 }],
    ['no jti', 'token-id', { jti: undefined }],
    ['an empty jti', 'token-id', { jti: '' }],
    ['a jti that is a number', 'token-id', { jti: 7 }],
    ['a giant jti', 'token-id', { jti: 'j'.repeat(600) }],
    ['no events', 'events', { events: undefined }],
    ['events as a list', 'events', { events: [EVENT] }],
    ['events as text', 'events', { events: EVENT }],
    ['events without the event', 'events', { events: { 'https://schemas.example/other': {} } }],
    ['the event as true', 'events', { events: { [EVENT]: true } }],
    ['the event as null', 'events', { events: { [EVENT]: null } }],
    ['the event as a list', 'events', { events: { [EVENT]: [] } }],
    ['the event in other letters', 'events', { events: { [EVENT.toUpperCase()]: {} } }],
    ['a nonce', 'nonce', { nonce: 'canary-nonce' }],
    ['a nonce of null', 'nonce', { nonce: null }],
    ['neither sub nor sid', 'subject', { sub: undefined, sid: undefined }],
    ['a sub that is a number', 'subject', { sub: 7 }],
    ['an empty sub', 'subject', { sub: '' }],
    ['a giant sub', 'subject', { sub: 'x'.repeat(256) }],
    ['a sid that is a list', 'provider-session', { sid: ['provider-session-1'] }],
    ['an empty sid', 'provider-session', { sid: '' }],
    ['an access token’s type', 'token-type', {}, { typ: 'at+jwt' }],
    ['a security event token’s type', 'token-type', {}, { typ: 'secevent+jwt' }],
    ['a typ that is no text', 'token-type', {}, { typ: 7 } as unknown as Partial<JWTHeaderParameters>],
  ])('%s', async (_name, check, over, header = {}) => {
    expect(await read(await signed(over, header))).toEqual({ kind: 'invalid', check })
  })

  it('an ID token of the same user and session', async () => {
    expect(await read(await hostile.idToken({ nonce: 'canary-nonce', jti: 'canary-jti' }))).toEqual({ kind: 'invalid', check: 'events' })
  })

  it.each<[string, string | undefined]>([
    ['typ JWT', 'JWT'],
    ['no typ', undefined],
  ])('%s, where the type is required', async (_name, typ) => {
    const token = await signed({}, { typ } as unknown as Partial<JWTHeaderParameters>)
    expect(await read(token, true)).toEqual({ kind: 'invalid', check: 'token-type' })
    expect(await read(await signed({}, {}), true)).toMatchObject({ kind: 'valid' })
  })
})

describe('a logout token that the provider did not sign ends nothing', () => {
  it('alg none, in every spelling', async () => {
    expect(await read(new UnsecuredJWT(good()).encode())).toEqual({ kind: 'invalid', check: 'algorithm' })
    for (const alg of ['none', 'None', 'NONE', 'nOnE'])
      expect(await read(`${base64url({ alg, typ: 'logout+jwt' })}.${base64url(good())}.`)).toEqual({ kind: 'invalid', check: 'algorithm' })
  })

  it('HS256 with the provider’s public key as the secret', async () => {
    const pem = createPublicKey({ key: hostile.signer.publicJwk as JsonWebKey, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
    const body = `${base64url({ alg: 'HS256', kid: hostile.signer.kid, typ: 'logout+jwt' })}.${base64url(good())}`
    const mac = createHmac('sha256', pem).update(body).digest('base64url')
    expect(await read(`${body}.${mac}`)).toEqual({ kind: 'invalid', check: 'algorithm' })
  })

  it('an algorithm that the provider does not announce', async () => {
    hostile.metadata = { id_token_signing_alg_values_supported: ['RS256'] }
    expect(await read(await signed())).toEqual({ kind: 'invalid', check: 'algorithm' })
  })

  it('a key of somebody else under the provider’s key id', async () => {
    const { privateKey, algorithm } = await hostile.newSigner()
    expect(await read(await signed({}, {}, { ...hostile.signer, privateKey, algorithm }))).toEqual({ kind: 'invalid', check: 'signature' })
  })

  it.each<[string, (other: { readonly publicJwk: object }) => Over]>([
    ['a key in the header', ({ publicJwk }) => ({ jwk: publicJwk })],
    ['a key set named in the header', () => ({ jku: 'https://evil.example/jwks' })],
    ['a certificate named in the header', () => ({ x5u: 'https://evil.example/cert' })],
  ])('%s is never looked at', async (_name, header) => {
    const other = await hostile.newSigner()
    const token = await signed({}, { ...header(other), kid: hostile.signer.kid }, other)
    expect(await read(token)).toEqual({ kind: 'invalid', check: 'signature' })
  })

  it('a changed byte of the claims, a cut signature, a signature of another token', async () => {
    const [head = '', , mac = ''] = (await signed()).split('.')
    const [, , other = ''] = (await signed({ jti: 'other' })).split('.')
    const body = base64url(good({ sub: 'grace' }))
    for (const token of [
      `${head}.${body}.${mac}`,
      `${head}.${base64url(good())}.${other}`,
      `${head}.${base64url(good())}.${mac.slice(0, 40)}`,
    ])
      expect(await read(token)).toEqual({ kind: 'invalid', check: 'signature' })
  })

  it('a critical header that nobody here understands', async () => {
    const [, body, mac] = (await signed()).split('.')
    const header = base64url({ alg: 'ES256', kid: hostile.signer.kid, typ: 'logout+jwt', crit: ['x'], x: 1 })
    expect(await read(`${header}.${body}.${mac}`)).toEqual({ kind: 'invalid', check: 'signature' })
  })

  it.each([
    '',
    '.',
    '..',
    'a.b',
    'a.b.c',
    'a.b.c.d.e',
    `${'a'.repeat(70_000)}.b.c`,
    'null',
    '{}',
    'e30.e30.e30',
    '%00.%00.%00',
    'ey J.ey.x',
  ])('what is no token at all: %.20s', async (text) => {
    expect(await read(text)).toEqual({ kind: 'invalid', check: expect.stringMatching(/^(logout-token|algorithm)$/) as string })
  })
})

describe('a key that nobody knows', () => {
  it('costs one fetch of the key set, however many tokens name one, and those that come behind it may try again', async () => {
    await read(await signed())
    const before = hostile.hits('jwks')
    expect(await read(await signed({}, { kid: 'invented-0' }))).toEqual({ kind: 'invalid', check: 'key-unknown' })
    for (let i = 1; i <= 50; i += 1)
      expect(await read(await signed({}, { kid: `invented-${i}` }))).toMatchObject({ kind: 'unavailable', cause: 'key-unknown' })
    expect(hostile.hits('jwks') - before).toBe(1)
  })

  it('is found when the provider has changed its key', async () => {
    await read(await signed())
    await hostile.rotateKey()
    expect(await read(await signed())).toMatchObject({ kind: 'valid' })
  })

  it('invented ones take no sign-in its fetch of a new key', async () => {
    await read(await signed())
    await read(await signed({}, { kid: 'invented' }))
    await hostile.rotateKey()
    const query = new URLSearchParams({
      code: hostile.issueCode({ challenge: room.challenge, nonce: room.checks.nonce.reveal() }),
      state: room.checks.state.reveal(),
    })
    expect(await room.provider.redeem(query, room.checks, undefined)).toMatchObject({ kind: 'signed-in' })
  })

  it('nothing is said of a token while the provider is away and no key is held', async () => {
    await hostile.away()
    expect(await read(await signed())).toMatchObject({ kind: 'unavailable' })
    await hostile.back()
  })
})
