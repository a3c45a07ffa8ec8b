import type { ProfileName } from '../../../src/domain/profile.ts'
import { expect, it } from 'vitest'
import { Secret } from '../../../src/kernel/secret.ts'
import { checkAccessToken } from '../../../src/provider/access-token.ts'
import { profileOf } from '../../../src/provider/profiles.ts'
import { askFor } from '../../harness/provider-room.ts'

const GUID = '5c1d0f6e-0000-4000-8000-000000000001'
const OTHER = '5c1d0f6e-0000-4000-8000-000000000002'
const jwt = (payload: object): Secret<'access-token'> => {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  return Secret.of('access-token', `${part({ alg: 'RS256' })}.${part(payload)}.c2ln`)
}
const check = (profile: ProfileName, principal: 'user' | 'app', audience: string | undefined, payload: object) =>
  checkAccessToken(jwt(payload), askFor(audience), { principal, clientId: 'gateway', profile: profileOf(profile) })

it.each([
  ['generic', 'orders', { aud: 'orders' }, undefined],
  ['generic', 'orders', { aud: ['account', 'orders'] }, undefined],
  ['generic', 'orders', { aud: 'account' }, 'access-token-audience'],
  ['generic', 'orders', { aud: [] }, 'access-token-audience'],
  ['generic', 'orders', { aud: { orders: true } }, 'access-token-audience'],
  ['generic', 'orders', {}, undefined],
  ['generic', undefined, { aud: 'anything' }, undefined],
  ['keycloak', 'orders', { aud: 'account' }, 'access-token-audience'],
  ['entra', 'api://orders', { aud: GUID }, undefined],
  ['entra', GUID, { aud: `api://${GUID}` }, undefined],
  ['entra', 'https://orders.example/', { aud: 'https://orders.example' }, undefined],
  ['entra', 'api://orders', { aud: 'https://graph.microsoft.com' }, 'access-token-audience'],
  ['entra', GUID, { aud: OTHER }, 'access-token-audience'],
] as const)('%s asked for %s and got %j: %s', (profile, audience, payload, expected) => {
  expect(check(profile, 'user', audience, payload)).toBe(expected)
})

it.each([
  ['generic', 'user', { sub: 'ada' }, undefined],
  ['generic', 'user', { sub: 'gateway' }, 'access-token-principal'],
  ['entra', 'user', { idtyp: 'app' }, 'access-token-principal'],
  ['generic', 'app', { sub: 'gateway' }, undefined],
  ['keycloak', 'app', { sub: 'f3b0-service-account' }, undefined],
  ['entra', 'app', { idtyp: 'user' }, 'access-token-principal'],
  ['entra', 'app', { scp: 'orders.read' }, 'access-token-principal'],
  ['okta', 'app', { uid: '00u1', sub: 'ada@shop.example' }, 'access-token-principal'],
  ['keycloak', 'app', { sid: 'a-session' }, 'access-token-principal'],
  ['keycloak', 'app', { sid: 'a-session', azp: 'gateway', client_id: 'gateway', clientHost: '10.0.0.1' }, undefined],
  ['entra', 'app', { roles: ['x'] }, undefined],
] as const)('%s, asked as %s: %j gives %s', (profile, principal, payload, expected) => {
  expect(check(profile, principal, undefined, payload)).toBe(expected)
})

it('an opaque token says nothing', () => {
  const want = { principal: 'user', clientId: 'gateway', profile: profileOf('generic') } as const
  expect(checkAccessToken(Secret.of('access-token', 'opaque'), askFor('orders'), want)).toBeUndefined()
})
