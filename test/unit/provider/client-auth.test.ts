import { createHash, createPrivateKey } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { judgePair } from '../../../src/credentials/certificate.ts'
import { judgeJwk } from '../../../src/credentials/jwk.ts'
import type { Credential } from '../../../src/domain/credential.ts'
import { keyIdOf } from '../../../src/kernel/key-id.ts'
import { Secret } from '../../../src/kernel/secret.ts'
import { instant } from '../../../src/kernel/time.ts'
import { profileOf } from '../../../src/provider/profiles.ts'
import { startHostileProvider } from '../../harness/hostile-provider.ts'
import type { HostileProvider } from '../../harness/hostile-provider.ts'
import { askFor, providerRoom, secretCredential, visible } from '../../harness/provider-room.ts'
import type { ProviderRoom } from '../../harness/provider-room.ts'
import { selfSigned } from '../../harness/self-signed.ts'
import type { SelfSigned, SelfSignedOptions } from '../../harness/self-signed.ts'

let hostile: HostileProvider
let room: ProviderRoom | undefined
beforeEach(async () => {
  hostile = await startHostileProvider()
})
afterEach(async () => {
  await room?.provider.close()
  await hostile.close()
})

const ASK = askFor('https://reports.example', [], 'client_credentials')
const credentialOf = (pair: SelfSigned): Credential => {
  const judged = judgePair(pair.certificate, pair.key, 'tls.crt', instant(Date.now()))
  if (judged.kind === 'unusable') throw new Error(judged.fault)
  return judged.credential
}
const assertion = (): string => hostile.last('token').parameters.get('client_assertion') ?? ''

it.each<[NonNullable<SelfSignedOptions['kind']>, string]>([
  ['rsa', 'PS256'],
  ['ec', 'ES256'],
  ['ed25519', 'EdDSA'],
])('a certificate with an %s key signs %s, names its key and the issuer, and is accepted', async (kind, algorithm) => {
  const pair = selfSigned({ kind })
  hostile.clientKey = pair.publicKey
  room = providerRoom(hostile.issuer, { clientAuth: { current: () => credentialOf(pair) } })
  expect((await room.provider.application(ASK)).kind).toBe('issued')
  expect(decodeProtectedHeader(assertion())).toEqual({ alg: algorithm, kid: keyIdOf(pair.publicKey), typ: 'JWT' })
  expect(decodeJwt(assertion()).aud).toBe(hostile.issuer)
  expect(visible(room)).not.toContain(assertion())
})

// Named by the certificate's thumbprint, a real Keycloak answered "Unable to load public key" to every login.
it('Keycloak gets the name that it gives the key of a registered certificate by itself', async () => {
  const pair = selfSigned()
  hostile.clientKey = pair.publicKey
  room = providerRoom(hostile.issuer, { profile: profileOf('keycloak'), clientAuth: { current: () => credentialOf(pair) } })
  expect((await room.provider.application(ASK)).kind).toBe('issued')
  const digest = createHash('sha256').update(pair.publicKey.export({ type: 'spki', format: 'der' }))
  expect(decodeProtectedHeader(assertion()).kid).toBe(digest.digest('base64url'))
})

it('Entra gets PS256 with x5t#S256, no kid, and its token endpoint as the audience', async () => {
  const pair = selfSigned()
  hostile.clientKey = pair.publicKey
  room = providerRoom(hostile.issuer, { profile: profileOf('entra'), clientAuth: { current: () => credentialOf(pair) } })
  expect((await room.provider.application(ASK)).kind).toBe('issued')
  expect(decodeProtectedHeader(assertion())).toEqual({ alg: 'PS256', typ: 'JWT', 'x5t#S256': pair.thumbprint })
  expect(decodeJwt(assertion()).aud).toBe(`${hostile.issuer}/token`)
})

it.each<['rsa' | 'ec' | 'ed25519', string | undefined, string]>([
  ['rsa', undefined, 'PS256'],
  ['rsa', 'RS256', 'RS256'],
  ['ec', undefined, 'ES256'],
  ['ed25519', undefined, 'EdDSA'],
])('a JWK of an %s key that says %s signs %s under its own kid, and is accepted', async (kind, alg, algorithm) => {
  const pair = selfSigned({ kind })
  const jwk = { ...createPrivateKey(pair.key).export({ format: 'jwk' }), kid: 'our-key-7', ...(alg !== undefined && { alg }) }
  const judged = judgeJwk(JSON.stringify(jwk), 'client.jwk')
  if (judged.kind === 'unusable') throw new Error(judged.fault)
  hostile.clientKey = pair.publicKey
  for (const profile of ['generic', 'entra'] as const) {
    room = providerRoom(hostile.issuer, { profile: profileOf(profile), clientAuth: { current: () => judged.credential } })
    expect((await room.provider.application(ASK)).kind).toBe('issued')
    expect(decodeProtectedHeader(assertion())).toEqual({ alg: algorithm, kid: 'our-key-7', typ: 'JWT' })
    expect(visible(room)).not.toContain(assertion())
    await room.provider.close()
  }
})

