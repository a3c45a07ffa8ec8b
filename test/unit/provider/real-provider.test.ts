import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK } from 'jose'
import Provider from 'oidc-provider'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { judgePair } from '../../../src/credentials/certificate.ts'
import type { SignedIn } from '../../../src/domain/provider.ts'
import { keyIdOf } from '../../../src/kernel/key-id.ts'
import { Secret } from '../../../src/kernel/secret.ts'
import { instant } from '../../../src/kernel/time.ts'
import { profileOf } from '../../../src/provider/profiles.ts'
import { askFor, providerRoom, REDIRECT_URI, visible } from '../../harness/provider-room.ts'
import type { ProviderRoom } from '../../harness/provider-room.ts'
import { selfSigned } from '../../harness/self-signed.ts'

/** A real provider: oidc-provider with rotation, reuse detection, resource indicators and private_key_jwt. */
let server: Server
let issuer: string
let room: ProviderRoom
const pair = selfSigned()
const ORDERS = askFor('https://orders.example', ['orders.read'])
const STOCK = askFor('https://stock.example', ['stock.read'])
const AUDIENCES: Readonly<Record<string, string>> = { 'https://orders.example': 'orders.read', 'https://stock.example': 'stock.read' }

beforeAll(async () => {
  server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const signing = selfSigned({ kind: 'ec' })
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'gateway',
        redirect_uris: [REDIRECT_URI],
        post_logout_redirect_uris: ['https://shop.example.com/bff/logout/callback'],
        grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: 'PS256',
        id_token_signed_response_alg: 'ES256',
        jwks: { keys: [{ ...(await exportJWK(pair.publicKey)), kid: keyIdOf(pair.publicKey), alg: 'PS256', use: 'sig' }] },
      },
    ],
    jwks: { keys: [{ ...(await exportJWK(signing.privateKey)), kid: 'provider-key', alg: 'ES256', use: 'sig' }] },
    cookies: { keys: ['x'] },
    enabledJWA: { clientAuthSigningAlgValues: ['PS256'] },
    pkce: { required: () => true },
    scopes: ['openid', 'offline_access', 'profile'],
    claims: { openid: ['sub'], profile: ['name'] },
    conformIdTokenClaims: false,
    findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id, name: 'Ada' }) }),
    rotateRefreshToken: true,
    features: {
      clientCredentials: { enabled: true },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, resource) => ({
          scope: AUDIENCES[resource] ?? '',
          audience: resource,
          accessTokenTTL: 120,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
        useGrantedResource: () => false,
      },
    },
  })
  const handle = provider.callback()
  server.on('request', (request, response) => {
    void handle(request, response)
  })
  const judged = judgePair(pair.certificate, pair.key, 'tls.crt', instant(Date.now()))
  if (judged.kind === 'unusable') throw new Error(judged.fault)
  room = providerRoom(issuer, {
    profile: profileOf('generic'),
    clientAuth: { current: () => judged.credential },
    userAsks: [ORDERS, STOCK],
  })
})
afterAll(async () => {
  await room.provider.close()
  server.closeAllConnections()
  server.close()
})

/** Follows redirects and submits the development forms, with a cookie jar, until the redirect URI is reached. */
const signIn = async (start: string): Promise<URLSearchParams> => {
  const jar = new Map<string, string>()
  let next: { url: string; body?: URLSearchParams } = { url: start }
  for (let step = 0; step < 20; step++) {
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
    if (location) {
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

const login = async (): Promise<SignedIn> => {
  const { state, nonce, verifier } = room.checks
  const started = await room.provider.authorizationUrl({
    state,
    nonce,
    verifier,
    scopes: ['openid', 'profile', 'offline_access', 'orders.read', 'stock.read'],
    ask: ORDERS,
    extras: { prompt: 'consent' },
  })
  if (started.kind !== 'url') throw new Error(started.kind)
  const redeemed = await room.provider.redeem(await signIn(started.url), room.checks, ORDERS)
  if (redeemed.kind !== 'signed-in') throw new Error(JSON.stringify([redeemed, room.lines]))
  return redeemed
}
const audienceOf = (token: Secret<'access-token'>): unknown =>
  (JSON.parse(Buffer.from(token.reveal().split('.')[1] ?? '', 'base64url').toString()) as { aud: unknown }).aud

it('signs in, refreshes for each audience while tokens rotate, loses the family on reuse, and revokes', async () => {
  // 1. code with PKCE and private_key_jwt, redeemed for one audience
  const signedIn = await login()
  expect(signedIn).toMatchObject({ issuer, subject: 'ada', claims: { name: 'Ada' } })
  expect(signedIn.access && audienceOf(signedIn.access.token)).toBe('https://orders.example')
  const first = signedIn.refreshToken
  if (!first) throw new Error('no refresh token')

  // 2. another audience on first use; the token rotates, the ID token comes again
  const known = { issuer, subject: 'ada', scopes: signedIn.scopes }
  const stock = await room.provider.refresh(first, STOCK, known)
  if (stock.kind !== 'issued' || !stock.refreshToken) throw new Error(JSON.stringify([stock, room.lines]))
  expect(audienceOf(stock.access.token)).toBe('https://stock.example')
  expect(stock.access.scopes).toEqual(['stock.read'])
  expect(stock.claims).toMatchObject({ sub: 'ada', name: 'Ada' })
  expect(stock.refreshToken.equals(first)).toBe(false)

  // 3. an audience nobody configured there is refused, and that alone
  const spent = await room.provider.refresh(stock.refreshToken, askFor('https://unknown.example', ['x']), known)
  expect(spent).toMatchObject({ kind: 'refused', reason: 'audience-denied' })

  // 4. the old token again: the provider kills the family
  const again = await room.provider.refresh(first, ORDERS, known)
  expect(again).toMatchObject({ kind: 'refused', reason: 'grant-rejected', providerCode: 'invalid_grant' })
  expect(await room.provider.refresh(stock.refreshToken, ORDERS, known)).toMatchObject({ kind: 'refused', reason: 'grant-rejected' })

  for (const secret of [first, stock.refreshToken, stock.access.token])
    expect(visible(room, signedIn, stock)).not.toContain(secret.reveal())
})

it('a revoked refresh token is refused from then on', async () => {
  const { refreshToken } = await login()
  if (!refreshToken) throw new Error('no refresh token')
  expect(await room.provider.revoke(refreshToken)).toBe('revoked')
  expect(await room.provider.refresh(refreshToken, ORDERS, { issuer, subject: 'ada' })).toMatchObject({ reason: 'grant-rejected' })
})

it('the application gets a token of its own for its audience', async () => {
  const answer = await room.provider.application({ ...STOCK, grant: 'client_credentials' })
  expect(answer.kind === 'issued' && audienceOf(answer.access.token)).toBe('https://stock.example')
})

it('a code of another browser’s verifier is refused by the provider', async () => {
  const { state, nonce, verifier } = room.checks
  const started = await room.provider.authorizationUrl({ state, nonce, verifier, scopes: ['openid'], ask: undefined, extras: {} })
  if (started.kind !== 'url') throw new Error(started.kind)
  const query = await signIn(started.url)
  const other = Secret.of('code-verifier', createHash('sha256').update('other').digest('hex'))
  expect(await room.provider.redeem(query, { ...room.checks, verifier: other }, undefined)).toEqual({
    kind: 'invalid',
    check: 'code-rejected',
  })
})
