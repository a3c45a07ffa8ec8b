import type { Json } from '../core-exchange.ts'
import { type Oidc, type OidcOptions, startOidc } from '../oidc/oidc.ts'
import { subjectOf } from '../oidc/token.ts'
import { accessAnswer } from '../oidc/tokens.ts'
import { type GrantAsk, Refused, type Target, type User, type Vendor, wordsOf } from '../oidc/vendor.ts'

/** The audience of the authorization server that people sign in at: all that its tokens are for. */
export const OKTA_AUDIENCE = 'api://shop'
/** Authorization servers that trust this one: an exchange for their audience is possible. */
export const OKTA_TRUSTED = ['api://orders', 'api://customers']
const IDENTITY = new Set(['openid', 'profile', 'email', 'offline_access'])

const person = (key: string, name: string): User => ({
  key,
  subject: `00u${key}`,
  claims: { name, preferred_username: `${key}@shop.example`, email: `${key}@shop.example`, email_verified: true, ver: 1 },
  enabled: true,
})

/** RFC 8693 on a custom authorization server: names its target, gives no refresh token and no ID token. */
const exchange = async (ask: GrantAsk): Promise<Json> => {
  const { form } = ask.exchange
  const audience = form.get('audience') ?? ''
  const scopes = wordsOf(form.get('scope'))
  const { token } = subjectOf(ask)
  if (![OKTA_AUDIENCE, ...OKTA_TRUSTED].includes(audience))
    throw new Refused('invalid_target', 'The audience is no trusted authorization server.')
  if (scopes.length === 0 || scopes.some((scope) => IDENTITY.has(scope)))
    throw new Refused('invalid_scope', 'One or more scopes are not configured for the authorization server resource.')
  const issued = ask.state.issued.get(token)
  return accessAnswer(ask, { audience, scopes }, { ...(issued?.user && { user: issued.user }), exchanged: true })
}

const application = async (ask: GrantAsk): Promise<Json> => {
  const scopes = wordsOf(ask.exchange.form.get('scope'))
  if (scopes.length === 0) throw new Refused('invalid_scope', 'The scope parameter is required.')
  return accessAnswer(ask, { audience: OKTA_AUDIENCE, scopes })
}

/** `scope` may narrow what was granted, never widen. */
const narrowed = (form: URLSearchParams, granted: readonly string[]): Target => {
  const asked = form.has('scope') ? wordsOf(form.get('scope')) : granted
  if (asked.some((scope) => !granted.includes(scope))) throw new Refused('invalid_scope', 'The requested scope was not granted.')
  return { audience: OKTA_AUDIENCE, scopes: asked }
}

const OKTA: Vendor = {
  issuerPath: '/oauth2/default',
  paths: {
    authorize: '/oauth2/default/v1/authorize',
    token: '/oauth2/default/v1/token',
    keys: '/oauth2/default/v1/keys',
    revoke: '/oauth2/default/v1/revoke',
    logout: '/oauth2/default/v1/logout',
  },
  discovery: {
    grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials', 'urn:ietf:params:oauth:grant-type:token-exchange'],
  },
  reuse: 30,
  assertionAudience: 'token-endpoint',
  needsHint: true,
  hasBackchannel: false,
  authorize: (query) => {
    const scopes = wordsOf(query.get('scope'))
    return { target: { audience: OKTA_AUDIENCE, scopes }, offline: scopes.includes('offline_access') }
  },
  refresh: (form, { scopes }) => narrowed(form, scopes),
  accessClaims: ({ audience, scopes }, user, client) => ({
    ver: 1,
    aud: audience,
    cid: client.id,
    scp: scopes,
    ...(user ? { sub: user.claims['email'], uid: user.subject } : { sub: client.id }),
  }),
  grants: { 'urn:ietf:params:oauth:grant-type:token-exchange': exchange, client_credentials: application },
}

/** A custom authorization server of Okta (providers.md §3). */
export const startOkta = (options: OidcOptions): Promise<Oidc> =>
  startOidc(OKTA, [person('ada', 'Ada Lovelace'), person('grace', 'Grace Hopper')], options)
