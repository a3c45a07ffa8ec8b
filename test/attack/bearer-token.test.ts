import { createHmac, createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto'
import { exportJWK, SignJWT } from 'jose'
import type { JWTHeaderParameters } from 'jose'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { BearerRead } from '../../src/domain/caller.ts'
import type { ProfileName } from '../../src/domain/profile.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { minutes } from '../../src/kernel/time.ts'
import { profileOf } from '../../src/provider/profiles.ts'
import { startHostileProvider, type HostileProvider } from '../harness/hostile-provider.ts'
import { providerRoom, visible, type ProviderRoom } from '../harness/provider-room.ts'

const GATEWAY = 'https://shop.example.com/api'

let hostile: HostileProvider
let other: HostileProvider
let room: ProviderRoom
let last: BearerRead | undefined
let sent: string[] = []

const newRoom = (profile: ProfileName = 'generic'): ProviderRoom => providerRoom(hostile.issuer, { profile: profileOf(profile) })

beforeAll(async () => {
  hostile = await startHostileProvider()
  other = await startHostileProvider()
})
afterAll(async () => {
  await hostile.close()
  await other.close()
})
beforeEach(() => {
  room = newRoom()
  sent = []
})
afterEach(async () => {
  // Nothing of a token is ever told, whatever became of it.
  const told = visible(room, last?.kind === 'valid' ? undefined : last)
  for (const token of sent) if (token.length > 60) expect(told).not.toContain(token.slice(-40))
  await room.provider.close()
})

const now = (): number => Math.floor(Date.now() / 1000)
type Over = Readonly<Record<string, unknown>>
/** RFC 9068 §2.2, of a user. */
const good = (over: Over = {}): Record<string, unknown> => {
  const claims = {
    iss: hostile.issuer,
    aud: GATEWAY,
    iat: now(),
    exp: now() + 120,
    jti: 'canary-jti',
    sub: 'ada',
    client_id: 'mobile-app',
    scope: 'orders.read orders.write',
    ...over,
  }
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined))
}
const signed = (over: Over = {}, header: Over = {}, by = hostile.signer): Promise<string> => {
  const full = { alg: by.algorithm, kid: by.kid, typ: 'at+jwt', ...header }
  const present = Object.fromEntries(Object.entries(full).filter(([, value]) => value !== undefined)) as unknown as JWTHeaderParameters
  return new SignJWT(good(over)).setProtectedHeader(present).sign(by.privateKey, { crit: { 'urn:x': true, b64: true } })
}
const base64url = (value: unknown): string => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const read = async (token: string, requireType = true): Promise<BearerRead> => {
  sent.push(token)
  last = await room.provider.readBearerToken(Secret.of('access-token', token), { audiences: [GATEWAY, 'gateway'], requireType })
  return last
}

it('a good access token says who calls, through which application, with which rights and until when', async () => {
  const token = await signed({ roles: ['clerk'], tid: 'contoso', exp: now() + 100 })
  const answer = await read(token)
  if (answer.kind !== 'valid') throw new Error(JSON.stringify(answer))
  const { caller } = answer
  expect({ ...caller, token: caller.token.reveal(), claims: caller.claims['sub'] }).toMatchObject({
    kind: 'user',
    issuer: hostile.issuer,
    subject: 'ada',
    clientId: 'mobile-app',
    tenant: 'contoso',
    audiences: [GATEWAY],
    scopes: ['orders.read', 'orders.write'],
    roles: ['clerk'],
    claims: 'ada',
    token,
  })
  expect(caller.expiresAt).toBe(Number(caller.claims['exp']) * 1000)
})

