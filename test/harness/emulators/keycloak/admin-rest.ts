import { randomBytes, randomUUID } from 'node:crypto'
import { type Exchange, type Json, jsonReply, type Reply } from '../core-exchange.ts'
import type { EmulatorServer } from '../core.ts'
import { startEmulatorServer } from '../core.ts'
import { adminOf } from './admin.ts'
import { userOf } from './defaults.ts'
import { endpointOf, noSuchRealm, type Parts, partsOf, realmOf, serveRealm } from './keycloak.ts'
import { realmKeys } from './realm-keys.ts'
import { type ClientOptions, clientOf, REALM_DEFAULTS, type RealmSettings, type SignatureAlgorithm } from './settings.ts'

export interface KeycloakServer extends Pick<EmulatorServer, 'origin' | 'stop'> {
  readonly admin: { readonly username: string; readonly password: string }
}

interface Administered extends Parts {
  /** Clients as they were put in, by Keycloak's own id. */
  readonly representations: Map<string, Json>
}

/**
 * A Keycloak of no realm but `master`, with as much of the Admin REST API as test/interop speaks: realms are imported, changed and removed over HTTP, and
 * what is tested at the real one is tested here by the very same files.
 */
export const startKeycloakServer = async (): Promise<KeycloakServer> => {
  const admin = { username: 'interop', password: randomBytes(16).toString('base64url') }
  const ticket = randomBytes(16).toString('base64url')
  const realms = new Map<string, Administered>()
  const server = await startEmulatorServer(
    async ({ origin, clock }) => ({
      keys: await realmKeys(),
      endpointOf: (_method, url) => (url.pathname.startsWith('/admin/') ? 'admin' : endpointOf(url)),
      handle: async (exchange) => {
        const { url, form, headers } = exchange
        const name = realmOf(url)
        if (name === 'master') {
          const isAdmin = form.get('username') === admin.username && form.get('password') === admin.password
          return isAdmin
            ? jsonReply({ access_token: ticket, expires_in: 60, token_type: 'Bearer' })
            : jsonReply({ error: 'invalid_grant' }, 401)
        }
        if (exchange.endpoint === 'admin')
          return headers.authorization === `Bearer ${ticket}`
            ? administer(realms, origin, clock, exchange)
            : jsonReply({ error: 'HTTP 401' }, 401)
        const parts = realms.get(name ?? '')
        return parts ? serveRealm(parts, exchange) : noSuchRealm()
      },
    }),
    { host: '127.0.0.1' },
  )
  return { origin: server.origin, admin, stop: server.stop }
}

const NOTHING: Reply = { status: 204, text: '' }

const administer = async (
  realms: Map<string, Administered>,
  origin: string,
  clock: EmulatorServer['clock'],
  { method, url, body: text }: Exchange,
): Promise<Reply> => {
  const [name, kind, id, verb] = url.pathname.split('/').slice(3)
  const body = (text === '' ? {} : JSON.parse(text)) as Json
  if (name === undefined) {
    const made = await importRealm(origin, body)
    realms.set(made.realm.settings.name, made)
    return { status: 201, text: '' }
  }
  const parts = realms.get(name)
  if (!parts) return noSuchRealm()
  const { realm, logout, representations } = parts
  const admin = adminOf(realm, logout, clock)
  const user = [...realm.users.values()].find((one) => one.id === id)
  switch ([method, kind ?? 'realm', ...(id === undefined ? [] : ['id']), ...(verb === undefined ? [] : [verb])].join(' ')) {
    case 'DELETE realm':
      realms.delete(name)
      return NOTHING
    case 'PUT realm':
      Object.assign(realm.settings, settingsOf(body))
      return NOTHING
    case 'DELETE sessions id':
      await admin.signOutSession(id ?? '')
      return NOTHING
    case 'POST users': {
      const credentials = body['credentials'] as readonly { readonly value: string }[] | undefined
      const made = userOf(textOf(body, 'username'), `${textOf(body, 'firstName')} ${textOf(body, 'lastName')}`, {
        email: textOf(body, 'email'),
        password: credentials?.[0]?.value ?? '',
      })
      realm.users.set(made.username, made)
      return { status: 201, text: '' }
    }
    case 'GET users':
      return list([...realm.users.values()].map(({ id: userId, username, enabled }) => ({ id: userId, username, enabled })))
    case 'PUT users id':
      if (user && typeof body['enabled'] === 'boolean') user.enabled = body['enabled']
      return NOTHING
    case 'POST users id logout':
      await admin.signOutUser(user?.username ?? '')
      return NOTHING
    case 'GET users id sessions':
      return list(admin.sessions(user?.username ?? '').map((session) => ({ id: session.id, userId: id })))
    case 'POST client-scopes': {
      const mappers = (body['protocolMappers'] ?? []) as readonly { readonly config: Record<string, string> }[]
      const audiences = mappers.map(({ config }) => config['included.client.audience']).filter((one) => one !== undefined)
      realm.scopes.set(textOf(body, 'name'), { name: textOf(body, 'name'), audiences })
      return { status: 201, text: '' }
    }
    case 'POST clients':
      addClient(parts, body)
      return { status: 201, text: '' }
    case 'GET clients':
      return list([...representations.values()])
    case 'GET clients id':
      return jsonReply(representations.get(id ?? '') ?? {})
    case 'PUT clients id':
      representations.delete(id ?? '')
      addClient(parts, body)
      return NOTHING
    default:
      return jsonReply({ error: `the emulator has no ${method} ${url.pathname}` }, 404)
  }
}

