import { generateKeyPairSync } from 'node:crypto'
import { createLocalJWKSet, exportJWK, jwtVerify } from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ServiceAccountKey } from '../../src/domain/key-file.ts'
import type { TokenAnswer } from '../../src/domain/token.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { profileOf } from '../../src/provider/profiles.ts'
import type { HostileProvider } from '../harness/hostile-provider.ts'
import { startHostileProvider } from '../harness/hostile-provider.ts'
import type { ProviderRoom } from '../harness/provider-room.ts'
import { askFor, providerRoom, visible } from '../harness/provider-room.ts'

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'
const SUBJECT = Secret.of('access-token', 'canary-subject-token')
const ACTOR = Secret.of('access-token', 'canary-actor-token')
const ORDERS = 'https://orders.example'

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

const answers = (body: Record<string, unknown>, status = 200): void => {
  hostile.script.token = () => ({ status, body })
}
const GOOD = { access_token: 'canary-made', token_type: 'Bearer', expires_in: 60, issued_token_type: ACCESS_TOKEN }
const exchange = async (ask = askFor(ORDERS, ['orders.read'], 'exchange'), actor?: typeof ACTOR): Promise<TokenAnswer> => {
  answer = await room.provider.exchange(SUBJECT, ask, actor)
  return answer
}

describe('an exchange', () => {
  it('sends the subject token as an access token and asks for one', async () => {
    answers(GOOD)
    expect(await exchange()).toMatchObject({ kind: 'issued', refreshToken: undefined })
    expect(Object.fromEntries(hostile.last('token').parameters)).toEqual({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: 'canary-subject-token',
      subject_token_type: ACCESS_TOKEN,
      requested_token_type: ACCESS_TOKEN,
      resource: ORDERS,
      scope: 'orders.read',
    })
  })
  it('names the actor only when there is one', async () => {
    answers(GOOD)
    await exchange(undefined, ACTOR)
    expect(hostile.last('token').parameters.get('actor_token')).toBe('canary-actor-token')
    expect(hostile.last('token').parameters.get('actor_token_type')).toBe(ACCESS_TOKEN)
  })
  it.each([
    ['generic', ORDERS, 'resource'],
    ['generic', 'orders', 'audience'],
    ['keycloak', 'orders', 'audience'],
    ['auth0', ORDERS, 'audience'],
    ['okta', 'orders', 'audience'],
  ] as const)('%s names the audience %s by `%s`', async (profile, audience, name) => {
    await room.provider.close()
    room = providerRoom(hostile.issuer, { profile: profileOf(profile) })
    answers(GOOD)
    await exchange(askFor(audience, [], 'exchange'))
    const { parameters } = hostile.last('token')
    expect([parameters.get('resource'), parameters.get('audience')]).toEqual(name === 'resource' ? [audience, null] : [null, audience])
  })
  it.each([
    ['another type than was asked for', { issued_token_type: 'urn:ietf:params:oauth:token-type:id_token' }, 'issued-token-type'],
    ['no type', { issued_token_type: undefined }, 'issued-token-type'],
    ['a type that is no text', { issued_token_type: [ACCESS_TOKEN] }, 'issued-token-type'],
    ['a token that is none to present (N_A)', { token_type: 'N_A' }, 'token-type'],
    ['a bound token nobody asked for', { token_type: 'DPoP' }, 'token-type'],
    ['no token', { access_token: undefined }, 'access-token'],
  ])('refuses an answer with %s', async (_because, change, check) => {
    answers({ ...GOOD, ...change })
    expect(await exchange()).toMatchObject({ kind: 'violation', concerns: 'audience', check })
  })
  it('refuses a token of the application in the place of the user’s', async () => {
    answers({ ...GOOD, access_token: await hostile.idToken({ aud: ORDERS, sub: 'gateway' }) })
    expect(await exchange()).toMatchObject({ kind: 'violation', check: 'access-token-principal' })
  })
  it('refuses a token for somebody else’s audience', async () => {
    answers({ ...GOOD, access_token: await hostile.idToken({ aud: 'https://other.example' }) })
    expect(await exchange()).toMatchObject({ kind: 'violation', check: 'access-token-audience' })
  })
  it('tells who acts, where the token says it', async () => {
    answers({ ...GOOD, access_token: await hostile.idToken({ aud: ORDERS, sub: 'ada', act: { sub: 'gateway' } }) })
    expect(await exchange()).toMatchObject({ kind: 'issued', access: { standsFor: 'user-through-application' } })
  })
  it('drops a refresh token that comes along', async () => {
    answers({ ...GOOD, refresh_token: 'canary-unasked' })
    expect(await exchange()).toMatchObject({ kind: 'issued', refreshToken: undefined })
  })
  it.each([
    // RFC 8693 §2.2.2: the subject token is not taken; a fresher one may be.
    ['invalid_request', 400, 'refused', 'grant-rejected'],
    ['invalid_target', 400, 'refused', 'audience-denied'],
    ['invalid_grant', 400, 'refused', 'grant-rejected'],
    ['access_denied', 403, 'refused', 'audience-denied'],
    ['invalid_client', 401, 'refused', 'credential-rejected'],
    ['something_new', 400, 'unavailable', undefined],
  ])('%s is read as what it means here', async (error, status, kind, reason) => {
    answers({ error }, status)
    expect(await exchange()).toMatchObject({ kind, ...(reason !== undefined && { reason }) })
  })
})

