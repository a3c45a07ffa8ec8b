import { randomUUID } from 'node:crypto'
import { type ClientOptions, clientOf, type ClientScope, type ClientSettings, type UserSettings } from './settings.ts'

/** The APIs of the shop: bearer-only clients, so that they can be an audience. */
const APIS = ['orders', 'customers', 'inventory', 'reports']

/** One optional scope per right; each puts its API, and nobody else, into `aud`. */
export const SCOPES: readonly ClientScope[] = [
  { name: 'orders.read', audiences: ['orders'] },
  { name: 'orders.write', audiences: ['orders'] },
  { name: 'customers.read', audiences: ['customers'] },
  { name: 'inventory.read', audiences: ['inventory'] },
  { name: 'reports.read', audiences: ['reports'] },
]

export const CLIENT_ID = 'sallyport'
export const CLIENT_SECRET = 'canary-keycloak-client-secret'

/** The gateway's own registration, as docs tell operators to make it. */
export const gatewayClient = (publicUrl: string, more: Partial<ClientSettings> = {}): ClientOptions => ({
  clientId: CLIENT_ID,
  secret: CLIENT_SECRET,
  redirectUris: [`${publicUrl}/bff/callback`],
  postLogoutRedirectUris: [`${publicUrl}/bff/logout/callback`],
  pkce: 'S256',
  serviceAccount: true,
  tokenExchange: true,
  optionalScopes: SCOPES.map(({ name }) => name),
  backchannelLogoutUrl: `${publicUrl}/bff/logout/backchannel`,
  ...more,
})

/** `account` belongs to every realm; with the default roles of users it is in every token's `aud` unless somebody takes care. */
export const clientsOf = (own: readonly ClientOptions[]): Map<string, ClientSettings> => {
  const realm = ['account', ...APIS].map((clientId): ClientOptions => ({ clientId, authenticator: 'bearer-only', standardFlow: false }))
  return new Map([...realm, ...own].map((options) => [options.clientId, clientOf(options)]))
}

export const userOf = (username: string, name: string, more: Partial<UserSettings> = {}): UserSettings => ({
  id: randomUUID(),
  username,
  name,
  email: `${username}@shop.example`,
  password: `${username}-password`,
  enabled: true,
  realmRoles: ['offline_access', 'uma_authorization', 'default-roles-shop'],
  clientRoles: { account: ['manage-account', 'view-profile'] },
  loaMax: 1,
  notBefore: 0,
  consents: new Map(),
  ...more,
})

export const USERS = (): readonly UserSettings[] => [userOf('ada', 'Ada Lovelace', { loaMax: 2 }), userOf('grace', 'Grace Hopper')]
