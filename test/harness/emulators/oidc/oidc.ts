import { randomBytes, randomUUID } from 'node:crypto'
import type { EmulatorClock } from '../core-clock.ts'
import { type EmulatorServer, type EmulatorServerOptions, startEmulatorServer } from '../core.ts'
import {
  type EndpointName,
  escapeHtml,
  type Exchange,
  htmlReply,
  type Json,
  jsonReply,
  redirectReply,
  type Reply,
} from '../core-exchange.ts'
import { signingKeys } from '../core-keys.ts'
import { clientOf, tokenEndpoint } from './token.ts'
import { tellClient } from './tokens.ts'
import { type Client, type Issued, type Login, Refused, secondsOf, type State, type User, type Vendor } from './vendor.ts'

export interface OidcOptions extends EmulatorServerOptions {
  /** Where the gateway is, which the first client is. */
  readonly publicUrl: string
  readonly accessTokenSeconds?: number
}

/** A provider of which only what matters is there; `test/harness/emulators/README.md` says what that is, for each. */
export interface Oidc extends EmulatorServer {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  readonly settings: State['settings']
  readonly notices: State['notices']
  /** How many sign-ins live. */
  livingLogins(): number
  /** From now on this person is at the pages; undefined: nobody is. */
  sit(user: string | undefined): void
  setEnabled(user: string, enabled: boolean): void
  /** An administrator signs a user out everywhere. */
  signOut(user: string): Promise<void>
  /** What an API would learn about a token; undefined: it is not from here. */
  read(token: string): Issued | undefined
  /** An access token that a service or a native application (`nightly`) holds; without a user, for itself. */
  bring(user: string | undefined, audience: string): Promise<string>
  /** The key with which the first client proves itself from now on, instead of its secret. */
  setClientKeys(jwks: Client['jwks']): void
  secrets(): readonly string[]
}

export const CALLER = 'nightly'

export const startOidc = async (vendor: Vendor, users: readonly User[], options: OidcOptions): Promise<Oidc> => {
  const { publicUrl } = options
  const keys = await signingKeys()
  const client: Client = {
    id: 'sallyport',
    secret: `canary-${randomBytes(18).toString('base64url')}`,
    jwks: undefined,
    redirectUris: [`${publicUrl}/bff/callback`],
    postLogoutUris: [`${publicUrl}/bff/logout/callback`],
    backchannelUri: vendor.hasBackchannel ? `${publicUrl}/bff/logout/backchannel` : undefined,
  }
  // A service that calls the gateway.
  const caller: Client = { ...client, id: CALLER, secret: `canary-${randomBytes(18).toString('base64url')}`, backchannelUri: undefined }
  let made: State | undefined
  const stateOf = (origin: string): State => ({
    issuer: `${origin}${vendor.issuerPath}`,
    origin,
    keys,
    settings: { accessTokenSeconds: options.accessTokenSeconds ?? 300 },
    users,
    clients: [client, caller],
    codes: new Map(),
    refreshTokens: new Map(),
    issued: new Map(),
    logins: [],
    handedOut: new Set([client.secret, caller.secret]),
    notices: [],
    person: undefined,
  })
  const server = await startEmulatorServer(
    ({ origin }) => {
      const state = (made = stateOf(origin))
      return { keys, endpointOf: (_method, url) => endpointOf(vendor, url), handle: (exchange) => handle(vendor, state, exchange) }
    },
    // Another host name than the gateway's: the way there and back is cross-site.
    { host: '127.0.0.1', ...options },
  )
  const state = made
  if (!state) throw new Error('the emulator has no state')
  return {
    ...server,
    issuer: state.issuer,
    clientId: client.id,
    clientSecret: client.secret,
    settings: state.settings,
    notices: state.notices,
    livingLogins: () => state.logins.filter(({ ended }) => !ended).length,
    sit: (user) => {
      state.person = user
    },
    setEnabled: (key, enabled) => {
      userOf(state, key).enabled = enabled
    },
    signOut: (key) => signOut(state, userOf(state, key), server.clock),
    read: (token) => state.issued.get(token),
    bring: async (key, audience) => {
      const user = key === undefined ? undefined : userOf(state, key)
      const now = secondsOf(server.clock.now())
      const target = { audience, scopes: ['gateway.use'] }
      const token = await state.keys.sign({
        iss: state.issuer,
        iat: now,
        exp: now + 300,
        jti: randomUUID(),
        ...vendor.accessClaims(target, user, caller),
      })
      state.issued.set(token, { user, client: caller.id, ...target, login: undefined, endsAt: now + 300 })
      state.handedOut.add(token)
      return token
    },
    setClientKeys: (jwks) => {
      client.jwks = jwks
    },
    secrets: () => [...state.handedOut],
  }
}

const userOf = (state: State, key: string): User => {
  const user = state.users.find((one) => one.key === key)
  if (!user) throw new Error(`there is no user ${key}`)
  return user
}

const signOut = async (state: State, user: User, clock: EmulatorClock): Promise<void> => {
  for (const login of state.logins.filter((one) => one.user === user && !one.ended)) {
    login.ended = true
    await tellClient(state, login, clock.now())
  }
}