/** `json` of a reply is an object; these documents are arrays. */
const list = (rows: readonly unknown[]): Reply => ({
  status: 200,
  text: JSON.stringify(rows),
  headers: { 'content-type': 'application/json' },
})

const importRealm = async (origin: string, body: Json): Promise<Administered> => {
  const name = textOf(body, 'realm')
  const parts = partsOf({
    settings: { ...REALM_DEFAULTS, name, ...settingsOf(body) },
    issuer: `${origin}/realms/${name}`,
    base: origin,
    clients: new Map(),
    users: new Map(),
    scopes: new Map(),
    keys: await realmKeys(),
  })
  const made: Administered = { ...parts, representations: new Map() }
  for (const client of [{ clientId: 'account', bearerOnly: true }, ...((body['clients'] ?? []) as readonly Json[])]) addClient(made, client)
  return made
}

const settingsOf = (body: Json): Partial<RealmSettings> => {
  const names: Readonly<Record<string, keyof RealmSettings>> = {
    accessTokenLifespan: 'accessTokenLifespan',
    ssoSessionIdleTimeout: 'ssoSessionIdle',
    ssoSessionMaxLifespan: 'ssoSessionMax',
    accessCodeLifespan: 'accessCodeLifespan',
    revokeRefreshToken: 'revokeRefreshToken',
    refreshTokenMaxReuse: 'refreshTokenMaxReuse',
    notBefore: 'notBefore',
  }
  return Object.fromEntries(Object.entries(names).flatMap(([theirs, ours]) => (theirs in body ? [[ours, body[theirs]]] : [])))
}

const addClient = ({ realm, representations }: Administered, body: Json): void => {
  const representation = { id: randomUUID(), ...body }
  representations.set(representation.id, representation)
  const options = clientOptionsOf(body)
  realm.clients.set(options.clientId, clientOf(options))
}

const ALGORITHMS: readonly SignatureAlgorithm[] = ['RS256', 'PS256', 'ES256', 'EdDSA']

/** The representation of a client, as the console exports it. */
const clientOptionsOf = (body: Json): ClientOptions => {
  const attributes = (body['attributes'] ?? {}) as Readonly<Record<string, string>>
  const certificate = attributes['jwt.credential.certificate']
  const authenticator = body['publicClient'] ? 'public' : body['bearerOnly'] ? 'bearer-only' : body['clientAuthenticatorType']
  return {
    clientId: textOf(body, 'clientId'),
    authenticator:
      authenticator === 'client-jwt' || authenticator === 'public' || authenticator === 'bearer-only' ? authenticator : 'client-secret',
    secret: textOf(body, 'secret') || randomUUID(),
    standardFlow: body['standardFlowEnabled'] !== false,
    serviceAccount: body['serviceAccountsEnabled'] === true,
    redirectUris: (body['redirectUris'] ?? []) as readonly string[],
    postLogoutRedirectUris: (attributes['post.logout.redirect.uris'] ?? '').split('##').filter((uri) => uri !== ''),
    optionalScopes: (body['optionalClientScopes'] ?? []) as readonly string[],
    pkce: attributes['pkce.code.challenge.method'] === 'S256' ? 'S256' : undefined,
    tokenExchange: attributes['standard.token.exchange.enabled'] === 'true',
    certificate:
      certificate === undefined
        ? undefined
        : `-----BEGIN CERTIFICATE-----\n${certificate.replaceAll(/(.{64})/g, '$1\n')}\n-----END CERTIFICATE-----\n`,
    jwksUrl: attributes['use.jwks.url'] === 'true' ? attributes['jwks.url'] : undefined,
    idTokenAlgorithm: ALGORITHMS.find((name) => name === attributes['id.token.signed.response.alg']) ?? 'RS256',
    backchannelLogoutUrl: attributes['backchannel.logout.url'],
    backchannelSessionRequired: attributes['backchannel.logout.session.required'] !== 'false',
    backchannelRevokeOffline: attributes['backchannel.logout.revoke.offline.tokens'] === 'true',
    frontchannelLogoutUrl: body['frontchannelLogout'] === true ? attributes['frontchannel.logout.url'] : undefined,
  }
}

const textOf = (body: Json, name: string): string => {
  const value = body[name]
  return typeof value === 'string' ? value : ''
}
