import { createHash } from 'node:crypto'

/** Deterministic, so that a failing test names the same GUIDs tomorrow. */
export const guidOf = (seed: string): string => {
  const hex = createHash('sha256').update(`entra emulator ${seed}`).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
export const isGuid = (value: string): boolean => /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value)

/** Home of personal accounts. */
export const CONSUMERS = '9188040d-6c67-4c5b-b112-36a304b66dad'
export const GRAPH_ID = '00000003-0000-0000-c000-000000000000'
export const GRAPH_URI = 'https://graph.microsoft.com'

export interface TenantOptions {
  readonly id: string
  readonly name: string
  readonly domains: readonly string[]
}

export interface UserOptions {
  /** What tests call them: `ada`. */
  readonly key: string
  readonly name: string
  /** Home tenant: its id. */
  readonly tenant: string
  readonly upn: string
  readonly email?: string
  /** Group ids, or how many they are in. */
  readonly groups?: readonly string[] | number
  /** Tenants they were invited to. */
  readonly guestIn?: readonly string[]
  /** App roles, by the id of the app that defines them. */
  readonly roles?: Readonly<Record<string, readonly string[]>>
}

export interface ApiOptions {
  /** `api://orders`; the GUID always works as well. */
  readonly uris: readonly string[]
  readonly scopes: readonly string[]
  /** Of `scopes`: only an administrator can consent. */
  readonly adminScopes?: readonly string[]
  /** Application permissions. */
  readonly roles?: readonly string[]
  /** `requestedAccessTokenVersion`; 2 unless told. */
  readonly version?: 1 | 2
  readonly assignmentRequired?: boolean
  /** Takes part in continuous access evaluation. */
  readonly cae?: boolean
  readonly groups?: boolean
}

export interface SecretOptions {
  readonly value: string
  readonly until?: number
}

export interface AppOptions {
  readonly name: string
  readonly id?: string
  /** Ids of the tenants with a service principal; all unless told. */
  readonly tenants?: readonly string[]
  readonly multiTenant?: boolean
  readonly redirectUris?: readonly (string | { readonly uri: string; readonly type: 'web' | 'spa' })[]
  readonly logoutUrl?: string
  readonly secrets?: readonly (string | SecretOptions)[]
  /** “Allow public client flows”, and no credential of its own. */
  readonly public?: boolean
  /** Optional claims of its ID tokens; `sid` and `login_hint` unless told. */
  readonly idTokenClaims?: readonly ('sid' | 'login_hint' | 'auth_time' | 'groups')[]
  readonly api?: ApiOptions
}
/** An app that is only an API. */
export type ResourceOptions = ApiOptions & Pick<AppOptions, 'name' | 'id' | 'tenants'>

export interface ConsentOptions {
  readonly client: string
  readonly resource: string
  readonly scopes: readonly string[]
  /** Key of the user who consented; everybody's, by an administrator, unless told. */
  readonly user?: string
}
export interface RoleGrant {
  readonly client: string
  readonly resource: string
  readonly roles: readonly string[]
}

export interface User extends UserOptions {
  readonly groupIds: readonly string[]
  /** Object id in a tenant; undefined where they are unknown. */
  oidIn(tenant: string): string | undefined
  enabled: boolean
  tokensValidFrom: number
}
export interface App extends AppOptions {
  readonly id: string
  readonly redirects: readonly { readonly uri: string; readonly type: 'web' | 'spa' }[]
  secretList: readonly SecretOptions[]
  enabled: boolean
}
export interface Api extends App {
  readonly api: ApiOptions
}

export interface Directory {
  readonly tenants: readonly TenantOptions[]
  readonly users: readonly User[]
  readonly apps: readonly App[]
  tenant(nameOrId: string): TenantOptions | undefined
  user(keyOrUpnOrOid: string): User | undefined
  app(id: string): App | undefined
  /** By GUID or one of its URIs. */
  api(identifier: string): Api | undefined
  /** What this user, or an administrator for everybody, has consented to. */
  consented(client: string, resource: string, user: User): readonly string[]
  consent(consent: ConsentOptions): void
  withdrawConsent(client: string, resource: string): void
  /** Application permissions an administrator granted. */
  rolesOf(client: string, resource: string): readonly string[]
}

