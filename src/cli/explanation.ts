import type { IncomingMessage } from 'node:http'
import { compileRoutes, userAsks } from '../assembly/compile-routes.ts'
import { headerDeps } from '../assembly/header-deps.ts'
import type { Loaded } from '../config/load.ts'
import type { Settings } from '../config/settings.ts'
import { ENDPOINTS } from '../contract/paths.ts'
import { USER_CONTEXT_HEADER } from '../contract/user-context.ts'
import type { CallerKind } from '../domain/caller.ts'
import type { ProviderProfile } from '../domain/provider.ts'
import type { Route } from '../domain/route.ts'
import type { GrantName, Json } from '../domain/token.ts'
import { METADATA_PATH } from '../edge/protected-resource.ts'
import { CONTEXT_KEYS_PATH } from '../edge/well-known.ts'
import { Secret } from '../kernel/secret.ts'
import { roleSources } from '../policy/decide.ts'
import { allowLines, allowReads, allowRule, allowText } from '../policy/explain.ts'
import { DROPPED, DROPPED_FAMILIES } from '../proxy/dropped-names.ts'
import { inboundRules, outboundRules, type HeaderDeps } from '../proxy/header-rules.ts'
import { DROPPED_ANSWER_FAMILIES, DROPPED_ANSWERS, inboundHeaders } from '../proxy/inbound-headers.ts'
import { outboundHeaders } from '../proxy/outbound-headers.ts'
import { profileOf } from '../provider/profiles.ts'
import { askedAs, type RequestFacts, type TokenRequest } from './explain-request.ts'
import { AUTHORIZATION_WORDS, cacheWords, csrfWords, GRANT_WORDS, keyWords, upstreamSees } from './explain-words.ts'

/** What `explain -o json` prints; scripts depend on its shape. Absent things are null. Nothing in it is secret: it is made of the settings' public half. */
export interface Explanation {
  readonly public_url: string
  readonly base_path: string
  readonly provider: {
    readonly profile: ProviderProfile['name']
    readonly issuer: string
    /** null: whoever the issuer admits. */
    readonly tenants: readonly string[] | null
    readonly client_id: string
    readonly target: ProviderProfile['target']
    readonly rotation: ProviderProfile['rotation']
  }
  readonly routes: readonly RouteExplanation[]
  readonly frontend:
    | { readonly kind: 'dir'; readonly dir: string; readonly require_sign_in: readonly string[] }
    | { readonly kind: 'upstream'; readonly upstream: string; readonly require_sign_in: readonly string[] }
    | null
  /** What the gateway answers itself, by the name that logs and metrics use. */
  readonly endpoints: readonly { readonly name: string; readonly path: string }[]
  /** The same for every route. */
  readonly headers: {
    readonly request: { readonly removed: readonly string[]; readonly removed_beginning: readonly string[] }
    readonly response: { readonly removed: readonly string[]; readonly removed_beginning: readonly string[] }
  }
}

export interface RouteExplanation {
  readonly name: string
  readonly path: string
  readonly methods: readonly string[]
  readonly upstream: string
  readonly principal: 'user' | 'app' | 'none'
  /** Who may present what. */
  readonly callers: readonly CallerKind[]
  /** For sessions, and of the application. */
  readonly grant: GrantName | null
  /** For callers that bring an access token; null: there are none such, or it is the application that calls. */
  readonly bearer_grant: GrantName | null
  readonly grant_chosen: { readonly by: 'auto' | 'settings'; readonly because: string }
  readonly audience: string | null
  readonly scopes: readonly string[]
  /** null: none is made. */
  readonly asked_as: TokenRequest | null
  /** `rule` as in the settings, null: no session is needed. `reads`: where its answer is looked up. */
  readonly allow: { readonly rule: Json; readonly text: string; readonly lines: readonly string[]; readonly reads: readonly string[] }
  readonly csrf: { readonly required: boolean; readonly text: string }
  readonly headers: {
    readonly request: {
      /** null: all but those removed. */
      readonly only: readonly string[] | null
      readonly cookies: readonly string[]
      readonly authorization: { readonly attached: 'user' | 'app' | 'none'; readonly text: string }
      /** Written by the gateway, whatever the browser sent. */
      readonly set: readonly string[]
      /** Header names and the claim each carries, unsigned. */
      readonly identity: Readonly<Record<string, string>>
      /** What is told of the user, signed; null: nothing is. */
      readonly user_context: { readonly header: string; readonly audience: string; readonly claims: readonly string[] } | null
    }
    readonly response: {
      readonly set_cookie: readonly string[]
      readonly cors: 'dropped'
      readonly cache: { readonly shared: boolean; readonly text: string }
      readonly set: readonly string[]
    }
  }
  readonly limits: {
    readonly body_bytes: number
    readonly timeout_ms: number
    readonly idle_timeout_ms: number
    readonly connect_timeout_ms: number
    readonly in_flight: number
  }
  readonly upstream_sees: {
    readonly principal: 'user' | 'app' | 'none'
    readonly subject: 'user' | 'client' | 'none'
    readonly client_id: string | null
    readonly text: string
  }
}