it('each assertion is new and lives a minute at most', async () => {
  const pair = selfSigned({ kind: 'ec' })
  hostile.clientKey = pair.publicKey // accepts no jti twice
  room = providerRoom(hostile.issuer, { clientAuth: { current: () => credentialOf(pair) } })
  for (let n = 0; n < 3; n++) expect((await room.provider.application(ASK)).kind).toBe('issued')
  const { exp = 0, iat = 0, nbf = 0 } = decodeJwt(assertion())
  expect([exp - iat <= 60, nbf <= iat]).toEqual([true, true])
})

it('a rotation takes effect on the next call, without a restart', async () => {
  const [old, next] = [selfSigned({ kind: 'ec' }), selfSigned({ kind: 'ec' })]
  let current = credentialOf(old)
  hostile.clientKey = old.publicKey
  room = providerRoom(hostile.issuer, { clientAuth: { current: () => current } })
  expect((await room.provider.application(ASK)).kind).toBe('issued')
  current = credentialOf(next)
  hostile.clientKey = next.publicKey
  expect((await room.provider.application(ASK)).kind).toBe('issued')
  await expect(jwtVerify(assertion(), next.publicKey)).resolves.toBeTruthy()
  expect(hostile.hits('discovery')).toBe(1)
})

it('no usable credential: nothing is sent, and the refresh token is certainly not spent', async () => {
  room = providerRoom(hostile.issuer, { clientAuth: { current: () => undefined } })
  const answer = await room.provider.refresh(Secret.of('refresh-token', 'rt'), ASK, { issuer: hostile.issuer, subject: 'ada' })
  expect(answer).toMatchObject({ kind: 'refused', reason: 'credential-rejected', providerCode: 'no-credential' })
  expect(hostile.hits('token')).toBe(0)
})

it.each(['client_secret_basic', 'client_secret_post'] as const)('%s is accepted by a strict provider', async (method) => {
  room = providerRoom(hostile.issuer, { clientAuth: secretCredential(method) })
  expect((await room.provider.application(ASK)).kind).toBe('issued')
  expect(hostile.last('token').parameters.has('client_secret')).toBe(method === 'client_secret_post')
  expect(visible(room)).not.toContain('canary')
})

it('a rejected credential is an error in the log, with the provider’s code', async () => {
  room = providerRoom(hostile.issuer, {
    clientAuth: { current: () => ({ kind: 'secret', secret: Secret.of('client-secret', 'canary-wrong'), method: 'client_secret_post' }) },
  })
  expect(await room.provider.application(ASK)).toEqual({ kind: 'refused', reason: 'credential-rejected', providerCode: 'invalid_client' })
  expect(room.lines.filter(({ level }) => level === 'error')).toMatchObject([{ facts: { providerCode: 'invalid_client' } }])
  expect(visible(room)).not.toContain('canary')
})

// RFC 6749 §2.3.1: both parts are form-encoded before Base64, and a provider decodes them so.
it.each(['a+b c/d=%&:é~', ':', '%3A'])('the secret %j arrives as it is by Basic and by body', async (secret) => {
  for (const method of ['client_secret_basic', 'client_secret_post'] as const) {
    room = providerRoom(hostile.issuer, {
      clientId: 'shop:a b',
      clientAuth: { current: () => ({ kind: 'secret', secret: Secret.of('client-secret', secret), method }) },
    })
    await room.provider.application(ASK)
    const { headers, parameters } = hostile.last('token')
    const basic = Buffer.from(headers.authorization?.replace('Basic ', '') ?? '', 'base64').toString('latin1')
    const [id, value] = basic.split(':').map((part) => new URLSearchParams(`v=${part}`).get('v'))
    const sent = method === 'client_secret_basic' ? [id, value] : [parameters.get('client_id'), parameters.get('client_secret')]
    expect(sent).toEqual(['shop:a b', secret])
    await room.provider.close()
  }
})
