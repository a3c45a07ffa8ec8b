import { randomBytes } from 'node:crypto'
import type { EmulatorClock } from '../core-clock.ts'
import { type EmulatorServer, type EmulatorServerOptions, startEmulatorServer } from '../core.ts'
import { type EndpointName, type Exchange, jsonReply, type Reply } from '../core-exchange.ts'
import { signingKeys, type SigningKeys } from '../core-keys.ts'
import { graph, resourceApi } from './apis.ts'
import { authorize } from './authorize.ts'
import { type Credentials, credentials } from './credentials.ts'
import { type AppOptions, CONSUMERS, directory, type Directory, type DirectoryOptions } from './directory.ts'
import { DEFAULT_CLIENT_ID, defaultDirectory } from './defaults.ts'
import { discovery, keySet, logout } from './documents.ts'
import { Aadsts, refusedHtml, refusedJson } from './errors.ts'
import type { EntraSettings, EntraState, Person, Policy, TenantDoor } from './state.ts'
import { token } from './token.ts'

export interface EntraOptions extends EmulatorServerOptions, Partial<DirectoryOptions>, Partial<EntraSettings> {
  /** Over the default client: redirect URIs, logout URL, whatever a test is about. */
  readonly client?: Partial<AppOptions>
  /** Somebody who answers every page by themselves; without one a GET of `authorize` shows a form. */
  readonly person?: Person | string
  /** How many front-ends see credential changes each in its own time; 4 unless told. */
  readonly frontEnds?: number
  /** Host of a national cloud, or anything else documents shall say instead of the origin. */
  readonly authority?: string
}

export interface Entra extends EmulatorServer {
  readonly clientId: string
  readonly clientSecret: string
  readonly directory: Directory
  readonly keys: SigningKeys
  readonly credentials: Credentials
  /** `https://…/{tenant}/v2.0`; of the first tenant unless told. `common` gives the template's door. */
  issuer(tenant?: string): string
  url(endpoint: 'authorize' | 'token' | 'logout', tenant?: string): string
  /** What the API of this name is reached by, as an upstream. */
  resourceUrl(name: string): string
  /** From now on this person is at the pages; undefined: nobody is. */
  sit(person: Person | string | undefined): void
  /** Adds a Conditional Access policy; the returned function takes it away. */
  addPolicy(policy: Omit<Policy, 'id'>): () => void
  /** The API wants this authentication context, until told otherwise. */
  demand(api: string, acrs: string | undefined): void
  /** `revokeSignInSessions`: what was issued before now is worth nothing at the token endpoint. */
  revokeSignIns(user: string): void
  setEnabled(user: string, enabled: boolean): void
  /** Replaces the client's secrets. */
  setSecrets(app: string, secrets: readonly { readonly value: string; readonly until?: number }[]): void
  /** Every access, refresh and ID token so far, and the client's secrets: what may stand in no log, no browser and no metric. */
  secrets(): readonly string[]
  /** Lets a key of the JWKS name another issuer (E19). */
  setKeyIssuer(kid: string, issuer: string): void
}

const personOf = (person: Person | string | undefined): Person | undefined => (typeof person === 'string' ? { user: person } : person)

/** Microsoft Entra ID, v2.0 endpoint, as providers.md describes it: rows E1–E23 but the ones README.md leaves out. */
export const startEntra = async (options: EntraOptions = {}): Promise<Entra> => {
  const clientSecret = `canary~entra.${randomBytes(18).toString('base64url')}`
  const defaults = defaultDirectory(options.client ?? {}, clientSecret)
  const keys = await signingKeys({ withCertificate: true, count: 2 })
  const places = directory({ ...defaults, ...pick(options) })
  let state: EntraState | undefined
  const stateOf = (origin: string, clock: EmulatorClock): EntraState => ({
    authority: options.authority ?? origin,
    origin,
    clock,
    keys,
    keyIssuers: new Map(),
    directory: places,
    credentials: credentials(options.frontEnds ?? 4, clock.now),
    settings: settingsOf(options),
    codes: new Map(),
    refreshTokens: new Map(),
    issued: new Map(),
    sso: new Map(),
    handedOut: new Set(),
    policies: [],
    person: personOf(options.person),
    demands: new Map(),
    recent: new Map(),
    random: generator(),
  })
  const server = await startEmulatorServer(({ origin, clock }) => {
    const made = (state = stateOf(origin, clock))
    return { keys, endpointOf, handle: (exchange) => route(made, exchange) }
  }, options)
  const entra = state
  if (!entra) throw new Error('the emulator has no state')
  const home = places.tenants[0]?.id ?? ''
  const userOf = (name: string) => {
    const user = places.user(name)
    if (!user) throw new Error(`there is no user ${name}`)
    return user
  }
  return {
    ...server,
    clientId: options.client?.id ?? DEFAULT_CLIENT_ID,
    clientSecret,
    directory: places,
    keys,
    credentials: entra.credentials,
    issuer: (tenant = home) => `${entra.authority}/${tenant}/v2.0`,
    url: (endpoint, tenant = home) => `${server.origin}/${tenant}/oauth2/v2.0/${endpoint}`,
    resourceUrl: (name) => `${server.origin}/api/${name}`,
    sit: (person) => {
      entra.person = personOf(person)
    },
    addPolicy: (policy) => {
      const added = { ...policy, id: `policy-${entra.policies.length + 1}` }
      entra.policies = [...entra.policies, added]
      return () => {
        entra.policies = entra.policies.filter((other) => other !== added)
      }
    },
    demand: (api, acrs) => {
      if (acrs === undefined) entra.demands.delete(api)
      else entra.demands.set(api, { acrs })
    },
    revokeSignIns: (user) => {
      userOf(user).tokensValidFrom = entra.clock.now()
    },
    setEnabled: (user, enabled) => {
      userOf(user).enabled = enabled
    },
    setSecrets: (id, secrets) => {
      const app = places.app(id)
      if (!app) throw new Error(`there is no app ${id}`)
      app.secretList = secrets
    },
    secrets: () => [...entra.handedOut, ...places.apps.flatMap(({ secretList }) => secretList.map(({ value }) => value))],
    setKeyIssuer: (kid, issuer) => void entra.keyIssuers.set(kid, issuer),
  }
}

