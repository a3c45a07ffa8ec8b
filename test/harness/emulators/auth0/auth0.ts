import type { Json } from '../core-exchange.ts'
import { type Oidc, type OidcOptions, startOidc } from '../oidc/oidc.ts'
import { subjectOf } from '../oidc/token.ts'
import { accessAnswer } from '../oidc/tokens.ts'
import { type GrantAsk, Refused, type User, type Vendor, wordsOf } from '../oidc/vendor.ts'

/** APIs of the tenant. */
export const AUTH0_APIS = ['https://orders.example/', 'https://customers.example/', 'https://gateway.example/']
/** `refresh_token.policies` of the application: what one refresh token is good for (MRRT). */
export const AUTH0_POLICIES: readonly string[] = ['https://orders.example/', 'https://customers.example/']

const person = (key: string, name: string): User => ({
  key,
  subject: `auth0|${key}`,
  claims: { name, nickname: key, email: `${key}@shop.example`, email_verified: true },
  enabled: true,
})

const audienceOf = (asked: string | null): string => {
  if (asked === null || !AUTH0_APIS.includes(asked)) throw new Refused('access_denied', `Service not found: ${asked ?? ''}`, 403)
  return asked
}

const exchange = async (ask: GrantAsk): Promise<Json> => {
  const { form } = ask.exchange
  const { token } = subjectOf(ask)
  const issued = ask.state.issued.get(token)
  const target = { audience: audienceOf(form.get('audience')), scopes: wordsOf(form.get('scope')) }
  return accessAnswer(ask, target, { ...(issued?.user && { user: issued.user }), exchanged: true })
}

const application = (ask: GrantAsk): Promise<Json> => {
  const { form } = ask.exchange
  return accessAnswer(ask, { audience: audienceOf(form.get('audience')), scopes: wordsOf(form.get('scope')) })
}

const AUTH0: Vendor = {
  // With the slash.
  issuerPath: '/',
  paths: {
    authorize: '/authorize',
    token: '/oauth/token',
    keys: '/.well-known/jwks.json',
    revoke: '/oauth/revoke',
    logout: '/oidc/logout',
  },
  discovery: { backchannel_logout_supported: true, backchannel_logout_session_supported: true },
  // "Rotation overlap" is 0 unless somebody sets one.
  reuse: 0,
  assertionAudience: 'issuer',
  needsHint: false,
  hasBackchannel: true,
  authorize: (query) => {
    const scopes = wordsOf(query.get('scope'))
    const asked = query.get('audience')
    const audience = asked === null ? undefined : audienceOf(asked)
    return { target: { audience, scopes }, offline: scopes.includes('offline_access') }
  },
  // An audience that no policy covers is passed over in silence: the token is for the one of the sign-in.
  refresh: (form, login) => {
    const asked = form.get('audience')
    const audience = asked !== null && AUTH0_POLICIES.includes(asked) ? asked : login.audience
    return { audience, scopes: form.has('scope') ? wordsOf(form.get('scope')) : login.scopes }
  },
  // Without an audience: for userinfo alone, and no JWT.
  accessClaims: ({ audience, scopes }, user, client) =>
    audience === undefined
      ? undefined
      : {
          aud: audience,
          azp: client.id,
          scope: scopes.join(' '),
          ...(user ? { sub: user.subject } : { sub: `${client.id}@clients`, gty: 'client-credentials' }),
        },
  grants: { 'urn:ietf:params:oauth:grant-type:token-exchange': exchange, client_credentials: application },
}

/** An Auth0 tenant (providers.md §3). */
export const startAuth0 = (options: OidcOptions): Promise<Oidc> =>
  startOidc(AUTH0, [person('ada', 'Ada Lovelace'), person('grace', 'Grace Hopper')], options)
