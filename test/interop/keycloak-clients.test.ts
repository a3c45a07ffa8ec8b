import { exportJWK, SignJWT } from 'jose'
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { keyIdOf } from '../../src/kernel/key-id.ts'
import { type SelfSigned, selfSigned } from '../harness/self-signed.ts'
import { createRealm, gist, keycloak } from './kit.ts'
import { type ClientPlace, startClientPlace } from './client-place.ts'
import { certificateBody, gatewayClient, type Realm } from './realm.ts'
import { type Observed, openWire, type Wire } from './wire.ts'

const SECRET = 'a-secret-of-the-gateway'
const NO_KEY = [400, 'invalid_client', 'Unable to load public key']

interface Shape {
  readonly aud?: string | readonly string[]
  readonly kid?: string
  readonly alg?: string
  readonly jti?: string
  /** Seconds from now; null: not said. */
  readonly exp?: number | null
  readonly iat?: number | null
}

/** docs/interop.md R2 to R5: how Keycloak takes a client's word. */
describe.skipIf(!keycloak)('client authentication at Keycloak', () => {
  const [pair, next] = [selfSigned(), selfSigned()]
  let place: ClientPlace
  let realm: Realm
  let wire: Wire
  beforeAll(async () => {
    place = await startClientPlace()
    const { url } = place
    const byJwt = { url, authenticator: 'client-jwt' } as const
    realm = await createRealm({
      clients: [
        gatewayClient({ clientId: 'by-secret', secret: SECRET, url }),
        gatewayClient({
          ...byJwt,
          clientId: 'by-certificate',
          attributes: { 'jwt.credential.certificate': certificateBody(pair.certificate) },
        }),
        gatewayClient({ ...byJwt, clientId: 'by-url', attributes: { 'use.jwks.url': 'true', 'jwks.url': `${url}/jwks` } }),
      ],
    })
    wire = openWire({ issuer: realm.issuer, clientId: 'by-secret', secret: SECRET, redirectUri: `${url}/bff/callback` })
  })
  afterAll(async () => {
    await place?.stop()
    await realm?.remove()
  })

  const ask = (auth: Readonly<Record<string, string>>): Promise<Observed> => wire.post('token', { grant_type: 'client_credentials' }, auth)
  const assertion = async (clientId: string, { privateKey }: SelfSigned, shape: Shape = {}): Promise<Record<string, string>> => {
    const now = Math.floor(Date.now() / 1000)
    const { exp = 60, iat = 0, aud = realm.issuer, jti = randomUUID(), alg = 'PS256', kid } = shape
    const unsigned = new SignJWT({ jti, ...(exp !== null && { exp: now + exp }), ...(iat !== null && { iat: now + iat }) })
      .setProtectedHeader({ alg, typ: 'JWT', ...(kid !== undefined && { kid }) })
      .setIssuer(clientId)
      .setSubject(clientId)
      .setAudience(typeof aud === 'string' ? aud : [...aud])
    return {
      client_id: clientId,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: await unsigned.sign(privateKey),
    }
  }
  const published = async ({ publicKey }: SelfSigned): Promise<unknown> => ({
    ...(await exportJWK(publicKey)),
    kid: keyIdOf(publicKey),
    use: 'sig',
    alg: 'PS256',
  })

  it.each`
    what                  | auth                                                      | answer
    ${'a wrong secret'}   | ${{ client_id: 'by-secret', client_secret: 'no' }}        | ${[401, 'unauthorized_client', 'Invalid client or Invalid client credentials']}
    ${'no secret'}        | ${{ client_id: 'by-secret' }}                             | ${[401, 'unauthorized_client', 'Invalid client or Invalid client credentials']}
    ${'nobody'}           | ${{ client_id: 'nobody', client_secret: 'no' }}           | ${[401, 'invalid_client', 'Invalid client or Invalid client credentials']}
    ${'a secret for JWT'} | ${{ client_id: 'by-certificate', client_secret: SECRET }} | ${[400, 'invalid_client', 'Parameter client_assertion_type is missing']}
  `('$what is refused without a challenge', async ({ auth, answer }) => {
    const observed = await ask(auth as Record<string, string>)
    expect(gist(observed)).toEqual(answer)
    expect(observed.challenge).toBeUndefined()
  })

  it.each<[string, Shape]>([
    ['without a kid', {}],
    ['named by the digest of its public key', { kid: keyIdOf(pair.publicKey) }],
    ['signed RS256', { alg: 'RS256' }],
    ['for an array of one', { aud: ['issuer'] }],
    ['for the token endpoint', { aud: 'token-endpoint' }],
    ['that lives an hour', { exp: 3600 }],
    ['that does not say since when', { iat: null }],
  ])('takes an assertion %s', async (_what, shape) => {
    const aud = shape.aud === 'token-endpoint' ? wire.endpoint('token') : Array.isArray(shape.aud) ? [realm.issuer] : realm.issuer
    expect(gist(await ask(await assertion('by-certificate', pair, { ...shape, aud })))).toEqual([200])
  })

  it.each<[string, Shape, string]>([
    ['named by the certificate’s thumbprint', { kid: pair.thumbprint }, 'Unable to load public key'],
    ['for two audiences', { aud: ['issuer', 'https://another.example'] }, 'Multiple audiences not allowed'],
    ['for somebody else', { aud: 'https://another.example' }, 'Invalid token audience'],
    ['without an end', { exp: null }, 'Token exp claim is required'],
    ['that is over', { exp: -30, iat: -90 }, 'Token is not active'],
    ['from the future', { iat: 30 }, 'Token was issued in the future'],
  ])('refuses an assertion %s', async (_what, shape, description) => {
    const aud = Array.isArray(shape.aud) ? [realm.issuer, ...shape.aud.slice(1)] : (shape.aud ?? realm.issuer)
    expect(gist(await ask(await assertion('by-certificate', pair, { ...shape, aud })))).toEqual([400, 'invalid_client', description])
  })

  it('takes no assertion twice, and none of another key', async () => {
    const once = await assertion('by-certificate', pair)
    expect(gist(await ask(once))).toEqual([200])
    expect(gist(await ask(once))).toEqual([400, 'invalid_client', 'Token reuse detected'])
    expect(gist(await ask(await assertion('by-certificate', next)))).toEqual([
      400,
      'invalid_client',
      'Client authentication with signed JWT failed: Signature on JWT token failed validation',
    ])
  })

  it('fetches a client’s keys at first use, a new key’s not within ten seconds of that, and a removed key stays good meanwhile', async () => {
    place.keys = [await published(pair)]
    const old = { kid: keyIdOf(pair.publicKey) }
    const young = { kid: keyIdOf(next.publicKey) }
    expect(gist(await ask(await assertion('by-url', pair, old)))).toEqual([200])
    place.keys = [await published(next)]
    expect(gist(await ask(await assertion('by-url', next, young)))).toEqual(NO_KEY)
    expect(gist(await ask(await assertion('by-url', pair, old)))).toEqual([200])
    expect(place.asked()).toBe(1)
  })
})
