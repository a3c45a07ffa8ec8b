import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TokenAnswer } from '../../src/domain/token.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { profileOf } from '../../src/provider/profiles.ts'
import { startHostileProvider } from '../harness/hostile-provider.ts'
import type { HostileProvider } from '../harness/hostile-provider.ts'
import { askFor, providerRoom, visible } from '../harness/provider-room.ts'
import type { ProviderRoom } from '../harness/provider-room.ts'

let hostile: HostileProvider
let room: ProviderRoom
let answer: TokenAnswer | undefined
beforeEach(async () => {
  hostile = await startHostileProvider()
  room = providerRoom(hostile.issuer)
  answer = undefined
})
afterEach(async () => {
  expect(visible(room, answer)).not.toContain('canary')
  await room.provider.close()
  await hostile.close()
})

const OLD = Secret.of('refresh-token', 'canary-refresh-old')
const refresh = async (ask = askFor('https://orders.example', ['orders.read']), known = {}): Promise<TokenAnswer> => {
  answer = await room.provider.refresh(OLD, ask, { issuer: hostile.issuer, subject: 'ada', ...known })
  return answer
}
const answers = (overrides: () => Record<string, unknown> | Promise<Record<string, unknown>>): void => {
  hostile.script.token = async () => ({ body: await hostile.tokens({ refresh_token: 'canary-refresh-new', ...(await overrides()) }) })
}
const rotated = (): string | undefined => (answer && 'refreshToken' in answer ? answer.refreshToken?.reveal() : undefined)

describe('a refreshed ID token that contradicts the session ends it, with the successor in hand to be revoked', () => {
  it.each<[string, string, Record<string, unknown>]>([
    ['another user', 'subject-changed', { sub: 'grace' }],
    ['another user with the same address', 'subject-changed', { sub: 'grace', email: 'ada@example.com', preferred_username: 'ada' }],
    ['no user', 'subject', { sub: '' }],
    ['another issuer', 'issuer', { iss: 'https://evil.example' }],
    ['another client', 'audience', { aud: 'other' }],
    ['another access token', 'at-hash', { at_hash: 'AAAAAAAAAAAAAAAAAAAAAA' }],
  ])('%s', async (_name, check, claims) => {
    answers(async () => ({ id_token: await hostile.idToken(claims) }))
    expect(await refresh()).toMatchObject({ kind: 'violation', concerns: 'session', check })
    expect(rotated()).toBe('canary-refresh-new')
  })
  it('a wrong signature', async () => {
    const rogue = await hostile.newSigner()
    answers(async () => ({ id_token: await hostile.idToken({}, { kid: hostile.signer.kid }, rogue) }))
    expect(await refresh()).toMatchObject({ kind: 'violation', concerns: 'session', check: 'signature' })
    expect(rotated()).toBe('canary-refresh-new')
  })
  it('another user under a key nobody knows', async () => {
    const rogue = await hostile.newSigner()
    answers(async () => ({ id_token: await hostile.idToken({ sub: 'grace' }, {}, rogue) }))
    expect(await refresh()).toMatchObject({ kind: 'violation', concerns: 'session', check: 'subject-changed' })
  })
  it('a sign-in later than the session’s', async () => {
    const now = Date.now()
    answers(async () => ({ id_token: await hostile.idToken({ auth_time: Math.floor(now / 1000) }) }))
    expect(await refresh(undefined, { authTime: now - 3_600_000 })).toMatchObject({ concerns: 'session', check: 'auth-time-changed' })
  })
})

