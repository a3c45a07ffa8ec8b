import { CONTOSO } from './emulators/entra/defaults.ts'
import { type Entra, type EntraOptions, startEntra } from './emulators/entra/entra.ts'
import { freePlaces, startGateways, type Gateways, type GatewaySettings } from './gateways.ts'

export interface EntraWorldOptions extends GatewaySettings {
  readonly replicas?: number
  readonly entra?: EntraOptions
  /** Asked as discovery is; the first tenant unless told. */
  readonly tenant?: string
  /** YAML lines of routes beside the usual ones, indented by two. */
  readonly routes?: (entra: Entra) => readonly string[]
}
export interface EntraWorld extends Gateways {
  readonly entra: Entra
}

/**
 * The whole gateway as processes at the Entra emulator, which runs in the test itself and serves the APIs as well: orders, customers, inventory (version 1
 * tokens) and reports (to which nobody has consented), and orders once more for the application itself.
 */
export const createEntraWorld = async (options: EntraWorldOptions = {}): Promise<EntraWorld> => {
  const places = await freePlaces(options.replicas ?? 1)
  const publicUrl = `http://localhost:${places[0]?.public ?? 0}`
  const entra = await startEntra({
    ...options.entra,
    client: {
      redirectUris: [`${publicUrl}/bff/callback`, `${publicUrl}/bff/logout/callback`],
      logoutUrl: `${publicUrl}/bff/logout/frontchannel`,
      ...options.entra?.client,
    },
  })
  const fleet = await startGateways({
    profile: 'entra',
    ...options,
    places,
    provider: { issuer: entra.issuer(options.tenant ?? CONTOSO), clientId: entra.clientId, clientSecret: entra.clientSecret },
    routes: [
      ...['orders', 'customers', 'inventory'].flatMap((name) => userRoute(entra, name)),
      '  - path: /api/orders/application',
      `    upstream: ${entra.origin}`,
      "    token: { principal: app, audience: 'api://orders' }",
      '    methods: [GET]',
      '    allow: signed_in',
      ...(options.routes?.(entra) ?? []),
    ],
  })
  return {
    ...fleet,
    entra,
    stop: async () => {
      await Promise.all([fleet.stop(), entra.stop()])
    },
  }
}

/** One that asks for its API's token as the user. */
export const userRoute = (entra: Entra, name: string, scopes = `[${name}.read]`): readonly string[] => [
  `  - path: /api/${name}`,
  `    upstream: ${entra.origin}`,
  `    token: { principal: user, audience: 'api://${name}', scopes: ${scopes} }`,
]