export interface DirectoryOptions {
  readonly tenants: readonly TenantOptions[]
  readonly users: readonly UserOptions[]
  readonly apps: readonly AppOptions[]
  readonly resources: readonly ResourceOptions[]
  readonly consents: readonly ConsentOptions[]
  readonly roles: readonly RoleGrant[]
}

const GRAPH: ResourceOptions = {
  name: 'Microsoft Graph',
  id: GRAPH_ID,
  uris: [GRAPH_URI],
  scopes: ['User.Read', 'GroupMember.Read.All', 'openid', 'profile', 'email', 'offline_access'],
  adminScopes: ['GroupMember.Read.All'],
  cae: true,
}

export const directory = (options: DirectoryOptions): Directory => {
  const tenants = [...options.tenants, { id: CONSUMERS, name: 'Microsoft accounts', domains: ['live.com'] }]
  const users = options.users.map(userOf)
  const apps = [
    ...options.apps,
    ...[...options.resources, GRAPH].map(({ name, id, tenants: at, ...api }) => ({
      name,
      api,
      ...(id && { id }),
      ...(at && { tenants: at }),
    })),
  ].map(appOf)
  let consents: readonly ConsentOptions[] = [
    ...options.consents,
    ...apps.map(({ id }) => ({ client: id, resource: GRAPH_ID, scopes: ['User.Read'] })),
  ]
  const fits = (one: { readonly client: string; readonly resource: string }, client: string, resource: string): boolean =>
    one.client === client && one.resource === resource
  return {
    tenants,
    users,
    apps,
    tenant: (name) => tenants.find(({ id, domains }) => id === name.toLowerCase() || domains.includes(name.toLowerCase())),
    user: (name) => users.find((user) => user.key === name || user.upn === name || tenants.some(({ id }) => user.oidIn(id) === name)),
    app: (id) => apps.find((app) => app.id === id.toLowerCase()),
    api: (identifier) =>
      apps
        .filter((app) => app.id === identifier.toLowerCase() || app.api?.uris.includes(identifier))
        .map((app) => ({ ...app, api: app.api ?? NOTHING }))[0],
    consented: (client, resource, user) => [
      ...new Set(
        consents.filter((one) => fits(one, client, resource) && (one.user ?? user.key) === user.key).flatMap(({ scopes }) => scopes),
      ),
    ],
    consent: (consent) => {
      consents = [...consents, consent]
    },
    withdrawConsent: (client, resource) => {
      consents = consents.filter((one) => !fits(one, client, resource))
    },
    rolesOf: (client, resource) => options.roles.filter((one) => fits(one, client, resource)).flatMap(({ roles }) => roles),
  }
}

/** By its GUID every application is an API, if only to itself. */
const NOTHING: ApiOptions = { uris: [], scopes: [] }

const userOf = (options: UserOptions): User => {
  const { groups = [], guestIn = [] } = options
  return {
    ...options,
    groupIds: typeof groups === 'number' ? Array.from({ length: groups }, (_, at) => guidOf(`group ${options.key} ${at}`)) : groups,
    oidIn: (tenant) => (tenant === options.tenant || guestIn.includes(tenant) ? guidOf(`${options.key} in ${tenant}`) : undefined),
    enabled: true,
    tokensValidFrom: 0,
  }
}

const appOf = (options: AppOptions): App => ({
  ...options,
  id: (options.id ?? guidOf(`app ${options.name}`)).toLowerCase(),
  redirects: (options.redirectUris ?? []).map((one) => (typeof one === 'string' ? { uri: one, type: 'web' as const } : one)),
  secretList: (options.secrets ?? []).map((one) => (typeof one === 'string' ? { value: one } : one)),
  enabled: true,
})