describe('a rotated refresh token survives whatever else is wrong with its answer', () => {
  const now = Math.floor(Date.now() / 1000)
  it.each<[string, string, () => Promise<Record<string, unknown>>]>([
    ['an expired ID token', 'expiry', async () => ({ id_token: await hostile.idToken({ exp: now - 120 }) })],
    ['an ID token that is none', 'id-token', async () => ({ id_token: 'x' })],
    ['a token type we did not ask for', 'token-type', async () => ({ token_type: 'DPoP' })],
    ['a broken access token', 'access-token', async () => ({ access_token: 'canary\r\nset-cookie: a=b' })],
    ['no life', 'expires-in', async () => ({ expires_in: 0 })],
    [
      'a token for another audience',
      'access-token-audience',
      async () => ({ access_token: await hostile.idToken({ aud: 'https://other.example' }) }),
    ],
    [
      'an app-only token',
      'access-token-principal',
      async () => ({ access_token: await hostile.idToken({ aud: 'https://orders.example', sub: 'gateway' }) }),
    ],
    [
      'an app-only token by idtyp',
      'access-token-principal',
      async () => ({ access_token: await hostile.idToken({ aud: 'https://orders.example', idtyp: 'app' }) }),
    ],
  ])('%s', async (_name, check, overrides) => {
    answers(overrides)
    expect(await refresh()).toMatchObject({ kind: 'violation', concerns: 'audience', check })
    expect(rotated()).toBe('canary-refresh-new')
  })
  it('keys that cannot be fetched: the tokens are good, the claims stay as they were', async () => {
    hostile.script.jwks = () => ({ status: 503 })
    answers(async () => ({ id_token: await hostile.idToken() }))
    expect(await refresh()).toMatchObject({ kind: 'issued', claims: undefined, idToken: undefined })
    expect(rotated()).toBe('canary-refresh-new')
  })
  it('a key that is not published yet: likewise', async () => {
    const early = await hostile.newSigner()
    answers(async () => ({ id_token: await hostile.idToken({}, {}, early) }))
    expect(await refresh()).toMatchObject({ kind: 'issued', claims: undefined })
  })
})

describe('a refresh that went well', () => {
  it('yields the token, its life, its scopes, the successor and the verified claims', async () => {
    answers(async () => ({
      id_token: await hostile.idToken({ name: 'Ada L.' }),
      scope: 'orders.read openid',
      expires_in: '120',
      refresh_expires_in: 1800,
    }))
    const before = room.clock.now()
    expect(await refresh()).toMatchObject({
      kind: 'issued',
      claims: { sub: 'ada', name: 'Ada L.' },
      access: { scopes: ['openid', 'orders.read'] },
    })
    if (answer?.kind !== 'issued') throw new Error('not issued')
    expect(answer.access.expiresAt - answer.access.issuedAt).toBe(120_000)
    expect(answer.access.issuedAt).toBeGreaterThanOrEqual(before)
    expect(answer.refreshEndsAt).toBe(answer.access.issuedAt + 1_800_000)
    expect(rotated()).toBe('canary-refresh-new')
  })
  it('sends what the generic profile says: one resource, narrowed scopes, no secret in the body', async () => {
    await refresh(askFor('https://orders.example', ['orders.read']), { scopes: ['openid', 'profile', 'offline_access'] })
    const { parameters, headers } = hostile.last('token')
    expect(Object.fromEntries(parameters)).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'canary-refresh-old',
      resource: 'https://orders.example',
      scope: 'openid profile orders.read',
    })
    expect(headers.authorization).toMatch(/^Basic /)
    expect(headers.origin).toBeUndefined()
  })
  it('without a lifetime the token lives five minutes', async () => {
    answers(() => ({ expires_in: undefined }))
    await refresh()
    expect(answer?.kind === 'issued' && answer.access.expiresAt - answer.access.issuedAt).toBe(300_000)
  })
  it('the same refresh token again is no rotation', async () => {
    answers(() => ({ refresh_token: 'canary-refresh-old' }))
    expect(await refresh()).toMatchObject({ kind: 'issued', refreshToken: undefined })
  })
  it('none again keeps the old one', async () => {
    answers(() => ({ refresh_token: undefined }))
    expect(await refresh()).toMatchObject({ kind: 'issued', refreshToken: undefined })
  })
})

describe('an application token', () => {
  const application = async (): Promise<TokenAnswer> => {
    answer = await room.provider.application(askFor('https://reports.example', ['reports.read'], 'client_credentials'))
    return answer
  }
  it('is asked for by client credentials with its target', async () => {
    expect((await application()).kind).toBe('issued')
    expect(Object.fromEntries(hostile.last('token').parameters)).toEqual({
      grant_type: 'client_credentials',
      resource: 'https://reports.example',
      scope: 'reports.read',
    })
  })
  it('that is a user’s is refused', async () => {
    answers(async () => ({ access_token: await hostile.idToken({ aud: 'https://reports.example', idtyp: 'user' }) }))
    expect(await application()).toMatchObject({ kind: 'violation', check: 'access-token-principal' })
  })
  it('invalid_grant for it says nothing about any session', async () => {
    hostile.script.token = () => ({ status: 400, body: { error: 'invalid_grant' } })
    expect(await application()).toMatchObject({ kind: 'unavailable', sent: 'answered' })
  })
})

