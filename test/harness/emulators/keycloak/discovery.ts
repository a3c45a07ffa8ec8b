import type { Json } from '../core-exchange.ts'
import type { Realm } from './realm.ts'

const ASYMMETRIC = ['PS384', 'RS384', 'EdDSA', 'ES384', 'ES256', 'RS256', 'ES512', 'PS256', 'PS512', 'RS512']
const ALL = [...ASYMMETRIC, 'HS256', 'HS512', 'HS384']
const AUTHENTICATION = ['private_key_jwt', 'client_secret_basic', 'client_secret_post', 'tls_client_auth', 'client_secret_jwt']

/** Pages people see are under the public name; what the client asks itself is under the name it came by (`hostname-backchannel-dynamic`). */
export const discoveryOf = ({ issuer, settings, base }: Realm): Json => {
  const front = `${issuer}/protocol/openid-connect`
  const back = `${base}/realms/${settings.name}/protocol/openid-connect`
  const direct = {
    token_endpoint: `${back}/token`,
    introspection_endpoint: `${back}/token/introspect`,
    revocation_endpoint: `${back}/revoke`,
    device_authorization_endpoint: `${back}/auth/device`,
    registration_endpoint: `${base}/realms/${settings.name}/clients-registrations/openid-connect`,
    userinfo_endpoint: `${back}/userinfo`,
    pushed_authorization_request_endpoint: `${back}/ext/par/request`,
    backchannel_authentication_endpoint: `${back}/ext/ciba/auth`,
  }
  return {
    issuer,
    authorization_endpoint: `${front}/auth`,
    jwks_uri: `${back}/certs`,
    check_session_iframe: `${front}/login-status-iframe.html`,
    end_session_endpoint: `${front}/logout`,
    ...direct,
    mtls_endpoint_aliases: direct,
    frontchannel_logout_session_supported: true,
    frontchannel_logout_supported: true,
    backchannel_logout_supported: true,
    backchannel_logout_session_supported: true,
    grant_types_supported: [
      'authorization_code',
      'client_credentials',
      'implicit',
      'password',
      'refresh_token',
      'urn:ietf:params:oauth:grant-type:device_code',
      'urn:ietf:params:oauth:grant-type:token-exchange',
      'urn:ietf:params:oauth:grant-type:uma-ticket',
      'urn:openid:params:grant-type:ciba',
    ],
    acr_values_supported: Object.keys(settings.acrLoaMap).length > 0 ? Object.keys(settings.acrLoaMap) : ['0', '1'],
    response_types_supported: ['code', 'none', 'id_token', 'token', 'id_token token', 'code id_token', 'code token', 'code id_token token'],
    subject_types_supported: ['public', 'pairwise'],
    prompt_values_supported: ['none', 'login', 'consent'],
    id_token_signing_alg_values_supported: ALL,
    userinfo_signing_alg_values_supported: [...ALL, 'none'],
    request_object_signing_alg_values_supported: [...ALL, 'none'],
    response_modes_supported: ['query', 'fragment', 'form_post', 'query.jwt', 'fragment.jwt', 'form_post.jwt', 'jwt'],
    token_endpoint_auth_methods_supported: AUTHENTICATION,
    token_endpoint_auth_signing_alg_values_supported: ALL,
    introspection_endpoint_auth_methods_supported: AUTHENTICATION,
    introspection_endpoint_auth_signing_alg_values_supported: ALL,
    revocation_endpoint_auth_methods_supported: AUTHENTICATION,
    revocation_endpoint_auth_signing_alg_values_supported: ALL,
    claims_supported: [
      'iss',
      'sub',
      'aud',
      'exp',
      'iat',
      'auth_time',
      'name',
      'given_name',
      'family_name',
      'preferred_username',
      'email',
      'acr',
    ],
    claim_types_supported: ['normal'],
    claims_parameter_supported: true,
    scopes_supported: ['openid', 'profile', 'email', 'offline_access', 'address', 'phone', 'roles', 'acr', 'basic', 'web-origins'],
    request_parameter_supported: true,
    request_uri_parameter_supported: true,
    require_request_uri_registration: true,
    require_pushed_authorization_requests: false,
    code_challenge_methods_supported: ['plain', 'S256'],
    tls_client_certificate_bound_access_tokens: true,
    dpop_signing_alg_values_supported: ASYMMETRIC,
    backchannel_token_delivery_modes_supported: ['poll', 'ping'],
    authorization_response_iss_parameter_supported: true,
  }
}
