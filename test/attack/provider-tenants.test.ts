import { generateKeyPairSync } from 'node:crypto'
import { decodeJwt } from 'jose'
import { Agent } from 'undici'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Secret } from '../../src/kernel/secret.ts'
import { profileOf } from '../../src/provider/profiles.ts'
import { startHostileProvider } from '../harness/hostile-provider.ts'
import type { HostileProvider } from '../harness/hostile-provider.ts'
import { askFor, callbackOf, NONCE, providerRoom, STATE, visible } from '../harness/provider-room.ts'
import type { ProviderRoom } from '../harness/provider-room.ts'

/** Entra's `organizations`: one discovery document, a form for an issuer, and whoever has an account anywhere at the door. */
const HOME = '5c1d0f6e-0000-4000-8000-000000000001'
const GUEST = '5c1d0f6e-0000-4000-8000-000000000002'
const STRANGER = '5c1d0f6e-0000-4000-8000-00000000000f'
const HOST = 'https://login.microsoftonline.us'
const FORM = `${HOST}/{tenantid}/v2.0`
const issuerOf = (tenant: string): string => `${HOST}/${tenant}/v2.0`

let hostile: HostileProvider
let room: ProviderRoom
let agent: Agent
const asked: string[] = []
const start = (overrides: Parameters<typeof providerRoom>[1] = {}): ProviderRoom => {
  agent = new Agent({ pipelining: 0 })
  const dispatcher = agent.compose((dispatch) => (options, handler) => {
    asked.push(`${String(options.origin)}${options.path}`)
    const path = options.path.endsWith('openid-configuration')
      ? '/.well-known/openid-configuration'
      : `/${options.path.split('/').pop() ?? ''}`
    return dispatch({ ...options, origin: hostile.issuer, path }, handler)
  })
  return providerRoom(`${HOST}/organizations/v2.0`, {
    profile: profileOf('entra'),
    tenants: [HOME, GUEST],
    homeTenant: HOME,
    dispatcher,
    insecureAllowHttp: false,
    ...overrides,
  })
}
beforeEach(async () => {
  asked.length = 0
  hostile = await startHostileProvider()
  hostile.metadata = {
    issuer: FORM,
    authorization_endpoint: `${HOST}/organizations/oauth2/v2.0/authorize`,
    token_endpoint: `${HOST}/organizations/oauth2/v2.0/token`,
    jwks_uri: `${HOST}/organizations/discovery/v2.0/jwks`,
    revocation_endpoint: `${HOST}/organizations/oauth2/v2.0/revoke`,
    code_challenge_methods_supported: undefined,
  }
  room = start()
})
afterEach(async () => {
  expect(visible(room)).not.toContain('canary')
  await room.provider.close()
  await agent.close()
  await hostile.close()
})

const redeem = (claims: Record<string, unknown>) => room.provider.redeem(callbackOf(hostile, room, claims), room.checks, undefined)

describe('of several tenants', () => {
  it.each([HOME, GUEST, GUEST.toUpperCase()])(
    'a user of %s, which is listed, signs in under the issuer of that very tenant',
    async (tid) => {
      const issuer = issuerOf(tid.toLowerCase())
      expect(await redeem({ iss: issuer, tid })).toMatchObject({ kind: 'signed-in', tenant: tid, issuer })
    },
  )
  it('a stranger’s organisation is refused by name, and its refresh token is given back', async () => {
    expect(await redeem({ iss: issuerOf(STRANGER), tid: STRANGER })).toEqual({ kind: 'tenant-refused', tenant: STRANGER })
    expect(hostile.hits('revocation')).toBe(1)
  })
  it.each<[string, string, Record<string, unknown>]>([
    ['of one tenant that names another', 'issuer', { iss: issuerOf(STRANGER), tid: HOME }],
    ['without a tenant', 'issuer', { iss: issuerOf(HOME) }],
    ['whose tenant is no id', 'issuer', { iss: issuerOf('contoso.com'), tid: 'contoso.com' }],
    ['whose issuer is the form itself', 'issuer', { iss: FORM, tid: HOME }],
    ['whose tenant is the place in the form', 'issuer', { iss: FORM, tid: '{tenantid}' }],
    ['of the same tenant in another cloud', 'issuer', { iss: issuerOf(HOME).replace('.us/', '.com/'), tid: HOME }],
    ['whose tenant is a list', 'issuer', { iss: issuerOf(HOME), tid: [HOME] }],
    ['with a wrong nonce, which the library is not asked about here', 'nonce', { iss: issuerOf(HOME), tid: HOME, nonce: 'other' }],
    ['for another client, likewise', 'audience', { iss: issuerOf(HOME), tid: HOME, aud: 'other' }],
  ])('a token %s signs nobody in', async (_name, check, claims) => {
    expect(await redeem(claims)).toEqual({ kind: 'invalid', check })
    expect(hostile.hits('revocation')).toBe(1)
  })
  it('an answer without an ID token signs nobody in', async () => {
    hostile.script.token = async () => ({ body: await hostile.tokens() })
    expect(await redeem({})).toEqual({ kind: 'invalid', check: 'id-token' })
  })
  it('a sign-in that is not recent enough is not taken, although the library does not look', async () => {
    const claims = { iss: issuerOf(HOME), tid: HOME, auth_time: Math.floor(Date.now() / 1000) - 3600 }
    const answer = await room.provider.redeem(callbackOf(hostile, room, claims), { ...room.checks, maxAgeSeconds: 60 }, undefined)
    expect(answer).toEqual({ kind: 'invalid', check: 'auth-time' })
  })
  it('without a list nobody comes in by an empty one', async () => {
    await room.provider.close()
    room = start({ tenants: [] })
    expect(await redeem({ iss: issuerOf(HOME), tid: HOME })).toEqual({ kind: 'tenant-refused', tenant: HOME })
  })
  it('`iss` of the callback is another tenant’s form or host: refused before the code is spent', async () => {
    const query = callbackOf(hostile, room)
    query.set('iss', 'https://evil.example/5c1d0f6e-0000-4000-8000-000000000001/v2.0')
    expect(await room.provider.redeem(query, room.checks, undefined)).toEqual({ kind: 'invalid', check: 'iss' })
    expect(hostile.hits('token')).toBe(0)
  })
})

