import { randomBytes } from 'node:crypto'
import type { Answer, Browser } from '../harness/browser.ts'
import { freePlaces, startGateways, type Gateways, type GatewaySettings } from '../harness/gateways.ts'
import { startSignIn } from '../harness/world.ts'
import { startStrictApi, type StrictApi } from './api.ts'
import { createRealm } from './kit.ts'
import { fillIn } from './login-form.ts'
import { gatewayClient, type Person, type Realm, type Representation } from './realm.ts'

export interface KeycloakWorld extends Gateways {
  readonly realm: Realm
  readonly orders: StrictApi
  readonly customers: StrictApi
  readonly clientSecret: string
}

export interface KeycloakWorldOptions extends GatewaySettings {
  readonly settings?: Representation
  readonly at?: string
  readonly scopes?: Readonly<Record<string, string>>
  /** Beside the gateway's. */
  readonly clients?: readonly Representation[]
  /** YAML lines of more routes, indented by two. */
  readonly routes?: (apis: { readonly orders: StrictApi; readonly customers: StrictApi }) => readonly string[]
  /** Of the gateway's client; attributes are added to what it has. */
  readonly client?: {
    readonly authenticator?: 'client-jwt'
    readonly attributes?: Readonly<Record<string, string>>
    readonly attributesOf?: (gatewayUrl: string) => Readonly<Record<string, string>>
  }
}

const CLIENT_ID = 'sallyport'

/** The gateway as a process, a realm of its own at the real Keycloak, and two APIs that look into every token. */
export const createKeycloakWorld = async (options: KeycloakWorldOptions = {}): Promise<KeycloakWorld> => {
  const { client } = options
  const clientSecret = randomBytes(32).toString('base64url')
  const places = await freePlaces(1)
  const url = `http://localhost:${places[0]?.public ?? 0}`
  const realm = await createRealm({
    clients: [
      gatewayClient({
        clientId: CLIENT_ID,
        secret: clientSecret,
        url,
        ...(client?.authenticator && { authenticator: client.authenticator }),
        attributes: { ...client?.attributes, ...client?.attributesOf?.(url) },
      }),
      ...(options.clients ?? []),
    ],
    ...(options.scopes && { scopes: options.scopes }),
    ...(options.at !== undefined && { at: options.at }),
    ...(options.settings && { settings: options.settings }),
  })
  const [orders, customers] = await Promise.all([startStrictApi(realm.issuer, 'orders'), startStrictApi(realm.issuer, 'customers')])
  const fleet = await startGateways({
    ...options,
    profile: 'keycloak',
    places,
    provider: { issuer: realm.issuer, clientId: CLIENT_ID, clientSecret },
    routes: [
      ...route('/api/orders', orders, 'principal: user, grant: refresh, audience: orders, scopes: [orders.read]'),
      ...route('/api/customers', customers, 'principal: user, grant: refresh, audience: customers, scopes: [customers.read]'),
      ...route('/api/exchanged/orders', orders, 'principal: user, grant: exchange, audience: orders, scopes: [orders.read]'),
      ...route('/api/exchanged/customers', customers, 'principal: user, grant: exchange, audience: customers, scopes: [customers.read]'),
      ...route('/api/reports', orders, 'principal: app, audience: orders, scopes: [orders.read]'),
      '    methods: [GET]',
      '    allow: signed_in',
      ...(options.routes?.({ orders, customers }) ?? []),
    ],
  })
  return {
    ...fleet,
    realm,
    orders,
    customers,
    clientSecret,
    stop: async () => {
      await Promise.all([fleet, orders, customers].map((part) => part.stop()))
      await realm.remove()
    },
  }
}

const route = (path: string, upstream: StrictApi, token: string): readonly string[] => [
  `  - path: ${path}`,
  `    upstream: ${upstream.url}`,
  `    token: { ${token} }`,
]

/** As far as Keycloak's own login page, through it, and back to the gateway. */
export const signInAtKeycloak = async (browser: Browser, world: KeycloakWorld, person: Person): Promise<Answer> => {
  const page = await startSignIn(browser, world.url)
  return fillIn(browser, page, person, ({ url }) => url.origin === new URL(world.url).origin && url.pathname === '/')
}
