import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { randomUUID, X509Certificate } from 'node:crypto'
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { keyIdOf } from '../harness/emulators/keycloak/client-auth.ts'
import { gatewayClient } from '../harness/emulators/keycloak/defaults.ts'
import { startKeycloak, type Keycloak } from '../harness/emulators/keycloak/keycloak.ts'
import { claimsOf, endpoint, post, refusal, SECRET, token } from '../harness/emulators/keycloak/kit.ts'
import { selfSigned } from '../harness/self-signed.ts'

const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const INVALID = 'Invalid client or Invalid client credentials'
const certified = selfSigned()
const first = await generateKeyPair('ES256', { extractable: true })
const second = await generateKeyPair('ES256', { extractable: true })
const jwk = async (pair: typeof first, kid: string) => ({ ...(await exportJWK(pair.publicKey)), kid, use: 'sig', alg: 'ES256' })

type Claims = Readonly<Record<string, unknown>>
let kc: Keycloak
let published: object[] = []
const documents = createServer((_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: published }))
})
beforeAll(async () => {
  await new Promise<void>((resolve) => documents.listen(0, '127.0.0.1', resolve))
  kc = await startKeycloak({
    clients: [
      gatewayClient('https://shop.example.com', { rotatedSecret: 'the-one-before' }),
      { clientId: 'by-key', authenticator: 'client-jwt', serviceAccount: true, jwks: [await jwk(first, 'one')] },
      { clientId: 'by-certificate', authenticator: 'client-jwt', serviceAccount: true, certificate: certified.certificate },
      {
        clientId: 'by-url',
        authenticator: 'client-jwt',
        serviceAccount: true,
        jwksUrl: `http://127.0.0.1:${(documents.address() as AddressInfo).port}`,
      },
      {
        clientId: 'pinned',
        authenticator: 'client-jwt',
        serviceAccount: true,
        jwks: [await jwk(first, 'one')],
        assertionAlgorithm: 'PS256',
      },
    ],
  })
})
afterAll(async () => {
  await kc.stop()
  documents.close()
})

const sign = (
  clientId: string,
  claims: Claims = {},
  header: { readonly kid?: string | undefined; readonly alg?: string } = { kid: 'one' },
  key: Parameters<SignJWT['sign']>[0] = first.privateKey,
) => {
  const now = Math.floor(kc.clock.now() / 1000)
  const all = { iss: clientId, sub: clientId, aud: kc.issuer, iat: now, exp: now + 60, jti: randomUUID(), ...claims }
  const { kid, alg = 'ES256' } = header
  return new SignJWT(JSON.parse(JSON.stringify(all)) as JWTPayload).setProtectedHeader({ alg, ...(kid !== undefined && { kid }) }).sign(key)
}
const ask = (assertion: string, more: Record<string, string> = {}) =>
  token(kc, new URLSearchParams({ ...grant, client_assertion_type: JWT_BEARER, client_assertion: assertion, ...more }))
const grant = { grant_type: 'client_credentials' }

describe('K3 by secret', () => {
  it('takes the secret in the body, in the header, and the one before the last rotation', async () => {
    expect((await token(kc, grant)).status).toBe(200)
    const basic = `Basic ${Buffer.from(`${SECRET.client_id}:${SECRET.client_secret}`).toString('base64')}`
    expect((await post(endpoint(kc, 'token'), grant, { authorization: basic })).status).toBe(200)
    expect((await token(kc, { ...grant, client_secret: 'the-one-before' })).status).toBe(200)
  })

  it.each([
    ['a wrong secret', { client_secret: 'wrong' }, [401, 'unauthorized_client', INVALID]],
    ['no secret', { client_secret: undefined }, [401, 'unauthorized_client', INVALID]],
    ['an unknown client', { client_id: 'nobody' }, [401, 'invalid_client', INVALID]],
    ['an API', { client_id: 'orders' }, [401, 'invalid_client', INVALID]],
    ['a client of assertions', { client_id: 'by-key' }, [400, 'invalid_client', 'Parameter client_assertion_type is missing']],
    ['nobody', { client_id: undefined }, [400, 'invalid_client', 'Missing client_id parameter']],
  ])('%s', async (_what, more, words) => {
    const answer = await token(kc, { ...grant, ...more })
    expect([refusal(answer), answer.headers.get('www-authenticate')]).toEqual([words, null])
  })
})

