import { describe, expect, it } from 'vitest'
import { PROFILE_NAMES } from '../../../src/domain/profiles/profiles.ts'
import type { ProfileName } from '../../../src/domain/profile.ts'
import { instant } from '../../../src/kernel/time.ts'
import { profileOf } from '../../../src/provider/profiles.ts'
import { denialOf } from '../../../src/provider/token-outcome.ts'
import type { Spent } from '../../../src/provider/token-outcome.ts'

const read = (profile: ProfileName, body: unknown, spent: Spent = 'refresh-token', status = 400) => {
  const denial = denialOf(
    { kind: 'answered', status, contentType: 'application/json; charset=utf-8', retryAfter: undefined, body: JSON.stringify(body) },
    { profile: profileOf(profile), spent, now: instant(0) },
  )
  return denial.kind === 'refused' ? denial.reason : `${denial.kind} ${denial.sent}`
}
const ADFS = (number: number, text = 'canary'): Record<string, unknown> => ({
  error_description: `AADSTS${number}: ${text}`,
  error_codes: [number],
})

describe('an error answer is read as its provider means it', () => {
  it.each<[ProfileName, Record<string, unknown>, string]>([
    // Entra: `invalid_grant` is six different things.
    ['entra', { error: 'invalid_grant', ...ADFS(70008) }, 'grant-rejected'],
    ['entra', { error: 'invalid_grant', ...ADFS(700082) }, 'grant-rejected'],
    ['entra', { error: 'invalid_grant', ...ADFS(70043), suberror: 'token_expired' }, 'grant-rejected'],
    ['entra', { error: 'invalid_grant', ...ADFS(50055), suberror: 'user_password_expired' }, 'grant-rejected'],
    ['entra', { error: 'invalid_grant', ...ADFS(50076), suberror: 'basic_action' }, 'step-up-required'],
    ['entra', { error: 'invalid_grant', ...ADFS(53003), suberror: 'message_only' }, 'audience-denied'],
    ['entra', { error: 'invalid_grant', ...ADFS(53003), suberror: 'message_only', claims: '{"access_token":{}}' }, 'step-up-required'],
    ['entra', { error: 'invalid_grant', ...ADFS(530034), suberror: 'protection_policy_required' }, 'step-up-required'],
    ['entra', { error: 'invalid_grant', ...ADFS(65001) }, 'consent-required'],
    ['entra', { error: 'invalid_grant', error_description: 'AADSTS65001: without error_codes' }, 'consent-required'],
    ['entra', { error: 'invalid_grant', ...ADFS(50196) }, 'unavailable answered'],
    ['entra', { error: 'invalid_grant', ...ADFS(501051) }, 'audience-denied'],
    ['entra', { error: 'invalid_request', ...ADFS(700213) }, 'credential-rejected'],
    ['entra', { error: 'interaction_required', ...ADFS(50079), suberror: 'basic_action' }, 'step-up-required'],
    ['entra', { error: 'invalid_request', ...ADFS(90009) }, 'unavailable answered'],
    ['entra', { error: 'invalid_grant', suberror: 7, claims: 7, error_codes: 'x' }, 'grant-rejected'],
    ['keycloak', { error: 'invalid_grant', error_description: 'Maximum allowed refresh token reuse exceeded' }, 'grant-rejected'],
    ['keycloak', { error: 'invalid_grant', suberror: 'basic_action', claims: '{}' }, 'step-up-required'],
    ['generic', { error: 'invalid_grant', claims: '{"access_token":{}}' }, 'step-up-required'],
    ['generic', { error: 'invalid_grant', suberror: 'additional_action' }, 'step-up-required'],
    ['generic', { error: 'invalid_grant', suberror: 'consent_required' }, 'consent-required'],
    ['generic', { error: 'invalid_grant', suberror: 'bad_token' }, 'grant-rejected'],
    ['keycloak', { error: 'unauthorized_client' }, 'credential-rejected'],
    ['keycloak', { error: 'invalid_scope', error_description: 'Client no longer has requested consent from user' }, 'consent-required'],
    ['keycloak', { error: 'invalid_scope', error_description: 'Invalid scopes: x' }, 'audience-denied'],
    ['keycloak', { error: 'invalid_client', error_description: 'Audience not found' }, 'audience-denied'],
    ['keycloak', { error: 'invalid_client', error_description: 'Invalid client or Invalid client credentials' }, 'credential-rejected'],
    ['okta', { error: 'no_matching_policy' }, 'audience-denied'],
    ['okta', { error: 'mfa_required' }, 'step-up-required'],
    ['auth0', { error: 'mfa_required', mfa_token: 'canary' }, 'step-up-required'],
    ['google', { error: 'invalid_grant', error_subtype: 'invalid_rapt' }, 'step-up-required'],
    ['google', { error: 'invalid_grant', error_description: 'Token has been expired or revoked.' }, 'grant-rejected'],
    ['google', { error: 'admin_policy_enforced' }, 'audience-denied'],
    ['google', { error: 'unauthorized_client' }, 'audience-denied'],
    ['generic', { error: 'invalid_grant', error_subtype: 'invalid_rapt' }, 'grant-rejected'],
    ['generic', { error: 'mfa_required' }, 'unavailable answered'],
  ])('%s %j: %s', (profile, body, expected) => {
    expect(read(profile, body)).toBe(expected)
  })

  it('`invalid_request` of an exchange is about the token that was turned in, unless the provider says it is about the audience (RFC 8693 §2.2.2)', () => {
    const told = (error_description: string, spent: Spent): string =>
      read('keycloak', { error: 'invalid_request', error_description }, spent)
    expect(told('Invalid token', 'subject-token')).toBe('grant-rejected')
    expect(told('Requested audience not available: orders', 'subject-token')).toBe('audience-denied')
    expect(told('Invalid token', 'refresh-token')).toBe('unavailable answered')
  })

  it('`invalid_grant` without anything spent signs nobody out, whatever else stands in it', () => {
    for (const profile of PROFILE_NAMES)
      for (const extra of [{}, { suberror: 'bad_token' }, { error_codes: [50173] }, { error_description: 'x' }])
        expect(read(profile, { error: 'invalid_grant', ...extra }, 'nothing'), profile).toBe('unavailable answered')
  })
})

/** Only these words, in JSON, with a status of refusal, may end a session; a word that a provider invents tomorrow may not. */
describe.each(PROFILE_NAMES)('at %s', (profile) => {
  it.each([
    'server_error',
    'temporarily_unavailable',
    'slow_down',
    'use_dpop_nonce',
    'invalid_request',
    'INVALID_GRANT',
    'invalid_grant ',
    'ok',
    '',
  ])('%j never ends a session', (error) => expect(read(profile, { error, error_description: 'invalid_grant' })).not.toBe('grant-rejected'))
  it('nor does `invalid_grant` behind 500, 502, 429 or 200, in a list, in a string, or beside a body that is no JSON', () => {
    for (const status of [200, 302, 429, 500, 502, 503, 504])
      expect(read(profile, { error: 'invalid_grant' }, 'refresh-token', status), String(status)).toMatch(/^unavailable/)
    for (const body of [
      [{ error: 'invalid_grant' }],
      'invalid_grant',
      { error: ['invalid_grant'] },
      { error: { code: 'invalid_grant' } },
      null,
    ])
      expect(read(profile, body), JSON.stringify(body)).toMatch(/^unavailable/)
  })
})