/** Pure: from settings to what they mean, by the code that acts on them. `origins` tells what was written and what `auto` chose. */
export const explanationOf = ({ settings, origins }: Pick<Extract<Loaded, { kind: 'ok' }>, 'settings' | 'origins'>): Explanation => {
  const { publicUrl, basePath, frontend } = settings
  const provider = settings.providers.default
  const profile = profileOf(provider.profile, provider)
  const routes = compileRoutes(settings.routes)
  const facts: RouteFacts = {
    settings,
    profile,
    scopeRules: { profile, loginScopes: provider.scopes, userAsks: userAsks(routes) },
    headers: headerDeps(publicUrl, routes),
  }
  return {
    public_url: publicUrl.origin,
    base_path: basePath,
    provider: {
      profile: profile.name,
      issuer: provider.issuer,
      tenants: provider.tenants ?? null,
      client_id: provider.clientId,
      target: profile.target,
      rotation: profile.rotation,
    },
    routes: routes.map((route, i) => routeExplanation(route, origins.get(`routes[${i}].token.grant`)?.written ?? 'auto', facts)),
    frontend: !frontend
      ? null
      : frontend.kind === 'dir'
        ? { kind: 'dir', dir: frontend.dir, require_sign_in: frontend.requireSignIn }
        : { kind: 'upstream', upstream: frontend.upstream.origin, require_sign_in: frontend.requireSignIn },
    endpoints: Object.entries(ENDPOINTS)
      .filter(([key]) => isServed(key, provider.logout))
      .map(([key, path]) => ({ name: endpointName(key), path: basePath + path }))
      .concat(wellKnown(routes)),
    headers: {
      request: { removed: [...DROPPED].toSorted(), removed_beginning: DROPPED_FAMILIES.toSorted() },
      response: { removed: DROPPED_ANSWERS.toSorted(), removed_beginning: DROPPED_ANSWER_FAMILIES.toSorted() },
    },
  }
}

const isServed = (key: string, { backchannel, frontchannel }: Settings['providers']['default']['logout']): boolean =>
  key === 'logoutBackchannel' ? backchannel : key === 'logoutFrontchannel' ? frontchannel : true

const endpointName = (key: string): string => key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

/** Documents for machines; of the edge's own making, where routes ask for them. */
const wellKnown = (routes: readonly Route[]): { name: string; path: string }[] => {
  const takers = routes.filter(({ callers }) => callers?.includes('bearer'))
  return [
    ...(routes.some(({ userContext }) => userContext !== undefined) ? [{ name: 'context-keys', path: CONTEXT_KEYS_PATH }] : []),
    ...(takers.length > 0 ? ['', ...takers.map(({ path }) => path)] : []).map((path) => ({
      name: 'protected-resource',
      path: METADATA_PATH + path,
    })),
  ]
}

interface RouteFacts extends RequestFacts {
  readonly settings: Settings
  readonly headers: HeaderDeps
}