describe('a key that says which issuer it is for', () => {
  it.each([
    ['the form', FORM, HOME, 'signed-in'],
    ['the token’s own', issuerOf(HOME), HOME, 'signed-in'],
    ['another tenant', issuerOf(GUEST), HOME, 'invalid'],
    ['another cloud', FORM.replace('.us/', '.com/'), HOME, 'invalid'],
  ])('%s: %s', async (_name, issuer, tid, kind) => {
    hostile.keys = [{ ...hostile.signer.publicJwk, issuer } as (typeof hostile.keys)[number]]
    expect(await redeem({ iss: issuerOf(tid), tid })).toMatchObject({ kind, ...(kind === 'invalid' && { check: 'signature' }) })
  })
})

describe('a refresh stays in the tenant of the sign-in', () => {
  const OLD = Secret.of('refresh-token', 'canary-refresh-old')
  const refresh = (tenant: string) =>
    room.provider.refresh(OLD, askFor('api://orders', ['read']), { issuer: issuerOf(tenant), subject: 'ada' })
  const answer = (claims: Record<string, unknown>): void => {
    hostile.script.token = async () => ({ body: await hostile.tokens({ id_token: await hostile.idToken(claims) }) })
  }
  it('is asked for there, and not at the door of all', async () => {
    answer({ iss: issuerOf(GUEST), tid: GUEST })
    expect(await refresh(GUEST)).toMatchObject({ kind: 'issued', claims: { tid: GUEST } })
    expect(asked.filter((url) => url.endsWith('/token'))).toEqual([`${HOST}/${GUEST}/oauth2/v2.0/token`])
  })
  it.each([
    ['comes back from another listed tenant', HOME, 'issuer-changed'],
    ['comes back from a stranger', STRANGER, 'issuer-changed'],
  ])('one that %s ends the session', async (_name, tid, check) => {
    answer({ iss: issuerOf(tid), tid })
    expect(await refresh(GUEST)).toMatchObject({ kind: 'violation', concerns: 'session', check })
  })
  it('one of a tenant that was taken from the list ends the session', async () => {
    await room.provider.close()
    room = start({ tenants: [HOME] })
    answer({ iss: issuerOf(GUEST), tid: GUEST })
    expect(await refresh(GUEST)).toMatchObject({ kind: 'violation', concerns: 'session', check: 'tenant-refused' })
  })
})

describe('the client’s own', () => {
  it('tokens are asked for in its home tenant', async () => {
    expect((await room.provider.application(askFor('api://orders', [], 'client_credentials'))).kind).toBe('issued')
    expect(asked.filter((url) => url.endsWith('/token'))).toEqual([`${HOST}/${HOME}/oauth2/v2.0/token`])
  })
  it('assertion is addressed to one tenant, also where the code is redeemed at the door of all', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    hostile.clientKey = undefined
    await room.provider.close()
    room = start({ clientAuth: { current: () => ({ kind: 'jwk', privateKey, algorithm: 'PS256', kid: 'k1', file: 'x' }) } })
    await redeem({ iss: issuerOf(HOME), tid: HOME })
    expect(asked.filter((url) => url.endsWith('/token'))).toEqual([`${HOST}/organizations/oauth2/v2.0/token`])
    expect(decodeJwt(hostile.last('token').parameters.get('client_assertion') ?? '').aud).toBe(`${HOST}/${HOME}/oauth2/v2.0/token`)
  })
})

it('sessions are found by the issuers of the listed tenants, each by its own', async () => {
  expect(await room.provider.issuers()).toEqual([issuerOf(HOME), issuerOf(GUEST)])
  expect(await room.provider.issuer()).toBeUndefined()
})

it('a session without `sid` is named by the session_state of its callback', async () => {
  const query = new URLSearchParams({
    code: hostile.issueCode({ challenge: room.challenge, nonce: NONCE, claims: { iss: issuerOf(HOME), tid: HOME, sid: undefined } }),
    state: STATE,
    session_state: 'session-state-1',
  })
  expect(await room.provider.redeem(query, room.checks, undefined)).toMatchObject({
    kind: 'signed-in',
    providerSessionId: 'session-state-1',
  })
})
