import { type EndpointName, type Exchange, jsonReply, type Reply } from '../core-exchange.ts'
import { type EmulatorServer, type EmulatorServerOptions, startEmulatorServer } from '../core.ts'
import { type Admin, adminOf } from './admin.ts'
import { type Authorize, authorizer } from './authorize.ts'
import { type ClientAuthenticator, clientAuthenticator } from './client-auth.ts'
import { clientsOf, SCOPES, USERS } from './defaults.ts'
import { discoveryOf } from './discovery.ts'
import { tokenEndpoint } from './grants.ts'
import { introspect, revoke, userinfo } from './token-services.ts'
import { type Logout, logouts } from './logout.ts'
import { type Realm, Refusal, refuse } from './realm.ts'
import { realmKeys } from './realm-keys.ts'
import { type ClientOptions, type ClientScope, REALM_DEFAULTS, type RealmSettings, type UserSettings } from './settings.ts'

export interface KeycloakOptions extends EmulatorServerOptions {
  readonly realm?: Partial<RealmSettings>
  /** Beside `account` and the APIs orders, customers, inventory and reports. */
  readonly clients?: readonly ClientOptions[]
  /** Instead of Ada (who has a second factor) and Grace. */
  readonly users?: readonly UserSettings[]
  /** Beside those of the APIs. */
  readonly scopes?: readonly ClientScope[]
  /** The public origin, where it is not the one clients come by: `issuer` and pages are under it. */
  readonly publicOrigin?: string
}

export interface Keycloak extends EmulatorServer {
  readonly issuer: string
  /** Everything the admin console shows; settings may be changed while it runs. */
  readonly realm: Realm
  readonly admin: Admin
  /** `delivery` and `notices` of back-channel logout. */
  readonly logout: Pick<Logout, 'delivery' | 'notices'>
  /** Who is signed in without a page; undefined: people see the page. */
  autoLogin: string | undefined
  /** How often the `jwks_url` of a client was asked. */
  keyRequests(clientId: string): number
}

/** Keycloak 26 as its clients meet it, on loopback (providers.md §2 and §7.3). What is left out: README.md beside this file. */
export const startKeycloak = async (options: KeycloakOptions = {}): Promise<Keycloak> => {
  const keys = await realmKeys()
  const settings: RealmSettings = { ...REALM_DEFAULTS, ...options.realm }
  let parts: Parts | undefined
  const server = await startEmulatorServer(
    ({ origin }) => {
      const made = partsOf({
        settings,
        issuer: `${options.publicOrigin ?? origin}/realms/${settings.name}`,
        base: origin,
        clients: clientsOf(options.clients ?? []),
        users: new Map((options.users ?? USERS()).map((user) => [user.username, user])),
        scopes: new Map([...SCOPES, ...(options.scopes ?? [])].map((scope) => [scope.name, scope])),
        keys,
      })
      parts = made
      return { keys, endpointOf: (_method, url) => endpointOf(url), handle: (exchange) => serveRealm(made, exchange) }
    },
    // Another host name than the gateway's, so that the way there and back is cross-site, as it is in the field.
    { host: '127.0.0.1', ...options },
  )
  if (!parts) throw new Error('the emulator was not asked for')
  const { realm, authorize, logout, authenticator } = parts
  return {
    ...server,
    issuer: realm.issuer,
    realm,
    admin: adminOf(realm, logout, server.clock),
    logout,
    keyRequests: authenticator.keyRequests,
    get autoLogin() {
      return authorize.autoLogin
    },
    set autoLogin(username) {
      authorize.autoLogin = username
    },
  }
}

/** One realm and what serves it. */
export interface Parts {
  readonly realm: Realm
  readonly authorize: Authorize
  readonly logout: Logout
  readonly authenticator: ClientAuthenticator
}

export const partsOf = (what: Omit<Realm, 'sessions' | 'offlineSessions' | 'codes'>): Parts => {
  const realm: Realm = { ...what, sessions: new Map(), offlineSessions: new Map(), codes: new Map() }
  const authorize = authorizer(realm)
  return { realm, authorize, logout: logouts(realm, authorize), authenticator: clientAuthenticator(realm) }
}

export const serveRealm = (parts: Parts, exchange: Exchange): Promise<Reply> =>
  handle(parts, exchange).catch((error: unknown) => {
    if (!(error instanceof Refusal)) throw error
    exchange.note({ code: error.message })
    return error.reply
  })

const PATHS: Readonly<Record<string, EndpointName>> = {
  '.well-known/openid-configuration': 'discovery',
  'protocol/openid-connect/certs': 'jwks',
  'protocol/openid-connect/auth': 'authorize',
  'login-actions/authenticate': 'authorize',
  'login-actions/consent': 'authorize',
  'protocol/openid-connect/token': 'token',
  'protocol/openid-connect/token/introspect': 'introspection',
  'protocol/openid-connect/userinfo': 'userinfo',
  'protocol/openid-connect/revoke': 'revocation',
  'protocol/openid-connect/logout': 'logout',
  'protocol/openid-connect/logout/logout-confirm': 'logout',
  'protocol/openid-connect/ext/par/request': 'par',
  'protocol/openid-connect/auth/device': 'device',
}
const REALM_PATH = /^\/realms\/([^/]+)\/(.+)$/
export const realmOf = (url: URL): string | undefined => REALM_PATH.exec(url.pathname)?.[1]
export const endpointOf = (url: URL): EndpointName => PATHS[REALM_PATH.exec(url.pathname)?.[2] ?? ''] ?? 'other'
export const noSuchRealm = (): Reply => jsonReply({ error: 'Realm does not exist' }, 404)

const handle = async ({ realm, authorize, logout, authenticator }: Parts, exchange: Exchange): Promise<Reply> => {
  const { endpoint, method, url, form } = exchange
  if (realmOf(url) !== realm.settings.name) return noSuchRealm()
  switch (endpoint) {
    case 'discovery':
      return { status: 200, json: discoveryOf(realm) }
    case 'jwks':
      return { status: 200, json: { keys: await realm.keys.document() } }
    case 'authorize':
      return url.pathname.includes('/login-actions/') ? authorize.act(exchange) : authorize.start(exchange)
    case 'token':
      if (method !== 'POST') return { status: 405, text: '' }
      return tokenEndpoint(realm, await authenticator.authenticate(exchange), exchange)
    case 'introspection':
      return introspect(realm, await authenticator.authenticate(exchange), exchange)
    case 'userinfo':
      return userinfo(realm, exchange)
    case 'revocation':
      return revoke(realm, await authenticator.authenticate(exchange), exchange)
    case 'par':
      return jsonReply({ ...authorize.push(await authenticator.authenticate(exchange), exchange) }, 201)
    case 'logout':
      if (url.pathname.endsWith('/logout-confirm')) return logout.confirm(exchange)
      return form.has('refresh_token')
        ? logout.byRefreshToken(await authenticator.authenticate(exchange), exchange)
        : logout.browser(exchange)
    case 'device':
      await authenticator.authenticate(exchange)
      throw refuse(
        'unauthorized_client',
        'Client is not allowed to initiate OAuth 2.0 Device Authorization Grant. The flow is disabled for the client.',
      )
    default:
      return jsonReply({ error: 'HTTP 404 Not Found' }, 404)
  }
}