const routeExplanation = (route: Route, grantWritten: string, facts: RouteFacts): RouteExplanation => {
  const { token, allow, headers, limits } = route
  const { principal } = token
  const { clientId, profile } = facts.settings.providers.default
  const ask = token.principal === 'none' ? undefined : token.ask
  const callers = route.callers ?? ['session']
  const grant = principal === 'user' && !callers.includes('session') ? undefined : ask?.grant
  const bearerGrant = token.principal === 'user' ? token.bearerAsk?.grant : undefined
  const isForSession = principal !== 'none' || allow !== undefined
  return {
    name: route.name,
    path: route.path,
    methods: route.methods,
    upstream: route.upstream.origin + route.upstreamPath,
    principal,
    callers,
    grant: grant ?? null,
    bearer_grant: bearerGrant ?? null,
    grant_chosen: {
      by: grantWritten === 'auto' || (grantWritten !== grant && grantWritten !== bearerGrant) ? 'auto' : 'settings',
      because:
        [...new Set([grant, bearerGrant])]
          .flatMap((one) => (one ? [GRANT_WORDS[one]] : []))
          .join('; for callers with a token of their own: ') || GRANT_WORDS.none,
    },
    audience: ask?.audience ?? null,
    scopes: ask?.scopes ?? [],
    asked_as: askedAs(token, callers, facts),
    allow: {
      rule: allow ? allowRule(allow) : null,
      text: allowText(allow, callers),
      lines: allowLines(allow, callers),
      reads: allowReads(allow, roleSources(profile, clientId), callers),
    },
    csrf: { required: isForSession && callers.includes('session'), text: csrfOf(isForSession, callers) },
    headers: {
      request: {
        only: headers.requestOnly ?? null,
        cookies: headers.requestCookies,
        authorization: {
          attached: principal,
          text: token.principal === 'app' && token.attach ? keyWords(token.attach.name) : AUTHORIZATION_WORDS[principal],
        },
        set: outboundNames(route, facts.headers),
        identity: Object.fromEntries((headers.requestIdentity ?? []).map(({ header, claim }) => [header, claim])),
        user_context: route.userContext === undefined ? null : contextOf(route.userContext, facts.settings),
      },
      response: {
        set_cookie: headers.responseSetCookie,
        cors: 'dropped',
        cache: { shared: !isForSession, text: cacheWords(isForSession) },
        set: inboundNames(route, facts.headers, isForSession),
      },
    },
    limits: {
      body_bytes: limits.bodyBytesMax,
      timeout_ms: limits.headersTimeoutMs,
      idle_timeout_ms: limits.bodyTimeoutMs,
      connect_timeout_ms: limits.connectTimeoutMs,
      in_flight: limits.inFlightMax,
    },
    upstream_sees: {
      principal,
      subject: ({ user: 'user', app: 'client', none: 'none' } as const)[principal],
      client_id: principal === 'none' ? null : clientId,
      text:
        [
          ...new Set(
            [grant, bearerGrant].flatMap((one) => (one ? [upstreamSees(principal, clientId, one, ask?.actor !== undefined)] : [])),
          ),
        ].join('; or ') || upstreamSees(principal, clientId),
    },
  }
}

const csrfOf = (isForSession: boolean, callers: readonly CallerKind[]): string => {
  const guarded = csrfWords(isForSession && callers.includes('session'))
  return callers.includes('bearer') ? `${guarded}; access tokens are sent by no page unasked` : guarded
}

const contextOf = (audience: string, { userContext }: Settings) => ({
  header: USER_CONTEXT_HEADER,
  audience,
  claims: ['sub', 'tid', ...userContext.claims],
})

/** The names that the proxy itself writes, found by letting it write them for a request that says nothing. */
const outboundNames = (route: Route, deps: HeaderDeps): readonly string[] => {
  const silent = { rawHeaders: [], headers: {}, method: 'GET' } as unknown as IncomingMessage
  const token = route.token.principal === 'none' ? undefined : Secret.of('access-token', 'none')
  const written = outboundHeaders(silent, outboundRules(route, deps), { chain: ['192.0.2.1'], requestId: '-', token, hasBody: false })
  return namesOf(written)
}

const inboundNames = (route: Route, deps: HeaderDeps, isForSession: boolean): readonly string[] =>
  namesOf([...inboundHeaders({}, inboundRules(route, deps), isForSession), 'x-request-id', '-'])

const namesOf = (turns: readonly string[]): readonly string[] => [...new Set(turns.filter((_text, i) => i % 2 === 0))].toSorted()
