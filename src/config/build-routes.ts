import type { Allow } from '../domain/route.ts'
import type { Json } from '../domain/token.ts'
import type { ProviderProfile } from '../domain/profile.ts'
import { PROFILES } from '../domain/profiles/profiles.ts'
import { buildToken } from './build-token.ts'
import { resolvePath } from './reference.ts'
import type { Parsed } from './schema.ts'
import type { RouteSettings } from './settings.ts'
import type { AllowInput } from './settings-routes.ts'

type RouteInput = Parsed['routes'][number]

const CALLER_KINDS = ['session', 'bearer'] as const

/** The label of metrics and logs. */
export const routeName = (route: Pick<RouteInput, 'name' | 'path'>): string => route.name ?? route.path.slice(1)

export const buildRoute = (route: RouteInput, profile: ProviderProfile['name'], dir: string): RouteSettings => {
  const prefix = route.upstream.pathname.replace(/\/+$/, '')
  return {
    name: routeName(route),
    path: route.path,
    upstream: new URL(route.upstream.origin),
    upstreamPath: `${prefix}${route.strip_prefix ? '' : route.path}`,
    methods: route.methods,
    token: buildToken(route, PROFILES[profile], dir),
    callers: CALLER_KINDS.filter((kind) => route.callers.includes(kind)),
    ...(route.user_context !== undefined && route.token.audience !== undefined && { userContext: route.token.audience }),
    allow: route.allow === undefined ? (route.token.principal === 'user' ? { kind: 'signed-in' } : undefined) : buildAllow(route.allow),
    limits: {
      bodyBytesMax: route.limits.body,
      headersTimeoutMs: route.limits.timeout,
      bodyTimeoutMs: route.limits.idle_timeout,
      connectTimeoutMs: route.limits.connect_timeout,
      inFlightMax: route.limits.in_flight,
    },
    headers: {
      requestOnly: route.headers.request.only,
      requestCookies: route.headers.request.cookies,
      ...(route.headers.request.identity && {
        requestIdentity: Object.entries(route.headers.request.identity).map(([name, claim]) => ({ header: name.toLowerCase(), claim })),
      }),
      responseSetCookie: route.headers.response.set_cookie,
    },
    tls: {
      caFile: route.tls.ca_file === undefined ? undefined : resolvePath(dir, route.tls.ca_file),
      serverName: route.tls.server_name,
      client:
        route.tls.certificate_file === undefined || route.tls.private_key_file === undefined
          ? undefined
          : {
              certificateFile: resolvePath(dir, route.tls.certificate_file),
              privateKeyFile: resolvePath(dir, route.tls.private_key_file),
            },
    },
  }
}

/** check-routes.ts has made sure that a mapping holds exactly one condition; should it not, nobody gets in. */
const buildAllow = (rule: AllowInput): Allow => {
  if (rule === 'signed_in') return { kind: 'signed-in' }
  if (rule.roles) return { kind: 'role', anyOf: rule.roles }
  if (rule.groups) return { kind: 'group', anyOf: rule.groups }
  if (rule.scopes) return { kind: 'scope', anyOf: rule.scopes }
  if (rule.clients) return { kind: 'client', anyOf: rule.clients }
  if (rule.tenant !== undefined) return { kind: 'tenant', anyOf: [rule.tenant].flat() }
  if (rule.claims) {
    const rules = Object.entries(rule.claims).map(
      ([name, wanted]): Allow => ({ kind: 'claim', name, anyOf: [wanted].flat() as readonly Json[] }),
    )
    return rules.length === 1 && rules[0] ? rules[0] : { kind: 'all-of', rules }
  }
  if (rule.all_of) return { kind: 'all-of', rules: rule.all_of.map(buildAllow) }
  return { kind: 'any-of', rules: (rule.any_of ?? []).map(buildAllow) }
}
