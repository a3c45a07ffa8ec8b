import { PROFILES } from '../domain/profiles/profiles.ts'
import { checkCallers } from './check-callers.ts'
import { checkToken } from './check-token.ts'
import { checkTokens } from './check-tokens.ts'
import type { Report } from './report.ts'
import type { Parsed } from './schema.ts'
import type { AllowInput } from './settings-routes.ts'
import { routeName } from './build-routes.ts'

/** Fixed by spec §2; beside `base_path` the gateway answers these itself. */
export const WELL_KNOWN = '/.well-known/sallyport'

/** RFC 9728 §3: the gateway's own where routes take access tokens. */
export const RESOURCE_METADATA = '/.well-known/oauth-protected-resource'

export const isBelow = (path: string, prefix: string): boolean => path === prefix || prefix === '/' || path.startsWith(`${prefix}/`)

/** No path may belong to two: nested prefixes are plain (the longest wins), everything that is equal to a careless reader is not. */
export const checkRoutes = (parsed: Parsed, report: Report): void => {
  const { routes, base_path, frontend } = parsed
  const reserved = [base_path, WELL_KNOWN, ...(routes.some(({ callers }) => callers.includes('bearer')) ? [RESOURCE_METADATA] : [])]
  for (const [i, route] of routes.entries()) {
    const earlier = routes.slice(0, i)
    const twin = earlier.findIndex((other) => other.path === route.path)
    const lookalike = earlier.findIndex((other) => other.path !== route.path && other.path.toLowerCase() === route.path.toLowerCase())
    const path = ['routes', i, 'path']
    if (twin >= 0) report({ code: 'config.route-duplicate', path, also: ['routes', twin, 'path'] })
    else if (lookalike >= 0) report({ code: 'config.route-overlap', path, also: ['routes', lookalike, 'path'] })
    // In both directions: a route above the base path would claim the gateway's endpoints.
    if (
      reserved.some((own) => isBelow(route.path.toLowerCase(), own.toLowerCase()) || isBelow(own.toLowerCase(), route.path.toLowerCase()))
    )
      report({ code: 'config.route-path-reserved', path })
    const namesake = earlier.findIndex((other) => other.path !== route.path && routeName(other) === routeName(route))
    if (namesake >= 0)
      report({
        code: 'config.route-name-duplicate',
        path: ['routes', i, route.name === undefined ? 'path' : 'name'],
        also: ['routes', namesake, routes[namesake]?.name === undefined ? 'path' : 'name'],
      })
    checkToken(route, i, PROFILES[parsed.provider.profile], report)
    if ((route.tls.certificate_file === undefined) !== (route.tls.private_key_file === undefined))
      report({ code: 'config.upstream-certificate-half', path: ['routes', i, 'tls'], onKey: true })
    for (const name of ['ca_file', 'server_name', 'certificate_file', 'private_key_file'] as const)
      if (route.upstream.protocol === 'http:' && route.tls[name] !== undefined)
        report({ code: 'config.tls-unused', path: ['routes', i, 'tls', name] })
    if (route.allow !== undefined) checkAllow(route.allow, ['routes', i, 'allow'], report)
  }
  checkTokens(routes, report)
  checkCallers(parsed, report)
  if (frontend && (frontend.dir === undefined) === (frontend.upstream === undefined))
    report({ code: 'config.frontend-choice', path: ['frontend'], onKey: true })
  if (frontend) checkFrontendFiles(frontend, report)
  for (const [i, page] of (frontend?.require_sign_in ?? []).entries()) {
    const owner = routes.findIndex((route) => isBelow(page, route.path))
    if (owner >= 0)
      report({ code: 'config.sign-in-path-claimed', path: ['frontend', 'require_sign_in', i], also: ['routes', owner, 'path'] })
    else if (reserved.some((own) => isBelow(page, own)))
      report({ code: 'config.sign-in-path-claimed', path: ['frontend', 'require_sign_in', i] })
  }
}

const checkFrontendFiles = (frontend: NonNullable<Parsed['frontend']>, report: Report): void => {
  if (frontend.upstream !== undefined && frontend.dir === undefined) {
    if (frontend.csp !== 'default') report({ code: 'config.frontend-files-only', path: ['frontend', 'csp'], onKey: true })
    if (frontend.immutable !== 'auto') report({ code: 'config.frontend-files-only', path: ['frontend', 'immutable'], onKey: true })
    if (frontend.source_maps) report({ code: 'config.frontend-files-only', path: ['frontend', 'source_maps'], onKey: true })
  }
  // Of two with one name a browser takes the first (CSP3 §2.2.1).
  const framers = /(?:^|;)\s*frame-ancestors(?:\s+([^;]*)|\s*(?:;|$))/i.exec(frontend.csp)?.[1]?.trim()
  if (framers !== undefined && framers !== '' && !/^'(?:none|self)'$/i.test(framers))
    report({ code: 'config.csp-framable', path: ['frontend', 'csp'] })
}

/** Deeper than anybody can read; the YAML reader has its own bound behind this one. */
const ALLOW_DEEP_MAX = 8

const checkAllow = (rule: AllowInput, path: readonly (string | number)[], report: Report, deep = 0): void => {
  if (rule === 'signed_in') return
  if (deep > ALLOW_DEEP_MAX) return report({ code: 'config.allow-too-deep', path, onKey: true })
  const given = Object.entries(rule).filter(([, value]) => value !== undefined)
  if (given.length !== 1 || (rule.claims && Object.keys(rule.claims).length === 0))
    report({ code: 'config.allow-choice', path, onKey: true })
  for (const kind of ['any_of', 'all_of'] as const)
    for (const [i, inner] of (rule[kind] ?? []).entries()) checkAllow(inner, [...path, kind, i], report, deep + 1)
}