const pick = (options: EntraOptions): Partial<DirectoryOptions> =>
  Object.fromEntries(
    (['tenants', 'users', 'apps', 'resources', 'consents', 'roles'] as const).flatMap((name) =>
      options[name] === undefined ? [] : [[name, options[name]]],
    ),
  )

const settingsOf = (options: EntraOptions): EntraSettings => ({
  refreshTokenBytes: options.refreshTokenBytes ?? 1200,
  refreshTokenGrowth: options.refreshTokenGrowth ?? 16,
  lenient90009: options.lenient90009 ?? false,
  badSignatureCode: options.badSignatureCode ?? 700027,
  v1Issuer: options.v1Issuer ?? 'https://sts.windows.net/{tid}/',
  exchangeAudience: options.exchangeAudience ?? 'api://AzureADTokenExchange',
  ...(options.accessTokenSeconds !== undefined && { accessTokenSeconds: options.accessTokenSeconds }),
  ...(options.loopAfter !== undefined && { loopAfter: options.loopAfter }),
})

/** Lifetimes that differ from token to token and not from run to run. */
const generator = (): (() => number) => {
  let seed = 20_261_120
  return () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    return seed / 2 ** 32
  }
}

const PATHS: readonly (readonly [RegExp, EndpointName])[] = [
  [/^\/[^/]+\/v2\.0\/\.well-known\/openid-configuration$/, 'discovery'],
  [/^\/[^/]+\/discovery\/v2\.0\/keys$/, 'jwks'],
  [/^\/[^/]+\/oauth2\/v2\.0\/authorize$/, 'authorize'],
  [/^\/[^/]+\/oauth2\/v2\.0\/token$/, 'token'],
  [/^\/[^/]+\/oauth2\/v2\.0\/logout$/, 'logout'],
  [/^\/[^/]+\/oauth2\/v2\.0\/devicecode$/, 'device'],
  [/^\/graph\/oidc\/userinfo$/, 'userinfo'],
]
const endpointOf = (_method: string, { pathname }: URL): EndpointName => PATHS.find(([path]) => path.test(pathname))?.[1] ?? 'other'

const doorOf = (state: EntraState, name: string): TenantDoor => {
  if (name === 'common' || name === 'organizations') return { kind: name }
  const tenant = name === 'consumers' ? CONSUMERS : state.directory.tenant(name)?.id
  if (tenant === undefined) throw new Aadsts(90002, { tenant: name })
  return { kind: 'tenant', id: tenant }
}

const route = async (state: EntraState, exchange: Exchange): Promise<Reply> => {
  const { endpoint, url } = exchange
  const [, first = '', ...rest] = url.pathname.split('/')
  if (first === 'graph') return graph(state, exchange, `/${rest.join('/')}`)
  // As on a host of its own, which `msgraph_host` names.
  if (first === 'v1.0') return graph(state, exchange, url.pathname)
  if (first === 'api') return resourceApi(state, exchange, rest[0] ?? '')
  try {
    const door = doorOf(state, first)
    switch (endpoint) {
      case 'discovery':
        return discovery(state, door, first)
      case 'jwks':
        return keySet(state, door)
      case 'authorize':
        return await authorize(state, exchange, door)
      case 'token':
        return await token(state, exchange, door, first)
      case 'logout':
        return logout(state, exchange)
      default:
        return jsonReply({ error: 'not_emulated', error_description: url.pathname }, 404)
    }
  } catch (refusal) {
    if (!(refusal instanceof Aadsts)) throw refusal
    return endpoint === 'authorize' || endpoint === 'logout' ? refusedHtml(refusal, exchange) : refusedJson(refusal, exchange)
  }
}
