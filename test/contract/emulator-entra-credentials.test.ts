import { createHash, randomUUID, sign, X509Certificate, constants } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { CONTOSO } from '../harness/emulators/entra/defaults.ts'
import { guidOf } from '../harness/emulators/entra/directory.ts'
import type { Entra } from '../harness/emulators/entra/entra.ts'
import { startEmulatorServer, type EmulatorServer } from '../harness/emulators/core.ts'
import { type Json, jsonReply } from '../harness/emulators/core-exchange.ts'
import { signingKeys, type SigningKeys } from '../harness/emulators/core-keys.ts'
import { type SelfSigned, selfSigned } from '../harness/self-signed.ts'
import { claimsOf, clientOf, NOW, type Said, said, someEntra } from './emulator-entra-kit.ts'

const DEFAULT = 'api://orders/.default'
const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const PUBLIC = guidOf('app public')
const HOUR = 3_600_000
const within = { notBefore: new Date(NOW - 24 * HOUR), notAfter: new Date(NOW + 240 * HOUR) }

let entra: Entra
let pair: SelfSigned
let sha1: string
/** Registered nowhere, or where a test says. */
let fresh: SelfSigned
beforeAll(async () => {
  pair = selfSigned(within)
  fresh = selfSigned(within)
  sha1 = createHash('sha1').update(new X509Certificate(pair.certificate).raw).digest('base64url')
  entra = await someEntra({ frontEnds: 4 })
  entra.credentials.addCertificate(entra.clientId, pair.certificate)
})
afterAll(() => entra.stop())
afterEach(() => entra.credentials.serveFrom())

