import { htmlReply, type Exchange, escapeHtml, type Json, jsonReply, type Reply } from '../core-exchange.ts'
import { SSO_COOKIE } from './authorize.ts'
import type { EntraState, TenantDoor } from './state.ts'

const TEMPLATE = '{tenantid}'
const tenantIn = (door: TenantDoor): string => (door.kind === 'tenant' ? door.id : TEMPLATE)

/** providers.md §1.1. No PKCE is announced, no grant types, no revocation, no PAR, no `iss` in callbacks, no back-channel logout. */
export const discovery = ({ authority, origin }: EntraState, door: TenantDoor, name: string): Reply => {
  const here = `${authority}/${door.kind === 'tenant' ? door.id : name}`
  const tenant = tenantIn(door)
  return jsonReply(
    {
      token_endpoint: `${here}/oauth2/v2.0/token`,
      token_endpoint_auth_methods_supported: [
        'client_secret_post',
        'private_key_jwt',
        'client_secret_basic',
        'self_signed_tls_client_auth',
      ],
      jwks_uri: `${here}/discovery/v2.0/keys`,
      response_modes_supported: ['query', 'fragment', 'form_post'],
      subject_types_supported: ['pairwise'],
      id_token_signing_alg_values_supported: ['RS256'],
      response_types_supported: ['code', 'id_token', 'code id_token', 'id_token token'],
      scopes_supported: ['openid', 'profile', 'email', 'offline_access'],
      issuer: `${authority}/${tenant}/v2.0`,
      request_uri_parameter_supported: false,
      userinfo_endpoint: `${origin}/graph/oidc/userinfo`,
      authorization_endpoint: `${here}/oauth2/v2.0/authorize`,
      device_authorization_endpoint: `${here}/oauth2/v2.0/devicecode`,
      http_logout_supported: true,
      frontchannel_logout_supported: true,
      end_session_endpoint: `${here}/oauth2/v2.0/logout`,
      claims_supported: [
        'sub',
        'iss',
        'cloud_instance_name',
        'cloud_instance_host_name',
        'cloud_graph_host_name',
        'msgraph_host',
        'aud',
        'exp',
        'iat',
        'auth_time',
        'acr',
        'nonce',
        'preferred_username',
        'name',
        'tid',
        'ver',
        'at_hash',
        'c_hash',
        'email',
      ],
      kerberos_endpoint: `${here}/kerberos`,
      mtls_endpoint_aliases: { token_endpoint: `https://mtlsauth.microsoft.com/${tenant}/oauth2/v2.0/token` },
      tls_client_certificate_bound_access_tokens: true,
      tenant_region_scope: 'EU',
      cloud_instance_name: 'microsoftonline.com',
      cloud_graph_host_name: 'graph.windows.net',
      msgraph_host: new URL(origin).host,
      rbac_url: 'https://pas.windows.net',
    },
    200,
    { 'cache-control': 'max-age=86400, private' },
  )
}

/** Each key says whose it is; there is no `alg`. */
export const keySet = (state: EntraState, door: TenantDoor): Reply =>
  jsonReply({
    keys: state.keys.published().map(
      ({ kid, jwk }): Json => ({
        ...jwk,
        issuer: state.keyIssuers.get(kid) ?? `${state.authority}/${tenantIn(door)}/v2.0`,
      }),
    ),
  })

/** E18: forgets the browser's session, tells every app of it by `sid` alone, and goes on to a registered address only. */
export const logout = (state: EntraState, exchange: Exchange): Reply => {
  const asked = exchange.method === 'POST' ? exchange.form : exchange.query
  const cookie = exchange.cookies.get(SSO_COOKIE) ?? ''
  const sso = state.sso.get(cookie)
  state.sso.delete(cookie)
  const told = [...(sso?.apps ?? [])].flatMap(({ logoutUrl }) => (logoutUrl === undefined ? [] : [logoutUrlOf(logoutUrl, sso?.sid ?? '')]))
  const to = asked.get('post_logout_redirect_uri')
  const registered = to !== null && state.directory.apps.some(({ redirects }) => redirects.some(({ uri }) => uri === to))
  const frames = told.map((url) => `<iframe hidden src="${escapeHtml(url)}"></iframe>`).join('')
  const next = registered ? withState(to, asked.get('state')) : undefined
  return htmlReply(
    `<!DOCTYPE html><html><head><title>Sign out</title></head><body><h1>You signed out of your account</h1>${frames}${onward(next)}</body></html>`,
    200,
    {
      'set-cookie': `${SSO_COOKIE}=; Path=/; Max-Age=0; HttpOnly`,
      // With frames the page itself goes on, once they are loaded.
      ...(next !== undefined && frames === '' && { refresh: `0;url=${next}` }),
    },
  )
}

const logoutUrlOf = (url: string, sid: string): string => {
  const told = new URL(url)
  told.searchParams.set('sid', sid)
  return told.href
}
const withState = (to: string, state: string | null): string => {
  const url = new URL(to)
  if (state !== null) url.searchParams.set('state', state)
  return url.href
}
const onward = (next: string | undefined): string =>
  next === undefined
    ? ''
    : `<a id="next" href="${escapeHtml(next)}">Continue</a><script>addEventListener('load', () => location.replace(document.getElementById('next').href))</script>`
