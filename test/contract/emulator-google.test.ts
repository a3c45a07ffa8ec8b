import { createPrivateKey } from 'node:crypto'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CALENDAR, DRIVE, type Google, startGoogle } from '../harness/emulators/google/google.ts'
import { claimsIn, isReadable, PUBLIC_URL, wireOf } from './emulator-oidc-kit.ts'

const TASKS = 'https://www.googleapis.com/auth/tasks'
const OFFLINE = { access_type: 'offline', prompt: 'consent' }
const LOGIN = { scope: `openid email profile ${CALENDAR} ${TASKS}`, ...OFFLINE }
let google: Google
let wire: Awaited<ReturnType<typeof wireOf>>
beforeAll(async () => {
  google = await startGoogle({ publicUrl: PUBLIC_URL, unticked: [TASKS], delegated: [CALENDAR] })
  wire = await wireOf(google)
})
afterAll(() => google.stop())

describe('people', () => {
  it('get a refresh token by access_type and prompt alone; `offline_access` and audiences are refused', async () => {
    expect(await wire.signIn({ scope: LOGIN.scope })).not.toHaveProperty('refresh_token')
    expect(await wire.signIn(LOGIN)).toHaveProperty('refresh_token')
    const refused = async (more: Readonly<Record<string, string>>) => (await wire.authorize({ ...LOGIN, ...more })).callback.get('error')
    expect(await refused({ scope: 'openid offline_access' })).toBe('invalid_scope')
    expect(await refused({ audience: 'https://orders.example/' })).toBe('invalid_request')
    expect(await refused({ resource: 'https://orders.example/' })).toBe('invalid_request')
  })

  it('untick single scopes, and the answer lists what is left, by its long names', async () => {
    const { scope } = await wire.signIn(LOGIN)
    expect(String(scope).split(' ')).toEqual([
      'openid',
      'https://www.googleapis.com/auth/userinfo.email',
      'https://www.googleapis.com/auth/userinfo.profile',
      CALENDAR,
    ])
  })

  it('keep one refresh token for good; each access token carries all scopes, and nobody can read it', async () => {
    const { refresh_token: token } = await wire.signIn(LOGIN)
    for (const _time of [1, 2, 3]) {
      google.clock.shift(90 * 86_400_000)
      const { status, body } = await wire.refresh(token, { scope: 'openid' })
      expect([status, isReadable(body['access_token']), 'refresh_token' in body]).toEqual([200, false, false])
      expect(String(body['scope'])).toContain(CALENDAR)
    }
    expect(await wire.revoke(token)).toBe(200)
    expect((await wire.refresh(token)).body).toMatchObject({
      error: 'invalid_grant',
      error_description: 'Token has been expired or revoked.',
    })
  })

  it('cannot be signed out at an end_session_endpoint: there is none', () => {
    expect(wire.document).not.toHaveProperty('end_session_endpoint')
    expect(wire.document).toHaveProperty('revocation_endpoint')
  })
})

describe('a service account', () => {
  const ask = async (more: Readonly<Record<string, unknown>> = {}, seconds = 300) => {
    const file = JSON.parse(google.keyFile) as Readonly<Record<'client_email' | 'token_uri' | 'private_key_id' | 'private_key', string>>
    const now = Math.floor(google.clock.now() / 1000)
    const claims = {
      iss: file.client_email,
      scope: CALENDAR,
      aud: file.token_uri,
      sub: 'ada@shop.example',
      iat: now,
      exp: now + seconds,
      ...more,
    }
    const assertion = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'RS256', kid: file.private_key_id })
      .sign(createPrivateKey(file.private_key))
    return wire.post({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion })
  }

  it('acts as anybody of the domain, by its assertion and no client credential', async () => {
    const { status, body } = await ask()
    expect(status).toBe(200)
    expect(google.read(String(body['access_token']))).toMatchObject({ user: { key: 'ada' }, scopes: [CALENDAR] })
    expect(google.record.tokenCalls.at(-1)?.authentication).toBe('none')
  })

  it('only for exactly the scopes that an administrator allowed', async () => {
    for (const scope of [DRIVE, `${CALENDAR} ${DRIVE}`, `${CALENDAR}.readonly`]) {
      const { status, body } = await ask({ scope })
      expect([status, body['error']]).toEqual([401, 'unauthorized_client'])
    }
  })

  it.each<[string, Readonly<Record<string, unknown>>, number?]>([
    ['addressed to somebody else', { aud: 'https://evil.example/token' }],
    ['of somebody who is not there', { sub: 'nobody@shop.example' }],
    ['of an account that is not there', { iss: 'other@shop-project.iam.gserviceaccount.com' }],
    ['for longer than an hour', {}, 3601],
  ])('not by an assertion %s', async (_what, more, seconds) => {
    const { status, body } = await ask(more, seconds)
    expect([status, body['error']]).toEqual([400, 'invalid_grant'])
  })
})

it('an ID token names the domain', async () => {
  expect(claimsIn((await wire.signIn(LOGIN))['id_token'])).toMatchObject({
    hd: 'shop.example',
    email: 'ada@shop.example',
    email_verified: true,
  })
})
