import type { ProfileName } from '../../../src/domain/profile.ts'
import { type Json, jsonReply, type Reply } from '../emulators/core-exchange.ts'
import { grantOf, type Way } from './table.ts'

export type RefusedFlow = 'step-up' | 'consent' | 'audience denied'

const aadsts = (error: string, number: number, text: string, more: Json): Reply =>
  jsonReply({ error, error_description: `AADSTS${number}: ${text}`, error_codes: [number], ...more }, 400)
const refusal = (error: string, description: string, status = 400, more: Json = {}): Reply =>
  jsonReply({ error, error_description: description, ...more }, status)

/** The answers of token endpoints, as each writes them. */
const WORDS: Readonly<Record<ProfileName, Partial<Record<RefusedFlow, Reply>>>> = {
  generic: {
    'step-up': refusal('interaction_required', 'more is needed'),
    consent: refusal('consent_required', 'consent is needed'),
    'audience denied': refusal('invalid_target', 'resource indicator is not allowed'),
  },
  keycloak: {
    consent: refusal('invalid_scope', 'Client no longer has requested consent from user'),
    'audience denied': refusal('invalid_scope', 'Invalid scopes: orders.read'),
  },
  entra: {
    'step-up': aadsts('invalid_grant', 50_076, 'Due to a configuration change …', {
      suberror: 'basic_action',
      claims: '{"access_token":{}}',
    }),
    consent: aadsts('invalid_grant', 65_001, 'The user or administrator has not consented …', { suberror: 'consent_required' }),
    'audience denied': aadsts('invalid_resource', 500_011, 'The resource principal was not found …', {}),
  },
  okta: {
    'step-up': refusal('mfa_required', 'The initial authentication was successful, but additional authentication is required.', 403),
    consent: refusal('consent_required', 'Consent is required.'),
    'audience denied': refusal('no_matching_policy', 'Policy evaluation failed for this request.'),
  },
  auth0: {
    'step-up': refusal('mfa_required', 'Multifactor authentication required', 403),
    consent: refusal('consent_required', 'Consent required', 403),
    'audience denied': refusal('access_denied', 'Service not found', 403),
  },
  google: {
    'step-up': refusal('invalid_grant', 'reauth related error (invalid_rapt)', 400, { error_subtype: 'invalid_rapt' }),
    'audience denied': refusal('admin_policy_enforced', 'Access to your account data is restricted by policies.'),
  },
}

const KEYCLOAK_EXCHANGE = refusal('invalid_request', 'Requested audience not available: orders')
/** Whatever provider people sign in at, a service account is Google's. */
const DELEGATION = refusal('unauthorized_client', 'Client is unauthorized to retrieve access tokens using this method.', 401)

export const wordsFor = (profile: ProfileName, way: Way, flow: RefusedFlow): Reply => {
  const said =
    flow === 'audience denied' && grantOf(way) === 'service_account'
      ? DELEGATION
      : flow === 'audience denied' && profile === 'keycloak' && grantOf(way) === 'exchange'
        ? KEYCLOAK_EXCHANGE
        : WORDS[profile][flow]
  if (!said) throw new Error(`nobody knows how ${profile} says ${flow}`)
  return said
}