type How = 'PS256+x5t#S256' | 'RS256+x5t' | 'RS256+kid' | 'PS256+kid'
interface Assertion {
  readonly how?: How
  readonly header?: Json
  readonly claims?: Json
  readonly by?: SelfSigned
  readonly to?: Entra
}
/** Written by hand, so that nothing corrects what a test gets wrong. */
const assertionOf = ({ how = 'PS256+x5t#S256', header = {}, claims = {}, by = pair, to = entra }: Assertion = {}): string => {
  const [alg = '', name = ''] = how.split('+')
  const thumb = createHash(name === 'x5t#S256' ? 'sha256' : 'sha1')
    .update(new X509Certificate(by.certificate).raw)
    .digest('base64url')
  const at = Math.floor(to.clock.now() / 1000)
  const encode = (value: Json): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${encode({ alg, typ: 'JWT', [name]: thumb, ...header })}.${encode({ iss: to.clientId, sub: to.clientId, aud: to.url('token'), jti: randomUUID(), nbf: at, iat: at, exp: at + 300, ...claims })}`
  const key = alg === 'PS256' ? { key: by.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } : by.privateKey
  return `${input}.${sign('sha256', Buffer.from(input), key).toString('base64url')}`
}
const present = (assertion: string, to = entra): Promise<Said> =>
  clientOf(to, to.clientId, undefined).post({
    client_secret: '',
    grant_type: 'client_credentials',
    scope: DEFAULT,
    client_assertion_type: JWT_BEARER,
    client_assertion: assertion,
  })

describe('E9: a secret', () => {
  it('in the body or as Basic, form-encoded, with every character it may hold', async () => {
    const secret = 'a~b.c-d_e:f+g/h=i%j'
    const small = await someEntra({ client: { secrets: [secret] } })
    expect((await clientOf(small, small.clientId, secret).asApplication(DEFAULT)).status).toBe(200)
    const basic = Buffer.from(`${small.clientId}:${encodeURIComponent(secret)}`).toString('base64')
    const answer = await said(
      await fetch(small.url('token'), {
        method: 'POST',
        headers: { authorization: `Basic ${basic}` },
        body: new URLSearchParams({ grant_type: 'client_credentials', scope: DEFAULT }),
      }),
    )
    expect(claimsOf(answer.body['access_token'])).toMatchObject({ azpacr: '1' })
    await small.stop()
  })

  it('wrong, expired, missing, or where none belongs', async () => {
    const small = await someEntra({
      apps: [
        { name: 'gateway', secrets: ['good', { value: 'old', until: NOW - 1 }] },
        { name: 'public', public: true },
      ],
    })
    const refused = async (secret: string | undefined, id = small.clientId): Promise<unknown> => {
      const form = {
        client_id: id,
        grant_type: 'client_credentials',
        scope: DEFAULT,
        ...(secret !== undefined && { client_secret: secret }),
      }
      const { status, code, body } = await said(await fetch(small.url('token'), { method: 'POST', body: new URLSearchParams(form) }))
      return [status, body['error'], code]
    }
    expect(await refused('wrong')).toEqual([401, 'invalid_client', 7000215])
    expect(await refused('old')).toEqual([401, 'invalid_client', 7000222])
    expect(await refused(undefined)).toEqual([401, 'invalid_client', 7000218])
    expect(await refused('any', PUBLIC)).toEqual([401, 'invalid_client', 700025])
    expect(await refused('good', guidOf('nobody'))).toEqual([400, 'unauthorized_client', 700016])
    small.setSecrets(small.clientId, [{ value: 'new' }])
    expect(await refused('good')).toEqual([401, 'invalid_client', 7000215])
    await small.stop()
  })
})

describe('E9: a certificate', () => {
  it.each<[How]>([['PS256+x5t#S256'], ['RS256+x5t'], ['RS256+kid'], ['PS256+kid']])('%s', async (how) => {
    const { body } = await present(assertionOf({ how }))
    expect(claimsOf(body['access_token'])).toMatchObject({ azpacr: '2' })
    expect(entra.record.tokenCalls.at(-1)).toMatchObject({ authentication: 'assertion', assertion: { header: { alg: how.slice(0, 5) } } })
  })

  it('for the token endpoint or the issuer, of the tenant by either name; one jti may come twice', async () => {
    for (const aud of [entra.url('token'), entra.issuer(), `${entra.origin}/${CONTOSO}/v2.0`])
      expect((await present(assertionOf({ claims: { aud } }))).status).toBe(200)
    const twice = assertionOf()
    expect([(await present(twice)).status, (await present(twice)).status]).toEqual([200, 200])
  })

  it.each([
    ['an array of one audience', () => ({ claims: { aud: [entra.url('token')] } }), 50027],
    ['two audiences', () => ({ claims: { aud: [entra.url('token'), entra.issuer()] } }), 50027],
    ['another host', () => ({ claims: { aud: `https://login.example/${CONTOSO}/oauth2/v2.0/token` } }), 700023],
    ['the common door', () => ({ claims: { aud: entra.url('token', 'common') } }), 700023],
    ['expired', () => ({ claims: { exp: NOW / 1000 - 400 } }), 700024],
    ['of the future', () => ({ claims: { nbf: NOW / 1000 + 400 } }), 700024],
    ['a certificate nobody registered', () => ({ by: fresh }), 700027],
    ['no name for its key', () => ({ header: { 'x5t#S256': undefined } }), 50027],
    ['an unsupported algorithm', () => ({ header: { alg: 'RS384' } }), 700027],
    ['the SHA-1 name with PS256', () => ({ header: { 'x5t#S256': undefined, x5t: sha1 } }), 700027],
    ['the SHA-256 name with RS256', () => ({ how: 'RS256+x5t' as const, header: { x5t: undefined, 'x5t#S256': pair.thumbprint } }), 700027],
    ['somebody else’s signature', () => ({ by: fresh, header: { 'x5t#S256': pair.thumbprint } }), 700027],
    ['another client in iss and sub', () => ({ claims: { iss: guidOf('nobody'), sub: guidOf('nobody') } }), 700021],
  ])('refuses %s', async (_what, wrong, code) => {
    const { status, body, code: given } = await present(assertionOf(wrong()))
    expect([status, body['error'], given]).toEqual([401, 'invalid_client', code])
  })

  it('takes five minutes of skew', async () => {
    expect((await present(assertionOf({ claims: { exp: NOW / 1000 - 200 } }))).status).toBe(200)
    expect((await present(assertionOf({ claims: { nbf: NOW / 1000 + 200 } }))).status).toBe(200)
  })

  it('outside its own dates, revoked, or badly signed by the other number', async () => {
    const small = await someEntra({ badSignatureCode: 7000274 })
    const old = selfSigned({ notBefore: new Date(NOW - 48 * HOUR), notAfter: new Date(NOW - HOUR) })
    small.credentials.addCertificate(small.clientId, old.certificate)
    expect((await present(assertionOf({ by: old, to: small }), small)).code).toBe(1000502)
    small.credentials.addCertificate(small.clientId, pair.certificate)
    expect((await present(assertionOf({ by: fresh, header: { 'x5t#S256': pair.thumbprint }, to: small }), small)).code).toBe(7000274)
    small.credentials.revokeCertificate(small.clientId, pair.thumbprint)
    expect((await present(assertionOf({ to: small }), small)).code).toBe(7000214)
    await small.stop()
  })

  it('says which thumbprint it did not find, in the words of today (F3)', async () => {
    const { body } = await present(assertionOf({ by: fresh }))
    expect(body['error_description']).toMatch(
      /is not registered on application\. \[Reason - The key was not found\., Thumbprint of key used by client: '[0-9A-F]{64}'/,
    )
  })
})