const WELL_KNOWN = '/.well-known/openid-configuration'
const endpointOf = ({ issuerPath, paths }: Vendor, { pathname }: URL): EndpointName => {
  if (pathname === `${issuerPath.replace(/\/$/, '')}${WELL_KNOWN}`) return 'discovery'
  const names: Readonly<Record<string, EndpointName>> = {
    [paths.authorize]: 'authorize',
    [paths.token]: 'token',
    [paths.keys]: 'jwks',
    [paths.revoke]: 'revocation',
    ...(paths.logout !== undefined && { [paths.logout]: 'logout' }),
  }
  return names[pathname] ?? 'other'
}

const handle = async (vendor: Vendor, state: State, exchange: Exchange): Promise<Reply> => {
  switch (exchange.endpoint) {
    case 'discovery':
      return { status: 200, json: discoveryOf(vendor, state) }
    case 'jwks':
      return { status: 200, json: { keys: state.keys.published().map(({ jwk }) => jwk) } }
    case 'authorize':
      return authorize(vendor, state, exchange)
    case 'token':
      return tokenEndpoint(vendor, state, exchange)
    case 'revocation':
      return revoke(vendor, state, exchange)
    case 'logout':
      return logout(vendor, state, exchange)
    default:
      return jsonReply({ error: 'not_found' }, 404)
  }
}

const discoveryOf = ({ paths, discovery }: Vendor, { origin, issuer }: State): Json => ({
  issuer,
  authorization_endpoint: `${origin}${paths.authorize}`,
  token_endpoint: `${origin}${paths.token}`,
  jwks_uri: `${origin}${paths.keys}`,
  revocation_endpoint: `${origin}${paths.revoke}`,
  ...(paths.logout !== undefined && { end_session_endpoint: `${origin}${paths.logout}` }),
  response_types_supported: ['code'],
  subject_types_supported: ['public'],
  id_token_signing_alg_values_supported: ['RS256'],
  code_challenge_methods_supported: ['S256'],
  ...discovery,
})

/** Before the redirect URI is known to be right it is a page, afterwards a callback. */
const authorize = (vendor: Vendor, state: State, exchange: Exchange): Reply => {
  const { query, form, method } = exchange
  const client = state.clients.find(({ id }) => id === query.get('client_id'))
  const redirectUri = query.get('redirect_uri') ?? ''
  if (!client?.redirectUris.includes(redirectUri)) return htmlReply('<h1>400: invalid request</h1>', 400)
  const back = (parameters: Record<string, string>): Reply => {
    const url = new URL(redirectUri)
    for (const [name, value] of Object.entries({ ...parameters, state: query.get('state') ?? '' })) url.searchParams.set(name, value)
    return redirectReply(url)
  }
  if (query.get('code_challenge_method') !== 'S256') return back({ error: 'invalid_request' })
  const key = state.person ?? (method === 'POST' ? (form.get('user') ?? '') : undefined)
  if (key === undefined)
    return htmlReply(
      `<form method="post">${state.users.map((user) => `<button name="user" value="${escapeHtml(user.key)}">`).join('')}</form>`,
    )
  const user = state.users.find((one) => one.key === key)
  if (!user?.enabled) return back({ error: 'access_denied' })
  try {
    const { target, offline } = vendor.authorize(query, state)
    const login: Login = {
      client,
      user,
      sid: randomBytes(12).toString('base64url'),
      authTime: secondsOf(exchange.now),
      ...target,
      offline,
      ended: false,
    }
    const code = randomBytes(24).toString('base64url')
    state.codes.set(code, { login, query, used: false })
    state.logins.push(login)
    return back({ code })
  } catch (refusal) {
    if (!(refusal instanceof Refused)) throw refusal
    return back({ error: String(refusal.body['error']), error_description: refusal.message })
  }
}

/** RFC 7009: what is not known is gone already. */
const revoke = async (vendor: Vendor, state: State, exchange: Exchange): Promise<Reply> => {
  try {
    await clientOf(vendor, state, exchange)
  } catch (refusal) {
    if (!(refusal instanceof Refused)) throw refusal
    return jsonReply(refusal.body, refusal.status)
  }
  const token = exchange.form.get('token') ?? ''
  const login = state.refreshTokens.get(token)?.login ?? state.issued.get(token)?.login
  if (login) login.ended = true
  return { status: 200, text: '' }
}

const logout = async (vendor: Vendor, state: State, { query, now }: Exchange): Promise<Reply> => {
  const hint = await state.keys.verify(query.get('id_token_hint') ?? '')
  if (vendor.needsHint && !hint) return htmlReply('<h1>400: id_token_hint is required</h1>', 400)
  // Without a `sid` nobody knows which sign-in it was: all of the user's.
  const isMeant = ({ sid, user }: Login): boolean =>
    vendor.hasBackchannel ? sid === hint?.claims['sid'] : user.subject === hint?.claims.sub
  for (const login of state.logins.filter((one) => !one.ended && isMeant(one))) {
    login.ended = true
    await tellClient(state, login, now)
  }
  const target = query.get('post_logout_redirect_uri') ?? ''
  if (!state.clients.some(({ postLogoutUris }) => postLogoutUris.includes(target))) return htmlReply('<h1>Signed out</h1>')
  const url = new URL(target)
  const given = query.get('state')
  if (given !== null) url.searchParams.set('state', given)
  return redirectReply(url)
}
