import { generateKeyPairSync } from 'node:crypto'
import { decodeProtectedHeader } from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ProfileName } from '../../../src/domain/profile.ts'
import { PROFILE_NAMES, PROFILES } from '../../../src/domain/profiles/profiles.ts'
import type { TokenAnswer } from '../../../src/domain/token.ts'
import { keyIdOf } from '../../../src/kernel/key-id.ts'
import { Secret } from '../../../src/kernel/secret.ts'
import { profileOf } from '../../../src/provider/profiles.ts'
import type { ProviderDeps } from '../../../src/provider/provider.ts'
import { startHostileProvider } from '../../harness/hostile-provider.ts'
import type { HostileProvider } from '../../harness/hostile-provider.ts'
import { askFor, callbackOf, providerRoom } from '../../harness/provider-room.ts'
import type { ProviderRoom } from '../../harness/provider-room.ts'

/** The wire as each provider wants it: providers.md §3, "How a target is expressed". */
let hostile: HostileProvider
let room: ProviderRoom | undefined
beforeEach(async () => {
  hostile = await startHostileProvider()
})
afterEach(async () => {
  await room?.provider.close()
  await hostile.close()
})

const ORDERS = askFor('https://orders.example', ['orders.read'])
const OLD = Secret.of('refresh-token', 'canary-refresh-old')
const LOGIN = ['openid', 'profile', 'offline_access']
const start = (name: ProfileName, overrides: Partial<ProviderDeps> = {}): ProviderRoom => {
  room = providerRoom(hostile.issuer, { profile: profileOf(name), scopes: LOGIN, userAsks: [ORDERS], ...overrides })
  return room
}
const refresh = async (name: ProfileName, answer: Record<string, unknown> = {}, ask = ORDERS): Promise<TokenAnswer> => {
  hostile.script.token = async () => ({ body: await hostile.tokens({ refresh_token: undefined, ...answer }) })
  return start(name).provider.refresh(OLD, ask, { issuer: hostile.issuer, subject: 'ada', scopes: [...LOGIN, 'orders.read'] })
}
const asked = (): Record<string, string> => {
  const { refresh_token: _token, grant_type: _grant, ...rest } = Object.fromEntries(hostile.last('token').parameters)
  return rest
}

it.each<[ProfileName, Record<string, string>]>([
  ['generic', { resource: 'https://orders.example', scope: 'openid profile orders.read' }],
  ['keycloak', { scope: 'openid profile orders.read' }],
  ['entra', { scope: 'https://orders.example/orders.read openid profile offline_access' }],
  ['okta', { scope: 'openid profile orders.read' }],
  ['auth0', { audience: 'https://orders.example', scope: 'openid profile orders.read' }],
  // One token carries all that was granted.
  ['google', {}],
])('%s is asked for an audience at a refresh by %j', async (name, expected) => {
  await refresh(name)
  expect(asked()).toEqual(expected)
})

it.each<[ProfileName, Record<string, string | undefined>]>([
  ['generic', { scope: 'openid profile offline_access orders.read', resource: 'https://orders.example' }],
  ['keycloak', { scope: 'openid profile offline_access orders.read', resource: undefined }],
  ['entra', { scope: 'openid profile offline_access https://orders.example/orders.read', resource: undefined }],
  ['okta', { scope: 'openid profile offline_access orders.read', audience: undefined }],
  ['auth0', { scope: 'openid profile offline_access orders.read', audience: 'https://orders.example' }],
  // `offline_access` is no scope of Google's: it refuses the sign-in.
  ['google', { scope: 'openid profile orders.read', access_type: 'offline', prompt: 'consent', include_granted_scopes: 'true' }],
])('%s is asked for a sign-in with %j', async (name, expected) => {
  const { provider, checks } = start(name)
  const answer = await provider.authorizationUrl({ ...checks, scopes: [...LOGIN, 'orders.read'], ask: ORDERS, extras: {} })
  const parameters = new URL(answer.kind === 'url' ? answer.url : '').searchParams
  for (const [parameter, value] of Object.entries(expected)) expect(parameters.get(parameter) ?? undefined, parameter).toBe(value)
})

it('what the user chose wins over what a profile says by itself', async () => {
  const { provider, checks } = start('google')
  const answer = await provider.authorizationUrl({ ...checks, scopes: LOGIN, ask: undefined, extras: { prompt: 'select_account' } })
  expect(new URL(answer.kind === 'url' ? answer.url : '').searchParams.getAll('prompt')).toEqual(['select_account'])
})

it.each<[ProfileName, string, string]>([
  ['generic', 'PS256', 'kid'],
  ['entra', 'PS256', 'x5t#S256'],
  ['okta', 'RS256', 'kid'],
  ['auth0', 'PS256', 'kid'],
])('%s sees an assertion of a certificate’s key signed %s and named by %s', async (name, alg, key) => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const { now } = Date
  const credential = {
    kind: 'certificate',
    privateKey,
    algorithm: 'PS256',
    thumbprint: 'thumb-256',
    sha1Thumbprint: 'thumb-1',
    chain: [],
    notBefore: now(),
    notAfter: now(),
    file: 'tls.crt',
  } as unknown as ReturnType<ProviderDeps['clientAuth']['current']>
  await start(name, { clientAuth: { current: () => credential } }).provider.application(askFor('https://orders.example'))
  const header = decodeProtectedHeader(hostile.last('token').parameters.get('client_assertion') ?? '')
  expect(header).toMatchObject({ alg, typ: 'JWT', [key]: key === 'kid' ? keyIdOf(privateKey) : 'thumb-256' })
})

