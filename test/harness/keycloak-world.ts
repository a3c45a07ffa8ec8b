import { startStrictApi, type StrictApi } from '../interop/api.ts'
import type { Answer, Browser } from './browser.ts'
import { CLIENT_ID, CLIENT_SECRET, gatewayClient } from './emulators/keycloak/defaults.ts'
import { startKeycloak, type Keycloak } from './emulators/keycloak/keycloak.ts'
import { actionOf } from './emulators/keycloak/kit.ts'
import type { ClientSettings, RealmSettings } from './emulators/keycloak/settings.ts'
import { freePlaces, startGateways, type Gateways, type GatewaySettings } from './gateways.ts'
import { startSignIn } from './world.ts'

export interface KeycloakWorldOptions extends GatewaySettings {
  readonly replicas?: number
  /** Over a realm that is as strict as Keycloak can be: refresh tokens are revoked, and none is good twice. */
  readonly realm?: Partial<RealmSettings>
  /** Of the gateway's own client. */
  readonly client?: Partial<ClientSettings>
}

export interface KeycloakWorld extends Gateways {
  readonly kc: Keycloak
  readonly orders: StrictApi
  readonly customers: StrictApi
}

/**
 * The whole gateway as processes, in front of two APIs that look into every token, at the Keycloak emulator, which runs in the test itself: its faults,
 * its clock and its administrator are at hand. The same world stands in test/interop with a real Keycloak.
 */
export const createKeycloakWorld = async (options: KeycloakWorldOptions = {}): Promise<KeycloakWorld> => {
  const places = await freePlaces(options.replicas ?? 1)
  const publicUrl = `http://localhost:${places[0]?.public ?? 0}`
  const kc = await startKeycloak({
    realm: { revokeRefreshToken: true, refreshTokenMaxReuse: 0, ...options.realm },
    clients: [gatewayClient(publicUrl, options.client)],
  })
  const [orders, customers] = await Promise.all([startStrictApi(kc.issuer, 'orders'), startStrictApi(kc.issuer, 'customers')])
  const fleet = await startGateways({
    profile: 'keycloak',
    ...options,
    places,
    provider: { issuer: kc.issuer, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET },
    routes: [
      ...route('/api/orders', orders, 'principal: user, grant: refresh, audience: orders, scopes: [orders.read]'),
      ...route('/api/customers', customers, 'principal: user, grant: refresh, audience: customers, scopes: [customers.read]'),
      ...route('/api/exchanged/orders', orders, 'principal: user, grant: exchange, audience: orders, scopes: [orders.read]'),
      ...route('/api/exchanged/customers', customers, 'principal: user, grant: exchange, audience: customers, scopes: [customers.read]'),
      ...route('/api/reports', orders, 'principal: app, audience: orders, scopes: [orders.read]'),
      '    methods: [GET]',
      '    allow: signed_in',
    ],
  })
  return {
    ...fleet,
    kc,
    orders,
    customers,
    stop: async () => {
      await Promise.all([fleet, kc, orders, customers].map((part) => part.stop()))
    },
  }
}

const route = (path: string, upstream: StrictApi, token: string): readonly string[] => [
  `  - path: ${path}`,
  `    upstream: ${upstream.url}`,
  `    token: { ${token} }`,
]

/** Fills in the login page of Keycloak, and goes on until the callback has answered or `until` says so. */
export const fillInAtKeycloak = (
  browser: Browser,
  page: Answer,
  username: string,
  until?: (answer: Answer) => boolean,
): Promise<Answer> => {
  const action = actionOf({ text: page.body })
  if (action === undefined) throw new Error(`no form at ${page.url.pathname} (${page.status})`)
  return browser.navigate(action, {
    method: 'POST',
    body: new URLSearchParams({ username, password: `${username}-password` }).toString(),
    from: page.url,
    ...(until && { until }),
  })
}

/** As far as Keycloak's login page, through it, and back to the gateway. */
export const signInAtKeycloak = async (browser: Browser, world: Pick<KeycloakWorld, 'url'>, username: string): Promise<Answer> => {
  const page = await startSignIn(browser, world.url)
  return fillInAtKeycloak(browser, page, username, ({ url }) => url.origin === world.url && url.pathname === '/')
}
