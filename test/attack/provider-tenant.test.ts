import { afterEach, beforeEach, expect, it } from 'vitest'
import { Agent } from 'undici'
import { profileOf } from '../../src/provider/profiles.ts'
import { startHostileProvider } from '../harness/hostile-provider.ts'
import type { HostileProvider } from '../harness/hostile-provider.ts'
import { callbackOf, providerRoom, STATE } from '../harness/provider-room.ts'
import type { ProviderRoom } from '../harness/provider-room.ts'

const TENANT = '5c1d0f6e-0000-4000-8000-000000000001'
const ISSUER = `https://login.microsoftonline.com/${TENANT}/v2.0`

let hostile: HostileProvider
let room: ProviderRoom
beforeEach(async () => {
  hostile = await startHostileProvider()
  // Entra's names, the provider on loopback: only the way there is changed.
  const agent = new Agent({ pipelining: 0 })
  const dispatcher = agent.compose((dispatch) => (options, handler) => {
    const path = options.path.endsWith('openid-configuration')
      ? '/.well-known/openid-configuration'
      : `/${options.path.split('/').pop() ?? ''}`
    return dispatch({ ...options, origin: hostile.issuer, path }, handler)
  })
  hostile.metadata = {
    issuer: ISSUER,
    ...Object.fromEntries(
      Object.entries({ authorization_endpoint: 'authorize', token_endpoint: 'token', jwks_uri: 'jwks', revocation_endpoint: 'revoke' }).map(
        ([name, path]) => [name, `https://login.microsoftonline.com/${TENANT}/${path}`],
      ),
    ),
    code_challenge_methods_supported: undefined,
  }
  room = providerRoom(ISSUER, { profile: profileOf('entra'), dispatcher, insecureAllowHttp: false })
})
afterEach(async () => {
  await room.provider.close()
  await hostile.close()
})

it('a user of the tenant signs in, and the tenant is told', async () => {
  const answer = await room.provider.redeem(callbackOf(hostile, room, { iss: ISSUER, tid: TENANT }), room.checks, undefined)
  expect(answer).toMatchObject({ kind: 'signed-in', tenant: TENANT, issuer: ISSUER })
  expect(hostile.last('token').parameters.get('scope')).toBe('openid profile offline_access')
})

it.each([
  ['another tenant', '5c1d0f6e-0000-4000-8000-000000000002'],
  ['no tenant', undefined],
])('a token that names %s signs nobody in', async (_name, tid) => {
  const answer = await room.provider.redeem(callbackOf(hostile, room, { iss: ISSUER, tid }), room.checks, undefined)
  expect(answer).toEqual({ kind: 'invalid', check: 'tenant' })
  expect(hostile.hits('revocation')).toBe(1)
})

it('the issuer of another tenant is another issuer', async () => {
  const other = ISSUER.replace('0001/', '0002/')
  const answer = await room.provider.redeem(callbackOf(hostile, room, { iss: other, tid: TENANT }), room.checks, undefined)
  expect(answer).toEqual({ kind: 'invalid', check: 'issuer' })
})

it('a user who is not assigned is refused, not taken for one who cancelled', async () => {
  const query = new URLSearchParams({ error: 'access_denied', error_description: 'AADSTS50105: not assigned', state: STATE })
  expect(await room.provider.redeem(query, room.checks, undefined)).toEqual({
    kind: 'refused',
    cancelled: false,
    providerCode: 'access_denied',
  })
})