describe('Auth0 passes over an audience it does not grant', () => {
  const token = (claims: Record<string, unknown>): Promise<string> => hostile.idToken(claims)
  it('the token for the first audience instead is not used', async () => {
    const answer = await refresh('auth0', { access_token: await token({ aud: ['https://first.example', `${hostile.issuer}/userinfo`] }) })
    expect(answer).toMatchObject({ kind: 'violation', concerns: 'audience', check: 'access-token-audience' })
  })
  it('nor is one that nobody can read, which is for userinfo', async () => {
    expect(await refresh('auth0', { access_token: 'canary-opaque' })).toMatchObject({ check: 'access-token-audience' })
    expect(await refresh('auth0', { access_token: 'canary-opaque' }, askFor(undefined, ['read']))).toMatchObject({ kind: 'issued' })
  })
  it('an encrypted one may be the right one', async () => {
    expect(await refresh('auth0', { access_token: 'a.b.c.d.e' })).toMatchObject({ kind: 'issued' })
  })
  it('the right one is used', async () => {
    const answer = await refresh('auth0', { access_token: await token({ aud: ['https://orders.example', `${hostile.issuer}/userinfo`] }) })
    expect(answer).toMatchObject({ kind: 'issued' })
  })
})

it('Okta’s authorization server is one audience: a token of another one is not used', async () => {
  expect(await refresh('okta', { access_token: await hostile.idToken({ aud: 'api://default' }) })).toMatchObject({
    kind: 'violation',
    concerns: 'audience',
    check: 'access-token-audience',
  })
})

describe('Google lets people untick single scopes', () => {
  const CALENDAR = 'https://www.googleapis.com/auth/calendar'
  const ask = askFor(undefined, [CALENDAR, 'email'])
  it('without one of the route’s the token is not served: consent is needed, and the session stays', async () => {
    const scope = 'openid https://www.googleapis.com/auth/userinfo.email'
    expect(await refresh('google', { scope }, ask)).toEqual({
      kind: 'refused',
      reason: 'consent-required',
      providerCode: 'scope-not-granted',
    })
  })
  it('under Google’s own names they are all there', async () => {
    const scope = `openid ${CALENDAR} https://www.googleapis.com/auth/userinfo.email`
    expect(await refresh('google', { scope }, ask)).toMatchObject({ kind: 'issued' })
  })
  it('an answer that lists none grants what was asked', async () => {
    expect(await refresh('google', {}, ask)).toMatchObject({ kind: 'issued' })
  })
  it('a sign-in with fewer succeeds, without that token', async () => {
    const signIn = start('google')
    hostile.script.token = async () => ({
      body: await hostile.tokens({ scope: 'openid', id_token: await hostile.idToken({ nonce: signIn.checks.nonce.reveal() }) }),
    })
    const answer = await signIn.provider.redeem(callbackOf(hostile, signIn), signIn.checks, ask)
    expect(answer).toMatchObject({ kind: 'signed-in', access: undefined })
  })
})

describe('the organisation', () => {
  const signIn = async (name: ProfileName, claims: Record<string, unknown>, tenants?: readonly string[]) => {
    const at = start(name, { tenants })
    return at.provider.redeem(callbackOf(hostile, at, claims), at.checks, undefined)
  }
  it.each<[ProfileName, Record<string, unknown>, string | undefined]>([
    ['google', { hd: 'example.com' }, 'example.com'],
    ['auth0', { org_id: 'org_1' }, 'org_1'],
    ['generic', { tid: 't1' }, 't1'],
    ['okta', { tid: 't1' }, undefined],
  ])('at %s %j is %s', async (name, claims, tenant) => {
    expect(await signIn(name, claims)).toMatchObject({ kind: 'signed-in', tenant })
  })
  it.each([{ hd: 'evil.example' }, {}, { hd: ['example.com'] }])('a list of domains keeps everybody else out: %j', async (claims) => {
    expect(await signIn('google', claims, ['example.com'])).toMatchObject({ kind: 'tenant-refused' })
  })
  it('and lets its own in, whatever the case', async () => {
    expect(await signIn('google', { hd: 'example.com' }, ['Example.com'])).toMatchObject({ kind: 'signed-in', tenant: 'example.com' })
  })
})

describe('the end-session URL', () => {
  const url = async (name: ProfileName) => {
    const hint = { idToken: Secret.of('id-token', 'canary-id'), claims: { login_hint: 'opaque-hint' }, state: 's' }
    return new URL((await start(name).provider.endSessionUrl(hint))?.reveal() ?? '').searchParams
  }
  it.each<[ProfileName, string | null, string | null]>([
    ['generic', null, null],
    ['keycloak', 'canary-id', null],
    // The one exception of spec §1 rule 5 is not needed here: the account is named instead.
    ['entra', null, 'opaque-hint'],
    ['okta', 'canary-id', null],
    ['auth0', 'canary-id', null],
  ])('of %s brings id_token_hint %s and logout_hint %s', async (name, idToken, account) => {
    const parameters = await url(name)
    expect([parameters.get('id_token_hint'), parameters.get('logout_hint')]).toEqual([idToken, account])
  })
})

it.each(PROFILE_NAMES)('%s is whole: its name, a grace exactly where it rotates with one, and no rule that never fits', (name) => {
  const profile = PROFILES[name]
  expect(profile.name).toBe(name)
  expect(profile.rotationGraceMs > 0).toBe(profile.rotation === 'grace')
  expect(profile.scopesCarryAudience ? profile.target : 'scope').toBe('scope')
  for (const rule of profile.errors) expect(rule.error ?? rule.numbers).toBeDefined()
})