const MINUTE = 60
/** Each is signed by the provider’s own key: only what it says is wrong. */
const SAID: readonly (readonly [string, Over, Over, string])[] = [
  ['for another API', { aud: 'https://other.example.com' }, {}, 'audience'],
  ['for an API whose name begins like ours', { aud: `${GATEWAY}/orders` }, {}, 'audience'],
  ['for ours in other letters', { aud: GATEWAY.toUpperCase() }, {}, 'audience'],
  ['for nobody', { aud: undefined }, {}, 'audience'],
  ['for an empty list', { aud: [] }, {}, 'audience'],
  ['for a list with a number in it', { aud: [GATEWAY, 7] }, {}, 'audience'],
  ['for an object', { aud: { [GATEWAY]: true } }, {}, 'audience'],
  ['of another issuer', { iss: 'https://evil.example.com' }, {}, 'issuer'],
  ['of the issuer with a slash', { iss: '+/' }, {}, 'issuer'],
  ['of no issuer', { iss: undefined }, {}, 'issuer'],
  ['that expired a second ago', { exp: now() - 1 }, {}, 'expiry'],
  ['without expiry', { exp: undefined }, {}, 'expiry'],
  ['whose expiry is a text', { exp: String(now() + 600) }, {}, 'expiry'],
  ['that expires in milliseconds', { exp: Date.now() + 60_000 }, {}, 'expiry'],
  ['that never expires', { exp: 1e300 }, {}, 'expiry'],
  ['issued in an hour', { iat: now() + 60 * MINUTE }, {}, 'issued-at'],
  ['issued at no number', { iat: 'now' }, {}, 'issued-at'],
  ['valid in an hour', { nbf: now() + 60 * MINUTE }, {}, 'not-before'],
  ['without subject', { sub: undefined }, {}, 'subject'],
  ['with an empty subject', { sub: '' }, {}, 'subject'],
  ['whose subject ends a log line', { sub: 'ada\nroot' }, {}, 'subject'],
  ['whose subject is a list', { sub: ['ada'] }, {}, 'subject'],
  ['without a client, so that it could be anybody’s', { client_id: undefined }, {}, 'client'],
  ['whose client is a list', { client_id: ['a'] }, {}, 'client'],
  ['whose client ends a log line', { client_id: 'a\r\nb' }, {}, 'client'],
  ['that is an ID token by its nonce', { nonce: 'n' }, {}, 'id-token'],
  ['that is an ID token by at_hash', { at_hash: 'h' }, {}, 'id-token'],
  ['that is a logout token', { events: { 'http://schemas.openid.net/event/backchannel-logout': {} } }, {}, 'token-type'],
  ['that says it is an ID token', { typ: 'ID' }, {}, 'token-type'],
  ['that says it is a refresh token', { typ: 'Refresh' }, {}, 'token-type'],
  ['whose kind is no text', { typ: { is: 'Bearer' } }, {}, 'token-type'],
  ['bound to a certificate', { cnf: { 'x5t#S256': 'x' } }, {}, 'sender-constrained'],
  ['bound to a DPoP key', { cnf: { jkt: 'x' } }, {}, 'sender-constrained'],
  ['of type JWT, where at+jwt is asked for', {}, { typ: 'JWT' }, 'token-type'],
  ['of no type', {}, { typ: undefined }, 'token-type'],
  ['of type logout+jwt', {}, { typ: 'logout+jwt' }, 'token-type'],
  ['of type at+jwt+x', {}, { typ: 'at+jwt+x' }, 'token-type'],
  ['with a header that must be understood', {}, { crit: ['urn:x'], 'urn:x': 1 }, 'critical-header'],
  ['with an unencoded payload', {}, { b64: true, crit: ['b64'] }, 'critical-header'],
]

describe('an access token signed by the provider, but', () => {
  it.each(SAID)('%s is refused, and no key is looked for', async (_what, over, header, check) => {
    await room.provider.issuer()
    const fetched = hostile.hits('jwks')
    const said = over['iss'] === '+/' ? { iss: `${hostile.issuer}/` } : over
    expect(await read(await signed(said, header))).toEqual({ kind: 'invalid', check })
    expect(hostile.hits('jwks')).toBe(fetched)
  })
})

