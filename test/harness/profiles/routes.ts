import type { ProfileName } from '../../../src/domain/profile.ts'
import { AUTH0_APIS } from '../emulators/auth0/auth0.ts'
import { DEFAULT_CLIENT_ID } from '../emulators/entra/defaults.ts'
import { guidOf } from '../emulators/entra/directory.ts'
import { CALENDAR, DRIVE } from '../emulators/google/google.ts'
import { OKTA_AUDIENCE, OKTA_TRUSTED } from '../emulators/okta/okta.ts'
import { callerOf, type FlowCell, grantOf, isPossible, type Way, WAY_FLOWS, WAYS } from './table.ts'

/** An API as an operator writes it: `audience` in the words of the provider. */
interface Api {
  readonly audience?: string
  readonly scopes: readonly string[]
}
interface Apis {
  readonly a: Api
  readonly b: Api
  /** The gateway itself, for those who bring a token for it. */
  readonly gateway: string
  /** The caller's client id. */
  readonly caller: string
}
const api = (audience: string, ...scopes: string[]): Api => ({ audience, scopes })

export const APIS: Readonly<Record<ProfileName, Apis>> = {
  generic: {
    a: api('https://orders.example/', 'orders.read'),
    b: api('https://customers.example/', 'customers.read'),
    gateway: 'https://gateway.example/',
    caller: 'nightly',
  },
  keycloak: { a: api('orders', 'orders.read'), b: api('customers', 'customers.read'), gateway: 'sallyport', caller: 'nightly' },
  entra: {
    a: api('api://orders', 'orders.read'),
    b: api('api://customers', 'customers.read'),
    gateway: DEFAULT_CLIENT_ID,
    caller: guidOf('app nightly'),
  },
  okta: { a: api(OKTA_AUDIENCE, 'orders.read'), b: api('api://another', 'customers.read'), gateway: OKTA_AUDIENCE, caller: 'nightly' },
  auth0: {
    a: api(AUTH0_APIS[0] ?? '', 'orders.read'),
    b: api(AUTH0_APIS[1] ?? '', 'customers.read'),
    gateway: AUTH0_APIS[2] ?? '',
    caller: 'nightly',
  },
  google: { a: { scopes: [CALENDAR] }, b: { scopes: [DRIVE] }, gateway: 'none', caller: 'nightly' },
}

/** `again`: what a sign-in never yields, so that a refresh is needed. */
export type Which = 'a' | 'b' | 'again'
/** Which API the route of a flow leads to, where it is not one for each. */
export const whichOf = (way: Way, flow: FlowCell['flow']): 'a' | 'again' =>
  way === 'session refresh' && !SERVED_BY_SIGN_IN.has(flow) ? 'again' : 'a'
const SERVED_BY_SIGN_IN: ReadonlySet<FlowCell['flow']> = new Set(['first call', 'refused by the rule'])

/** An exchange at Okta is for another authorization server's audience. */
export const apiOf = (profile: ProfileName, way: Way, which: Which): Api => {
  if (which === 'again') return { ...APIS[profile].b, ...(profile === 'okta' && { audience: OKTA_AUDIENCE }) }
  const own = APIS[profile][which]
  if (grantOf(way) === 'service_account') return { scopes: APIS.google[which].scopes }
  if (grantOf(way) === 'pass_through') return api(APIS[profile].gateway)
  return profile === 'okta' && grantOf(way) === 'exchange' ? api(OKTA_TRUSTED[which === 'a' ? 0 : 1] ?? '', ...own.scopes) : own
}

/** What Google's people untick. */
export const UNTICKED = 'https://www.googleapis.com/auth/tasks'

export interface RouteFiles {
  readonly keys: { readonly a: string; readonly b: string }
  readonly account: string
}
export interface Place {
  readonly upstream: string
  readonly files: RouteFiles
}

/** What the application has for itself outlives a session: each flow asks for another scope, and meets nothing that an earlier one left. */
export const appScope = (flow: string): string => `app.${flow.replaceAll(' ', '-')}`

/** At Entra no address counts as verified, so that another claim names the user at Google. */
const tokenText = (profile: ProfileName, way: Way, which: Which, { keys, account }: RouteFiles, more: readonly string[]): string => {
  const grant = grantOf(way)
  const { audience, scopes } = apiOf(profile, way, which)
  const asked = grant === 'static' ? [] : [...(grant === 'client_credentials' && more.length > 0 ? more : scopes)]
  return [
    `principal: ${callerOf(way) === 'application' ? 'app' : 'user'}`,
    `grant: ${grant}`,
    ...(audience !== undefined && grant !== 'static' ? [`audience: '${audience}'`] : []),
    ...(asked.length > 0 ? [`scopes: ['${asked.join("', '")}']`] : []),
    ...(grant === 'static' ? [`key_file: ${keys[which === 'b' ? 'b' : 'a']}`] : []),
    ...(grant === 'service_account' ? [`key_file: ${account}`, ...(profile === 'entra' ? ['subject_claim: preferred_username'] : [])] : []),
    ...(way === 'session on_behalf_of' ? [`subject: { audience: '${APIS[profile].gateway}', scopes: [gateway.use] }`] : []),
  ].join(', ')
}

const route = (path: string, upstream: string, token: string, callers: 'session' | 'bearer', allow: string): readonly string[] => [
  `  - path: /${path}`,
  `    upstream: ${upstream}`,
  `    token: { ${token} }`,
  `    callers: [${callers}]`,
  '    methods: [GET]',
  `    allow: ${allow}`,
]

export const pathOf = (way: Way, last: string): string => `${way.replace(' ', '/')}/${last.replaceAll(' ', '-')}`

/** The routes of one cell, as `config check` sees them. */
export const routesOf = ({ profile, way, flow }: FlowCell, { upstream, files }: Place): readonly string[] => {
  if (way === '*') return []
  const callers = callerOf(way) === 'bearer' ? 'bearer' : 'session'
  const one = (which: Which, more: readonly string[] = []): string => tokenText(profile, way, which, files, more)
  const at = (last: string, token: string, allow = 'signed_in') => route(pathOf(way, last), upstream, token, callers, allow)
  switch (flow) {
    case 'two audiences':
      return [...at('a', one('a')), ...at('b', one('b'))]
    case 'refused by the rule':
      return at(flow, one('a'), '{ roles: [nobody] }')
    case 'consent':
      // Where single scopes can be unticked, consent is a matter of the scope.
      return profile === 'google' && way === 'session refresh'
        ? at(flow, `principal: user, grant: refresh, scopes: ['${UNTICKED}']`)
        : at(flow, one(whichOf(way, flow)))
    default:
      return at(flow, one(whichOf(way, flow), [appScope(flow)]))
  }
}

export const allRoutes = (profile: ProfileName, place: Place): readonly string[] => {
  const { a, caller } = APIS[profile]
  const cells = WAY_FLOWS.flatMap((flow) => WAYS.map((way): FlowCell => ({ profile, way, flow }))).filter(isPossible)
  const calls: FlowCell = { profile, way: '*', flow: 'application calls' }
  const app = `principal: app, grant: client_credentials, audience: '${a.audience}', scopes: ['${appScope(calls.flow)}']`
  return [
    ...cells.flatMap((cell) => routesOf(cell, place)),
    ...route('again', place.upstream, tokenText(profile, 'session refresh', 'again', place.files, []), 'session', 'signed_in'),
    ...(isPossible(calls) ? route('jobs', place.upstream, app, 'bearer', `{ clients: ['${caller}'] }`) : []),
  ]
}
