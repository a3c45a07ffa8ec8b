import { randomBytes } from 'node:crypto'
import type { KeycloakAdmin } from './keycloak-admin.ts'

/** Keycloak's representations (its Admin REST API), as far as they are written here. */
export type Representation = Readonly<Record<string, unknown>>

export const PEOPLE = {
  ada: { username: 'ada', firstName: 'Ada', lastName: 'Lovelace', password: 'ada-of-the-engine' },
  grace: { username: 'grace', firstName: 'Grace', lastName: 'Hopper', password: 'grace-of-the-nanosecond' },
} as const
export type Person = keyof typeof PEOPLE

export interface RealmRequest {
  /** More of the realm's settings, over those below. */
  readonly settings?: Representation
  readonly clients: readonly Representation[]
  /** Under which address Keycloak is asked, where that is not its own. */
  readonly at?: string
  /** More optional client scopes: name → the client that they put into `aud`. */
  readonly scopes?: Readonly<Record<string, string>>
}
export interface Realm {
  readonly name: string
  readonly issuer: string
  /** Subject of each person. */
  readonly subjects: Readonly<Record<Person, string>>
  /** Keycloak's own id of a client. */
  idOf(clientId: string): string
  /** Under `/admin/realms/<this one>`. */
  admin(method: string, path: string, body?: unknown): Promise<unknown>
  remove(): Promise<void>
}

/** A second use of a refresh token ends the client's session: the strictest that Keycloak can be. */
const STRICT = { revokeRefreshToken: true, refreshTokenMaxReuse: 0 } as const

/** APIs of the realm: an optional client scope `<api>.read` puts the API into `aud`, for whoever asks for it. */
const APIS = ['orders', 'customers'] as const

const audienceScope = (name: string, audience: string): Representation => ({
  name,
  protocol: 'openid-connect',
  attributes: { 'include.in.token.scope': 'true', 'display.on.consent.screen': 'false' },
  protocolMappers: [
    {
      name: `audience ${audience}`,
      protocol: 'openid-connect',
      protocolMapper: 'oidc-audience-mapper',
      config: {
        'included.client.audience': audience,
        'access.token.claim': 'true',
        'id.token.claim': 'false',
        'introspection.token.claim': 'true',
      },
    },
  ],
})

/** A confidential client of the code flow with everything the gateway may use; `attributes` go over those below. */
export const gatewayClient = (client: {
  readonly clientId: string
  readonly secret?: string
  readonly url: string
  readonly authenticator?: 'client-secret' | 'client-jwt'
  readonly attributes?: Readonly<Record<string, string>>
}): Representation => ({
  clientId: client.clientId,
  protocol: 'openid-connect',
  publicClient: false,
  standardFlowEnabled: true,
  directAccessGrantsEnabled: false,
  serviceAccountsEnabled: true,
  clientAuthenticatorType: client.authenticator ?? 'client-secret',
  ...(client.secret !== undefined && { secret: client.secret }),
  redirectUris: [`${client.url}/bff/callback`],
  frontchannelLogout: false,
  // Said in full: a client that names any of its scopes gets none of the realm's.
  defaultClientScopes: ['basic', 'acr', 'roles', 'profile', 'email', 'web-origins'],
  optionalClientScopes: [...APIS.map((api) => `${api}.read`), 'offline_access'],
  attributes: {
    'pkce.code.challenge.method': 'S256',
    'post.logout.redirect.uris': `${client.url}/bff/logout/callback`,
    'backchannel.logout.url': `${client.url}/bff/logout/backchannel`,
    'backchannel.logout.session.required': 'true',
    'standard.token.exchange.enabled': 'true',
    ...client.attributes,
  },
})

/** As the attribute `jwt.credential.certificate` holds it. */
export const certificateBody = (pem: string): string => pem.replaceAll(/-----[^-]+-----|\s/g, '')

/** An API: a client that nobody signs in to, so that audiences can name it. */
const apiClient = (api: string): Representation => ({
  clientId: api,
  protocol: 'openid-connect',
  publicClient: false,
  standardFlowEnabled: false,
  directAccessGrantsEnabled: false,
})

/** Imports a realm: Ada and Grace, the APIs with their scopes, and the given clients. */
export const importRealm = async (url: string, admin: KeycloakAdmin, request: RealmRequest): Promise<Realm> => {
  const name = `shop-${randomBytes(4).toString('hex')}`
  const at = `/${name}`
  await admin.call('POST', '', {
    realm: name,
    enabled: true,
    accessTokenLifespan: 300,
    ...STRICT,
    clients: APIS.map(apiClient),
    ...request.settings,
  })
  // Not within the realm: users who come with it get none of its default roles, and without those no offline token.
  for (const { password, ...person } of Object.values(PEOPLE))
    await admin.call('POST', `${at}/users`, {
      ...person,
      email: `${person.username}@shop.example`,
      emailVerified: true,
      enabled: true,
      credentials: [{ type: 'password', value: password, temporary: false }],
    })
  const scopes = { ...Object.fromEntries(APIS.map((api) => [`${api}.read`, api])), ...request.scopes }
  for (const [scope, audience] of Object.entries(scopes)) await admin.call('POST', `${at}/client-scopes`, audienceScope(scope, audience))
  for (const client of request.clients) await admin.call('POST', `${at}/clients`, client)
  const clients = (await admin.call('GET', `${at}/clients`)) as readonly { readonly id: string; readonly clientId: string }[]
  const users = (await admin.call('GET', `${at}/users`)) as readonly { readonly id: string; readonly username: string }[]
  const subject = (person: Person): string => users.find(({ username }) => username === person)?.id ?? ''
  return {
    name,
    issuer: `${request.at ?? url}/realms/${name}`,
    subjects: { ada: subject('ada'), grace: subject('grace') },
    idOf: (clientId) => clients.find((client) => client.clientId === clientId)?.id ?? '',
    admin: (method, path, body) => admin.call(method, `${at}${path}`, body),
    remove: async () => void (await admin.call('DELETE', at)),
  }
}
