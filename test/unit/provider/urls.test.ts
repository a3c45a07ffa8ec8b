import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Secret } from '../../../src/kernel/secret.ts'
import { profileOf } from '../../../src/provider/profiles.ts'
import type { ProviderDeps } from '../../../src/provider/provider.ts'
import { startHostileProvider } from '../../harness/hostile-provider.ts'
import type { HostileProvider } from '../../harness/hostile-provider.ts'
import { askFor, NONCE, providerRoom, REDIRECT_URI, STATE } from '../../harness/provider-room.ts'
import type { ProviderRoom } from '../../harness/provider-room.ts'

let hostile: HostileProvider
let room: ProviderRoom
beforeEach(async () => {
  hostile = await startHostileProvider()
  room = providerRoom(hostile.issuer)
})
afterEach(async () => {
  await room.provider.close()
  await hostile.close()
})
const restart = async (overrides: Partial<ProviderDeps>): Promise<void> => {
  await room.provider.close()
  room = providerRoom(hostile.issuer, overrides)
}
const authorize = async (
  extras: Record<string, string> = {},
  scopes = ['openid', 'profile'],
  ask = askFor(undefined),
): Promise<URLSearchParams> => {
  const { state, nonce, verifier } = room.checks
  const answer = await room.provider.authorizationUrl({ state, nonce, verifier, scopes, ask, extras })
  if (answer.kind !== 'url') throw new Error(answer.kind)
  expect(answer.url.startsWith(`${hostile.issuer}/authorize?`)).toBe(true)
  return new URL(answer.url).searchParams
}

describe('the authorization request', () => {
  it('is a code request with PKCE S256, state and nonce, whatever the metadata says of PKCE', async () => {
    hostile.metadata = { code_challenge_methods_supported: undefined }
    expect(Object.fromEntries(await authorize())).toEqual({
      client_id: 'gateway',
      response_type: 'code',
      redirect_uri: REDIRECT_URI,
      scope: 'openid profile',
      state: STATE,
      nonce: NONCE,
      code_challenge: room.challenge,
      code_challenge_method: 'S256',
    })
  })
  it('extras add parameters but replace none, and none comes twice', async () => {
    const bad = ['scope', 'redirect_uri', 'state', 'nonce', 'client_id', 'response_type', 'code_challenge', 'code_challenge_method']
    const extras = Object.fromEntries(
      [...bad, 'request', 'request_uri', 'response_mode', 'resource', 'audience'].map((name) => [name, 'evil']),
    )
    const parameters = await authorize({ ...extras, prompt: 'login', login_hint: 'ada' })
    expect([...parameters.values()]).not.toContain('evil')
    expect(new Set(parameters.keys()).size).toBe([...parameters.keys()].length)
    expect([parameters.get('prompt'), parameters.get('login_hint')]).toEqual(['login', 'ada'])
  })
  it('names every user route’s audience as a resource, so that a refresh may ask for each', async () => {
    await restart({ userAsks: [askFor('https://a.example'), askFor('https://b.example'), askFor('https://a.example', ['x'])] })
    expect((await authorize({}, ['openid'], askFor('https://b.example'))).getAll('resource')).toEqual([
      'https://b.example',
      'https://a.example',
    ])
  })
  it('Entra: scopes carry their audience, no resource', async () => {
    await restart({
      profile: profileOf('entra'),
      userAsks: [askFor('api://orders', ['orders.read']), askFor('api://stock', ['stock.read'])],
    })
    const parameters = await authorize({}, ['openid', 'profile', 'offline_access', 'orders.read', 'stock.read'])
    expect(parameters.get('scope')).toBe('openid profile offline_access api://orders/orders.read api://stock/stock.read')
    expect(parameters.has('resource')).toBe(false)
  })
  it('is not made while the provider is away', async () => {
    hostile.script.discovery = () => ({ status: 500 })
    const { state, nonce, verifier } = room.checks
    expect(await room.provider.authorizationUrl({ state, nonce, verifier, scopes: [], ask: undefined, extras: {} })).toMatchObject({
      kind: 'unavailable',
    })
  })
})

describe('the end-session URL', () => {
  const ID_TOKEN = Secret.of('id-token', 'id.token.hint')
  it('names client, return and state, and no ID token where the profile needs none', async () => {
    const url = new URL((await room.provider.endSessionUrl({ idToken: ID_TOKEN, state: 's1' }))?.reveal() ?? '')
    expect(url.pathname).toBe('/logout')
    expect(Object.fromEntries(url.searchParams)).toEqual({
      client_id: 'gateway',
      post_logout_redirect_uri: 'https://shop.example.com/bff/logout/callback',
      state: 's1',
    })
  })
  it('brings the ID token to Keycloak', async () => {
    await restart({ profile: profileOf('keycloak') })
    const url = new URL((await room.provider.endSessionUrl({ idToken: ID_TOKEN, state: 's1' }))?.reveal() ?? '')
    expect(url.searchParams.get('id_token_hint')).toBe('id.token.hint')
  })
  it('there is none without an end_session_endpoint, or while the provider is away', async () => {
    hostile.metadata = { end_session_endpoint: undefined }
    expect(await room.provider.endSessionUrl({ idToken: undefined, state: 's' })).toBeUndefined()
    await restart({})
    hostile.script.discovery = () => ({ status: 500 })
    expect(await room.provider.endSessionUrl({ idToken: undefined, state: 's' })).toBeUndefined()
  })
})

describe('revocation', () => {
  const revoke = () => room.provider.revoke(Secret.of('refresh-token', 'rt'))
  it('tells the provider which token, and of which kind', async () => {
    expect(await revoke()).toBe('revoked')
    expect(Object.fromEntries(hostile.last('revocation').parameters)).toMatchObject({ token: 'rt', token_type_hint: 'refresh_token' })
  })
  it('is unsupported without an endpoint, and unavailable when it fails', async () => {
    hostile.script.revocation = () => ({ status: 503 })
    expect(await revoke()).toBe('unavailable')
    await restart({})
    hostile.metadata = { revocation_endpoint: undefined }
    expect(await revoke()).toBe('unsupported')
  })
})
