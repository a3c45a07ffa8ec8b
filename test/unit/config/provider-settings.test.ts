import { expect, it } from 'vitest'
import { PROFILES } from '../../../src/domain/profiles/profiles.ts'
import { profileOf } from '../../../src/provider/profiles.ts'
import { good, loaded } from './a-config.ts'

const TENANT = '5c1d0f6e-0000-4000-8000-000000000001'
const provider = (lines: string) => loaded(good({ issuer: lines })).settings.providers.default

it.each<[string, string, string]>([
  ['a tenant', '  profile: entra\n  tenant: Contoso.com', 'https://login.microsoftonline.com/contoso.com/v2.0'],
  ['a national cloud', `  profile: entra\n  tenant: ${TENANT}\n  cloud: us`, `https://login.microsoftonline.us/${TENANT}/v2.0`],
  ['China', `  profile: entra\n  tenant: ${TENANT}\n  cloud: china`, `https://login.partner.microsoftonline.cn/${TENANT}/v2.0`],
  ['several', `  profile: entra\n  tenant: common\n  tenants: [${TENANT}]`, 'https://login.microsoftonline.com/common/v2.0'],
  [
    'a form of an issuer',
    `  profile: entra\n  issuer: https://id.example.com/{tenantid}/v2.0\n  tenants: [${TENANT}]`,
    'https://id.example.com/organizations/v2.0',
  ],
  [
    'a form and a tenant',
    '  profile: entra\n  issuer: https://id.example.com/{tenantid}/v2.0\n  tenant: a.example',
    'https://id.example.com/a.example/v2.0',
  ],
  ['Google', '  profile: google', 'https://accounts.google.com'],
  ['Auth0, with its slash', '  profile: auth0\n  issuer: https://shop.eu.auth0.com/', 'https://shop.eu.auth0.com/'],
])('the issuer of %s is asked where it is', (_name, lines, issuer) => {
  expect(provider(lines).issuer).toBe(issuer)
})

it('tenants are kept in lower case, as claims are compared', () => {
  expect(
    provider(`  profile: entra\n  tenant: organizations\n  tenants: [${TENANT.toUpperCase()}]\n  home_tenant: ${TENANT}`),
  ).toMatchObject({
    tenants: [TENANT],
    homeTenant: TENANT,
  })
  expect(provider('  profile: google\n  tenants: [Example.com]').tenants).toEqual(['example.com'])
})

it('a client assertion is the profile’s but for what the settings say', () => {
  const settings = provider('  profile: entra\n  tenant: a.example\n  assertion: { key: x5t, rsa: RS256 }')
  expect(profileOf('entra', settings).assertion).toEqual({ ...PROFILES.entra.assertion, key: 'x5t', rsa: 'RS256' })
  expect(profileOf('okta', provider('  profile: okta\n  issuer: https://a.example')).assertion).toEqual(PROFILES.okta.assertion)
})

it('a grace is what the settings say, and front-channel logout what the profile says', () => {
  expect(provider('  profile: auth0\n  issuer: https://a.example/\n  rotation: grace\n  rotation_grace: 10s').rotationGraceMs).toBe(10_000)
  expect(provider('  profile: entra\n  tenant: a.example').logout.frontchannel).toBe(true)
  expect(provider('  profile: okta\n  issuer: https://a.example').logout.frontchannel).toBe(false)
})

// With `offline_access` a real Keycloak began an offline session: neither its sign-out page nor its administrator ended anything here.
it('what is asked for at a sign-in is the profile’s, unless set', () => {
  expect(provider('  profile: keycloak\n  issuer: https://a.example').scopes).toEqual(['openid', 'profile'])
  expect(provider('  profile: generic\n  issuer: https://a.example').scopes).toEqual(['openid', 'profile', 'offline_access'])
  expect(provider('  profile: keycloak\n  issuer: https://a.example\n  scopes: [offline_access]').scopes).toEqual([
    'openid',
    'offline_access',
  ])
})