describe('K3 by assertion (private_key_jwt)', () => {
  it('says as whom the application calls: its service account, not its client id', async () => {
    const answer = await ask(await sign('by-key'))
    expect(answer.json).toMatchObject({ token_type: 'Bearer', refresh_expires_in: 0 })
    expect([answer.json['refresh_token'], answer.json['id_token']]).toEqual([undefined, undefined])
    const claims = claimsOf(answer, 'access_token')
    expect(claims).toMatchObject({ azp: 'by-key', client_id: 'by-key', preferred_username: 'service-account-by-key' })
    expect([claims.sub === 'by-key', 'sid' in claims]).toEqual([false, false])
    expect(claims.jti).toMatch(/^trrtcc:/)
  })

  const now = (): number => Math.floor(kc.clock.now() / 1000)
  it.each<[string, () => Claims, string | undefined]>([
    ['the issuer in an array of one', () => ({ aud: [kc.issuer] }), undefined],
    ['the token endpoint', () => ({ aud: endpoint(kc, 'token') }), undefined],
    ['another audience', () => ({ aud: 'https://evil.example' }), 'Invalid token audience'],
    ['two audiences', () => ({ aud: [kc.issuer, 'https://evil.example'] }), 'Multiple audiences not allowed'],
    ['an hour of life', () => ({ exp: now() + 3600 }), undefined],
    ['no iat', () => ({ iat: undefined }), undefined],
    [
      'no iat and an hour of life',
      () => ({ iat: undefined, exp: now() + 3600 }),
      'Token expiration is too far in the future and iat claim not present in token',
    ],
    ['no exp', () => ({ exp: undefined }), 'Token exp claim is required'],
    ['an exp that is over', () => ({ exp: now() - 20 }), 'Token is not active'],
    ['an iat 30 s ahead', () => ({ iat: now() + 30 }), 'Token was issued in the future'],
    ['an iat 61 s ago', () => ({ iat: now() - 62, exp: now() + 60 }), 'Token was issued too far in the past to be used now'],
    ['no jti', () => ({ jti: undefined }), 'Token jti claim is required'],
    ['no sub', () => ({ sub: undefined }), 'Token sub claim is required'],
  ])('%s', async (_what, claims, words) => {
    const answer = await ask(await sign('by-key', claims()))
    expect(words === undefined ? answer.status : refusal(answer)).toEqual(words === undefined ? 200 : [400, 'invalid_client', words])
  })

  it('takes no assertion twice, whoever brings it', async () => {
    const assertion = await sign('by-key')
    expect((await ask(assertion)).status).toBe(200)
    expect(refusal(await ask(assertion))).toEqual([400, 'invalid_client', 'Token reuse detected'])
  })

  it('refuses another key, another name in the body, an algorithm that is not the pinned one', async () => {
    const words = 'Client authentication with signed JWT failed: Signature on JWT token failed validation'
    expect(refusal(await ask(await sign('by-key', {}, { kid: 'one' }, second.privateKey)))).toEqual([400, 'invalid_client', words])
    expect(refusal(await ask(await sign('by-key'), { client_id: 'by-url' }))[2]).toBe('client_id parameter does not match sub claim')
    expect(refusal(await ask(await sign('pinned')))).toEqual([400, 'invalid_client', 'Invalid signature algorithm'])
    expect(refusal(await ask(await sign('nobody')))).toEqual([401, 'invalid_client', INVALID])
  })

  it('knows a certificate by the hash of its public key, or by no name; never by its thumbprint', async () => {
    const { privateKey, certificate, thumbprint } = certified
    const by = (kid: string | undefined, alg: string) => sign('by-certificate', {}, { kid, alg }, privateKey)
    expect((await ask(await by(undefined, 'RS256'))).status).toBe(200)
    expect((await ask(await by(keyIdOf(new X509Certificate(certificate).publicKey), 'PS256'))).status).toBe(200)
    expect(refusal(await ask(await by(thumbprint, 'PS256')))).toEqual([400, 'invalid_client', 'Unable to load public key'])
  })

  it('pulls `jwks_url` on an unknown key, but not again within ten whole seconds; what it has is good for a day', async () => {
    published = [await jwk(first, 'one')]
    expect((await ask(await sign('by-url'))).status).toBe(200)
    published = [await jwk(second, 'two')]
    const next = () => sign('by-url', {}, { kid: 'two' }, second.privateKey)
    expect(refusal(await ask(await next()))).toEqual([400, 'invalid_client', 'Unable to load public key'])
    expect(kc.keyRequests('by-url')).toBe(1)
    expect((await ask(await sign('by-url'))).status).toBe(200)
    kc.clock.shift(11_000)
    expect((await ask(await next())).status).toBe(200)
    expect(kc.keyRequests('by-url')).toBe(2)
    expect(refusal(await ask(await sign('by-url')))[2]).toBe('Unable to load public key')
    kc.clock.shift(24 * 3_600_000)
    expect((await ask(await next())).status).toBe(200)
    expect(kc.keyRequests('by-url')).toBe(3)
  })
})

describe('odd requests of a client that is known', () => {
  it.each([
    [{}, [400, 'invalid_request', 'Missing form parameter: grant_type']],
    [{ grant_type: 'magic' }, [400, 'unsupported_grant_type', 'Unsupported grant_type']],
    [{ grant_type: 'authorization_code' }, [400, 'invalid_request', 'Missing parameter: code']],
    [{ grant_type: 'authorization_code', code: 'none' }, [400, 'invalid_grant', 'Code not valid']],
    [{ grant_type: 'refresh_token' }, [400, 'invalid_request', 'No refresh token']],
    [{ grant_type: 'refresh_token', refresh_token: 'rubbish' }, [400, 'invalid_grant', 'Invalid refresh token']],
    [{ ...grant, scope: 'payroll' }, [400, 'invalid_scope', 'Invalid scopes: payroll']],
  ])('%o', async (form, words) => {
    expect(refusal(await token(kc, form))).toEqual(words)
  })
})
