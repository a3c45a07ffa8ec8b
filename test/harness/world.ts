import { randomBytes } from 'node:crypto'
import { ORDERS, RESOURCES, startDemoApis, type DemoApis } from '../../src/dev/apis.ts'
import type { Answer, Browser } from './browser.ts'
import { freePlaces, startGateways, type Gateways, type GatewaySettings } from './gateways.ts'
import { startProviderProcess, type ProviderProcess } from './processes.ts'

export interface WorldOptions extends GatewaySettings {
  readonly replicas?: number
  readonly accessTokenSeconds?: number
  /** YAML lines of routes beside these two, indented by two. */
  readonly routes?: readonly string[]
}

export interface World extends Gateways {
  readonly provider: ProviderProcess
  readonly apis: DemoApis
  readonly clientSecret: string
}

const CLIENT_ID = 'sallyport-test'

/** The whole gateway as users run it: real processes, the embedded provider as a third, its APIs: one called as the user and as the application. One public URL per replica, one redirect URI. */
export const createWorld = async (options: WorldOptions = {}): Promise<World> => {
  const clientSecret = randomBytes(32).toString('base64url')
  const places = await freePlaces(options.replicas ?? 1)
  const publicUrl = `http://localhost:${places[0]?.public ?? 0}`
  const provider = await startProviderProcess({
    port: 0,
    clientId: CLIENT_ID,
    clientSecret,
    redirectUri: `${publicUrl}/bff/callback`,
    postLogoutRedirectUri: `${publicUrl}/bff/logout/callback`,
    backchannelLogoutUri: `${publicUrl}/bff/logout/backchannel`,
    resources: RESOURCES,
    accessTokenSeconds: options.accessTokenSeconds ?? 300,
  })
  const { issuer } = provider
  const apis = await startDemoApis({ issuer, clientId: CLIENT_ID })
  const fleet = await startGateways({
    ...options,
    places,
    provider: { issuer, clientId: CLIENT_ID, clientSecret },
    routes: [
      '  - path: /api/orders',
      `    upstream: ${apis.orders.url}`,
      `    token: { principal: user, audience: '${ORDERS}', scopes: [orders.read, orders.write] }`,
      '  - path: /api/reports',
      `    upstream: ${apis.orders.url}`,
      `    token: { principal: app, audience: '${ORDERS}', scopes: [orders.read] }`,
      '    allow: signed_in',
      ...(options.routes ?? []),
    ],
  })
  return {
    ...fleet,
    provider,
    apis,
    clientSecret,
    stop: async () => {
      await Promise.all([fleet, provider, apis.orders, apis.customers, apis.inventory].map((part) => part.stop()))
    },
  }
}

/** As far as the provider's page that asks who it is. */
export const startSignIn = (browser: Browser, gatewayUrl: string, returnTo = '/'): Promise<Answer> =>
  browser.navigate(`${gatewayUrl}/bff/login?return_to=${encodeURIComponent(returnTo)}`, { from: new URL(gatewayUrl) })

/** The choice on that page, and back through the callback until `until`. */
export const chooseUser = (browser: Browser, page: URL, user: string, until: (answer: Answer) => boolean): Promise<Answer> =>
  browser.navigate(page, { method: 'POST', body: `user=${user}`, from: page, until })

/** Signs in as a person would: the login page of the provider, a choice, back through the callback to `returnTo`. */
export const signIn = async (browser: Browser, gatewayUrl: string, user: string, returnTo = '/'): Promise<Answer> => {
  const page = await startSignIn(browser, gatewayUrl, returnTo)
  return chooseUser(browser, page.url, user, ({ url }) => url.origin === new URL(gatewayUrl).origin && url.pathname === returnTo)
}

/** For `until`: the provider is about to send the browser back, and the browser has not gone yet. `callbackOf` says where to. */
export const isCallback = (answer: Answer): boolean => /\/bff\/callback\?/.test(String(answer.headers['location'] ?? ''))
export const callbackOf = (answer: Answer): URL => new URL(String(answer.headers['location']), answer.url)

const SESSION = /^__Host-Http-sallyport-\d+$/
/** Name and value of the session cookie in this browser. */
export const sessionCookie = (browser: Browser): readonly [name: string, value: string] | undefined =>
  [...browser.cookies('localhost')].find(([name]) => SESSION.test(name))

/** Another holder of the same session cookie: a thief, a second tab of the past. */
export const withCookie = (browser: Browser, cookie: readonly [name: string, value: string] | undefined): Browser => {
  if (!cookie) throw new Error('there is no session cookie')
  browser.setCookie('localhost', cookie[0], cookie[1], true)
  return browser
}