describe('E10: a registered certificate is seen by one front-end after the other', () => {
  it('so that the same assertion works, fails and works again meanwhile', async () => {
    const present4 = async (): Promise<number[]> => {
      const statuses: number[] = []
      for (let i = 0; i < 4; i += 1) statuses.push((await present(assertionOf({ by: fresh }))).status)
      return statuses
    }
    entra.credentials.serveFrom(0, 1, 2, 3)
    entra.credentials.addCertificate(entra.clientId, fresh.certificate, { perFrontEndMs: [0, 60_000, 10_000, 90_000] })
    expect(await present4()).toEqual([200, 401, 401, 401])
    entra.clock.shift(10_000)
    expect(await present4()).toEqual([200, 401, 200, 401])
    entra.clock.shift(50_000)
    expect(await present4()).toEqual([200, 200, 200, 401])
    entra.clock.shift(30_000)
    expect(await present4()).toEqual([200, 200, 200, 200])
    entra.credentials.removeCertificate(entra.clientId, fresh.thumbprint, { overMs: 40_000 })
    entra.clock.shift(10_000)
    expect(await present4()).toEqual([401, 200, 200, 200])
    entra.clock.shift(30_000)
    expect(await present4()).toEqual([401, 401, 401, 401])
    entra.clock.shift(-130_000)
    // The one that was there before never was in doubt.
    expect((await present(assertionOf())).status).toBe(200)
  })

  it('is scripted: front-end 2 only', async () => {
    entra.credentials.addCertificate(entra.clientId, fresh.certificate, { perFrontEndMs: [HOUR, HOUR, 0, HOUR] })
    entra.credentials.serveFrom(2)
    expect((await present(assertionOf({ by: fresh }))).status).toBe(200)
    entra.credentials.serveFrom(3)
    expect((await present(assertionOf({ by: fresh }))).code).toBe(700027)
    expect(entra.record.tokenCalls.at(-1)).toMatchObject({ code: 'AADSTS700027', notes: { frontEnd: 3 } })
  })
})

describe('E11: a federated credential', () => {
  let cluster: EmulatorServer
  let keys: SigningKeys
  const SUBJECT = 'system:serviceaccount:shop:sallyport'
  beforeAll(async () => {
    keys = await signingKeys()
    cluster = await startEmulatorServer(({ origin }) => ({
      keys,
      endpointOf: (_method, { pathname }) => (pathname === '/keys' ? 'jwks' : 'discovery'),
      handle: ({ endpoint }) =>
        endpoint === 'jwks'
          ? jsonReply({ keys: keys.published().map(({ jwk }) => jwk) })
          : jsonReply({ issuer: origin, jwks_uri: `${origin}/keys` }),
    }))
    entra.credentials.addFederation(entra.clientId, { issuer: cluster.origin, subject: SUBJECT })
  })
  afterAll(() => cluster.stop())

  const projected = (claims: Json = {}): Promise<string> => {
    const at = NOW / 1000
    return keys.sign({ iss: cluster.origin, sub: SUBJECT, aud: 'api://AzureADTokenExchange', iat: at, exp: at + 3600, ...claims })
  }

  it('works with nothing of ours in it', async () => {
    const { body } = await present(await projected())
    expect(claimsOf(body['access_token'])).toMatchObject({ azpacr: '2', azp: entra.clientId })
  })

  it.each([
    ['another issuer', { iss: 'https://cluster.example' }, 700211],
    ['another subject', { sub: 'system:serviceaccount:shop:other' }, 700213],
    ['the subject in other letters', { sub: SUBJECT.toUpperCase() }, 7002138],
    ['another audience', { aud: 'api://AzureADTokenExchangeUSGov' }, 700212],
    ['a life of 26 hours', { exp: NOW / 1000 + 26 * 3600 }, 70023],
    ['an expired one', { iat: NOW / 1000 - 7200, exp: NOW / 1000 - 3600 }, 700024],
  ])('refuses %s', async (_what, claims, code) => {
    expect((await present(await projected(claims))).code).toBe(code)
  })

  it('refuses a signature the issuer does not stand for, and cannot check one it cannot ask about', async () => {
    const stranger = await signingKeys()
    const forged = await stranger.sign(
      { iss: cluster.origin, sub: SUBJECT, aud: 'api://AzureADTokenExchange', iat: NOW / 1000, exp: NOW / 1000 + 60 },
      { kid: keys.active.kid },
    )
    expect((await present(forged)).code).toBe(50013)
    await cluster.away()
    expect((await present(await projected())).code).toBe(50166)
    await cluster.back()
  })

  it('is not found until it has reached the front-end', async () => {
    const small = await someEntra({ frontEnds: 2 })
    small.credentials.addFederation(small.clientId, { issuer: cluster.origin, subject: SUBJECT }, { perFrontEndMs: [0, 60_000] })
    small.credentials.serveFrom(1, 0)
    expect((await present(await projected(), small)).code).toBe(70021)
    expect((await present(await projected(), small)).status).toBe(200)
    await small.stop()
  })
})