describe('what the provider answers is read as its profile means it', () => {
  it.each<['generic' | 'keycloak' | 'entra', number, Record<string, unknown>, unknown]>([
    ['generic', 400, { error: 'invalid_grant' }, { kind: 'refused', reason: 'grant-rejected', providerCode: 'invalid_grant' }],
    ['generic', 401, { error: 'invalid_client' }, { kind: 'refused', reason: 'credential-rejected' }],
    ['keycloak', 401, { error: 'unauthorized_client' }, { kind: 'refused', reason: 'credential-rejected' }],
    ['generic', 400, { error: 'invalid_target' }, { kind: 'refused', reason: 'audience-denied' }],
    ['generic', 400, { error: 'invalid_scope' }, { kind: 'refused', reason: 'audience-denied' }],
    ['generic', 400, { error: 'interaction_required' }, { kind: 'refused', reason: 'step-up-required' }],
    ['generic', 400, { error: 'consent_required' }, { kind: 'refused', reason: 'consent-required' }],
    ['generic', 400, { error: 'invalid_grant', suberror: 'consent_required' }, { kind: 'refused', reason: 'consent-required' }],
    ['entra', 400, { error: 'invalid_grant', suberror: 'consent_required' }, { kind: 'refused', reason: 'consent-required' }],
    ['entra', 400, { error: 'invalid_grant', error_codes: [65001] }, { kind: 'refused', reason: 'consent-required' }],
    [
      'entra',
      400,
      { error: 'invalid_grant', suberror: 'basic_action', claims: '{"access_token":{}}' },
      { kind: 'refused', reason: 'step-up-required' },
    ],
    ['entra', 400, { error: 'invalid_grant', suberror: 'something_new' }, { kind: 'refused', reason: 'step-up-required' }],
    [
      'entra',
      400,
      { error: 'invalid_grant', suberror: 'bad_token', error_description: 'AADSTS50173: canary' },
      { kind: 'refused', reason: 'grant-rejected', providerCode: 'AADSTS50173' },
    ],
    ['entra', 400, { error: 'invalid_grant', suberror: 'token_expired' }, { kind: 'refused', reason: 'grant-rejected' }],
    ['entra', 400, { error: 'invalid_grant', error_codes: [50196] }, { kind: 'unavailable', sent: 'answered' }],
    ['entra', 400, { error: 'temporarily_unavailable' }, { kind: 'unavailable', sent: 'answered' }],
  ])('%s %i %j', async (profile, status, body, expected) => {
    await room.provider.close()
    room = providerRoom(hostile.issuer, { profile: profileOf(profile) })
    // The header hides `error` from openid-client: with it on every answer, the reading must not depend on it.
    hostile.script.token = () => ({ status, body, headers: { 'www-authenticate': 'Basic realm="x"' } })
    expect(await refresh()).toMatchObject(expected as object)
  })
  it.each([
    ['7', 7000],
    ['0', 1000],
    ['99999', 3_600_000],
    ['soon', 5000],
    ['-3', 5000],
  ])('429 with Retry-After: %s waits %i ms', async (header, retryAfter) => {
    hostile.script.token = () => ({ status: 429, headers: { 'retry-after': header } })
    expect(await refresh()).toMatchObject({ kind: 'unavailable', sent: 'answered', retryAfter })
  })
  it('Entra: the scope carries the audience, always, and no resource is sent', async () => {
    await room.provider.close()
    room = providerRoom(hostile.issuer, { profile: profileOf('entra') })
    await refresh(askFor('api://orders', ['orders.read', 'api://orders/orders.write']))
    expect(hostile.last('token').parameters.get('scope')).toBe(
      'api://orders/orders.read api://orders/orders.write openid profile offline_access',
    )
    expect(hostile.last('token').parameters.has('resource')).toBe(false)
    await refresh(askFor('api://orders'))
    expect(hostile.last('token').parameters.get('scope')).toBe('api://orders/.default openid profile offline_access')
    answer = await room.provider.application(askFor('api://orders', [], 'client_credentials'))
    expect(hostile.last('token').parameters.get('scope')).toBe('api://orders/.default')
  })
  it('Auth0’s way: an audience parameter', async () => {
    await room.provider.close()
    room = providerRoom(hostile.issuer, { profile: profileOf('generic', { target: 'audience' }) })
    await refresh(askFor('https://orders.example'))
    expect(hostile.last('token').parameters.get('audience')).toBe('https://orders.example')
  })
})