const rewrite = (token: string, part: 0 | 1, change: Over): string => {
  const parts = token.split('.')
  const object = JSON.parse(Buffer.from(parts[part] ?? '', 'base64url').toString()) as Record<string, unknown>
  parts[part] = base64url({ ...object, ...change })
  return parts.join('.')
}
const FORGED: readonly (readonly [string, () => Promise<string>, string])[] = [
  ['signed by nobody (alg none)', async () => `${base64url({ alg: 'none', typ: 'at+jwt' })}.${base64url(good())}.`, 'algorithm'],
  ['of alg None', async () => `${base64url({ alg: 'None', typ: 'at+jwt' })}.${base64url(good())}.`, 'algorithm'],
  [
    'an HMAC over the provider’s public key',
    async () => {
      const head = `${base64url({ alg: 'HS256', typ: 'at+jwt', kid: hostile.signer.kid })}.${base64url(good())}`
      const pem = createPublicKey({ key: hostile.signer.publicJwk as never, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
      return `${head}.${createHmac('sha256', pem).update(head).digest('base64url')}`
    },
    'algorithm',
  ],
  ['without alg', async () => `${base64url({ typ: 'at+jwt' })}.${base64url(good())}.AA`, 'algorithm'],
  ['signed by another provider under our key id', async () => signed({}, { kid: hostile.signer.kid }, other.signer), 'signature'],
  ['signed by a key in its own header', async () => selfSigned(), 'signature'],
  [
    'pointing to keys elsewhere (jku, x5u)',
    async () => signed({}, { jku: `${other.issuer}/jwks`, x5u: other.issuer, kid: hostile.signer.kid }, other.signer),
    'signature',
  ],
  ['with another subject behind the signature', async () => rewrite(await signed(), 1, { sub: 'root' }), 'signature'],
  ['with another header behind the signature', async () => rewrite(await signed(), 0, { x: 1 }), 'signature'],
  ['with its signature cut', async () => (await signed()).slice(0, -8), 'signature'],
  ['without its signature', async () => (await signed()).replace(/[^.]+$/, ''), 'signature'],
  ['encrypted, five parts', async () => `${base64url({ alg: 'dir', enc: 'A256GCM' })}..AA.BB.CC`, 'form'],
  ['of two parts', async () => (await signed()).split('.').slice(0, 2).join('.'), 'form'],
  ['opaque', async () => 'canary-opaque-token-0123456789', 'form'],
  ['empty', async () => '', 'form'],
  ['with a payload that is a list', async () => `${base64url({ alg: 'ES256', typ: 'at+jwt' })}.${base64url([1])}.AA`, 'form'],
  [
    'with a payload nested ten thousand deep',
    async () => `${base64url({ alg: 'ES256' })}.${base64url(`${'['.repeat(5000)}${']'.repeat(5000)}`)}.AA`,
    'form',
  ],
  ['of 17 KiB', async () => signed({ pad: 'x'.repeat(17 * 1024) }), 'size'],
  ['with blanks around it', async () => ` ${await signed()}`, 'form'],
]
const selfSigned = async (): Promise<string> => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = await exportJWK(publicKey)
  const header = { alg: 'ES256', typ: 'at+jwt', kid: hostile.signer.kid, jwk }
  return new SignJWT(good()).setProtectedHeader(header).sign(privateKey)
}

describe('an access token that the provider did not make:', () => {
  it.each(FORGED)('%s', async (_what, make, check) => {
    const fetchedElsewhere = other.requests.length
    expect(await read(await make())).toEqual({ kind: 'invalid', check })
    expect(other.requests.length).toBe(fetchedElsewhere)
  })
})

it('a thousand invented key ids make the gateway fetch keys once, and each is told to come back', async () => {
  expect((await read(await signed())).kind).toBe('valid')
  const fetched = hostile.hits('jwks')
  const kinds = new Set<string>()
  for (let i = 0; i < 1000; i += 1) {
    const answer = await read(`${base64url({ alg: 'ES256', typ: 'at+jwt', kid: randomUUID() })}.${base64url(good())}.AAAA`)
    kinds.add(answer.kind === 'invalid' ? answer.check : answer.kind)
  }
  expect(hostile.hits('jwks') - fetched).toBe(1)
  expect([...kinds]).toEqual(['key-unknown', 'unavailable'])
  // And nobody else has to wait because of it.
  expect((await read(await signed())).kind).toBe('valid')
})

it('a key that the provider began to use a moment ago is found', async () => {
  expect((await read(await signed())).kind).toBe('valid')
  await hostile.rotateKey()
  expect((await read(await signed())).kind).toBe('valid')
})

// The copy of the keys was renewed behind whoever came first after a quiet night, and a key taken away hours ago still opened the door to them.
it('a key that the provider took away opens nothing once the copy is old, however quiet it was here', async () => {
  const signer = hostile.signer
  expect((await read(await signed({ exp: now() + 7200 }))).kind).toBe('valid')
  await hostile.rotateKey()
  room.clock.advance(minutes(11))
  expect(await read(await signed({ exp: now() + 7200, jti: 'later' }, {}, signer))).toEqual({ kind: 'invalid', check: 'key-unknown' })
})

it('an old copy of the keys is better than none while the provider is away', async () => {
  expect((await read(await signed({ exp: now() + 7200 }))).kind).toBe('valid')
  room.clock.advance(minutes(11))
  await hostile.away()
  try {
    expect((await read(await signed({ exp: now() + 7200, jti: 'later' }))).kind).toBe('valid')
  } finally {
    await hostile.back()
  }
})

it('a provider that is away says nothing against a token', async () => {
  await hostile.away()
  try {
    expect((await read(await signed())).kind).toBe('unavailable')
  } finally {
    await hostile.back()
  }
})

describe('where the profile’s tokens carry no type', () => {
  it.each<[string, ProfileName, Over, Over, string]>([
    [
      'Entra, a user',
      'entra',
      { scope: undefined, client_id: undefined, scp: 'a b', azp: 'app', oid: 'o1' },
      { typ: 'JWT' },
      'user app a,b',
    ],
    [
      'Entra, an application',
      'entra',
      { scope: undefined, client_id: undefined, azp: 'app', oid: 'o1', sub: 'o1', roles: ['r'] },
      { typ: 'JWT' },
      'application app ',
    ],
    [
      'Entra, an application by idtyp',
      'entra',
      { scope: undefined, client_id: undefined, azp: 'app', idtyp: 'app' },
      { typ: 'JWT' },
      'application app ',
    ],
    ['Entra v1 names', 'entra', { scope: undefined, client_id: undefined, scp: 'a', appid: 'app' }, { typ: 'JWT' }, 'user app a'],
    [
      'Keycloak, a user',
      'keycloak',
      { client_id: undefined, azp: 'app', sid: 's', typ: 'Bearer' },
      { typ: 'JWT' },
      'user app orders.read,orders.write',
    ],
    [
      'Keycloak, an application',
      'keycloak',
      { client_id: 'app', azp: 'app', clientHost: '10.0.0.1', scope: 'x', typ: 'Bearer' },
      { typ: 'JWT' },
      'application app x',
    ],
    [
      'Okta, a list of scopes',
      'okta',
      { scope: undefined, client_id: undefined, scp: ['a', 'b'], cid: 'app', uid: 'u' },
      { typ: undefined },
      'user app a,b',
    ],
    [
      'Auth0, an application',
      'auth0',
      { client_id: undefined, azp: 'app', sub: 'app@clients', gty: 'client-credentials', scope: undefined },
      { typ: 'JWT' },
      'application app ',
    ],
    ['RFC 9068, an application', 'generic', { client_id: 'app', sub: 'app' }, {}, 'application app orders.read,orders.write'],
  ])('%s', async (_what, profile, over, header, wanted) => {
    await room.provider.close()
    room = newRoom(profile)
    const answer = await read(await signed(over, header), false)
    const said = answer.kind === 'valid' ? `${answer.caller.kind} ${answer.caller.clientId} ${answer.caller.scopes.join(',')}` : answer
    expect(said).toBe(wanted)
  })

  it.each<[string, ProfileName, Over]>([
    ['an Entra ID token for the same client', 'entra', { aud: 'gateway', scope: undefined, client_id: undefined, oid: 'o1', name: 'Ada' }],
    ['an Entra ID token that names an azp', 'entra', { aud: 'gateway', scope: undefined, client_id: undefined, azp: 'gateway', oid: 'o1' }],
    ['a Keycloak ID token', 'keycloak', { aud: 'gateway', azp: 'gateway', typ: 'ID', sid: 's', scope: undefined }],
    ['an Auth0 ID token', 'auth0', { aud: 'gateway', client_id: undefined, scope: undefined, sid: 's' }],
    ['an ID token that says scope is a number', 'okta', { aud: 'gateway', client_id: undefined, scope: 7 }],
  ])('%s is still refused', async (_what, profile, over) => {
    await room.provider.close()
    room = newRoom(profile)
    expect(await read(await signed(over, { typ: 'JWT' }), false)).toMatchObject({ kind: 'invalid' })
  })

  // Spec §1, rule 3. A service account's token that was exchanged names two clients and no session: it once counted as a user's.
  it.each<[string, ProfileName, Over]>([
    [
      'Keycloak, an application’s token that another one exchanged',
      'keycloak',
      { client_id: 'app', azp: 'other', clientHost: 'x', typ: 'Bearer' },
    ],
    ['Keycloak, an application whose scope does not say so', 'keycloak', { client_id: undefined, azp: 'app', typ: 'Bearer' }],
    ['Entra, neither delegated nor of a service principal', 'entra', { scope: 'x', client_id: undefined, azp: 'app', oid: 'o1' }],
    ['Entra, a device', 'entra', { scope: undefined, scp: 'a', client_id: undefined, azp: 'app', idtyp: 'device' }],
    ['Okta, without a user', 'okta', { scope: undefined, scp: ['a'], client_id: undefined, cid: 'app' }],
  ])('whoever is neither a user nor an application for certain is nobody: %s', async (_what, profile, over) => {
    await room.provider.close()
    room = newRoom(profile)
    expect(await read(await signed(over, { typ: 'JWT' }), false)).toEqual({ kind: 'invalid', check: 'principal' })
  })

  it('a user who is called like a service account stays a user', async () => {
    await room.provider.close()
    room = newRoom('keycloak')
    const over = {
      client_id: undefined,
      azp: 'daemon',
      sid: 's',
      preferred_username: 'service-account-daemon',
      clientHost: 'x',
      typ: 'Bearer',
    }
    const answer = await read(await signed(over, { typ: 'JWT' }), false)
    expect(answer).toMatchObject({ kind: 'valid', caller: { kind: 'user' } })
  })
})