describe('on behalf of a caller', () => {
  const onBehalfOf = async (): Promise<TokenAnswer> => {
    answer = await room.provider.onBehalfOf(SUBJECT, askFor('api://orders', ['orders.read'], 'on_behalf_of'))
    return answer
  }
  beforeEach(async () => {
    await room.provider.close()
    room = providerRoom(hostile.issuer, { profile: profileOf('entra') })
  })
  it('sends one resource, in the scopes, and says what for', async () => {
    answers({ ...GOOD, issued_token_type: undefined })
    expect(await onBehalfOf()).toMatchObject({ kind: 'issued' })
    expect(Object.fromEntries([...hostile.last('token').parameters].filter(([name]) => !name.startsWith('client_')))).toEqual({
      grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
      assertion: 'canary-subject-token',
      requested_token_use: 'on_behalf_of',
      scope: 'api://orders/orders.read',
    })
  })
  it.each([
    ['another user', { tid: 't1', oid: 'o2' }, 'violation'],
    ['a user of another tenant', { tid: 't2', oid: 'o1' }, 'violation'],
    ['the same user, whose `sub` is another for each API', { tid: 't1', oid: 'o1', sub: 'pairwise-2' }, 'issued'],
    ['nobody by name', {}, 'issued'],
  ])('a token of %s is read as such', async (_because, claims, kind) => {
    const jwt = async (more: object) => hostile.idToken({ aud: 'api://orders', idtyp: 'user', ...more })
    const assertion = Secret.of('access-token', await jwt({ tid: 't1', oid: 'o1', sub: 'pairwise-1' }))
    answers({ ...GOOD, access_token: await jwt(claims) })
    answer = await room.provider.onBehalfOf(assertion, askFor('api://orders', ['orders.read'], 'on_behalf_of'))
    expect(answer).toMatchObject({ kind, ...(kind === 'violation' && { check: 'access-token-subject' }) })
  })
  it.each([
    ['an expired assertion', { error: 'invalid_grant', error_codes: [500133] }, 'grant-rejected'],
    ['a missing consent', { error: 'invalid_grant', suberror: 'consent_required', error_codes: [65001] }, 'consent-required'],
    ['a step-up', { error: 'interaction_required', claims: '{}' }, 'step-up-required'],
  ])('%s is refused as such', async (_because, body, reason) => {
    answers(body, 400)
    expect(await onBehalfOf()).toMatchObject({ kind: 'refused', reason })
  })
})

describe('a service account', () => {
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const key = (): ServiceAccountKey => ({
    email: 'gateway@project.example',
    keyId: 'key-1',
    privateKey: pair.privateKey,
    tokenEndpoint: new URL(`${hostile.issuer}/token`),
  })
  const ask = askFor(undefined, ['https://www.googleapis.com/auth/calendar'], 'service_account')

  it('signs a short assertion that names the user, and proves itself with nothing else', async () => {
    answers({ access_token: 'canary-made', token_type: 'Bearer', expires_in: 3599 })
    answer = await room.provider.serviceAccount(key(), 'ada@shop.example', ask)
    expect(answer).toMatchObject({ kind: 'issued' })
    const { parameters, headers } = hostile.last('token')
    expect([...parameters.keys()].toSorted()).toEqual(['assertion', 'grant_type'])
    expect(headers.authorization).toBeUndefined()
    const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'key-1', alg: 'RS256' }] })
    const { payload, protectedHeader } = await jwtVerify(parameters.get('assertion') ?? '', keys, {
      issuer: 'gateway@project.example',
      audience: `${hostile.issuer}/token`,
      subject: 'ada@shop.example',
      currentDate: new Date(room.clock.now()),
    })
    expect(protectedHeader).toMatchObject({ alg: 'RS256', kid: 'key-1' })
    expect(payload['scope']).toBe('https://www.googleapis.com/auth/calendar')
    expect(Number(payload.exp) - Number(payload.iat)).toBe(300)
  })
  // The endpoint is Google's whatever provider the users sign in at; 503 for somebody whom the domain does not know held up everybody else.
  it.each(
    (['google', 'keycloak', 'entra', 'generic'] as const).flatMap((profile) => [
      [profile, 'scopes that the domain did not allow', { error: 'unauthorized_client' }, 401, 'audience-denied'] as const,
      [profile, 'somebody whom the domain does not know', { error: 'invalid_grant' }, 400, 'grant-rejected'] as const,
      [
        profile,
        'a key taken back',
        { error: 'invalid_grant', error_description: 'Invalid JWT Signature.' },
        400,
        'credential-rejected',
      ] as const,
    ]),
  )('at a gateway of profile %s is refused for %s', async (profile, _whom, body, status, reason) => {
    await room.provider.close()
    room = providerRoom(hostile.issuer, { profile: profileOf(profile) })
    answers(body, status)
    answer = await room.provider.serviceAccount(key(), 'ada@shop.example', ask)
    expect(answer).toMatchObject({ kind: 'refused', reason })
    expect(JSON.stringify(visible(room, answer)).includes('rejected the client credential')).toBe(reason === 'credential-rejected')
  })
})
