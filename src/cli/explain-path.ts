import { RESOURCE_METADATA, WELL_KNOWN } from '../config/check-routes.ts'
import type { Settings } from '../config/settings.ts'
import { compileRoutes } from '../assembly/compile-routes.ts'
import { canonicalPath } from '../policy/canonical-path.ts'
import { claims, routeTable } from '../policy/route-table.ts'
import type { Explanation } from './explanation.ts'

/** Who claims a path, and why. `refused`: the gateway answers a problem itself; `route` and `frontend` are names of explanation parts. */
export interface Claim {
  readonly kind: 'route' | 'endpoint' | 'frontend' | 'refused' | 'nobody'
  /** Route or endpoint. */
  readonly name: string | null
  /** The answer's code where the gateway refuses. */
  readonly problem: 'request.path-ambiguous' | 'endpoint.unknown' | null
  /** frontend: a session is asked for before the page is served. */
  readonly sign_in: boolean
  readonly text: string
}

/** @param target a path, with or without a query, as the browser would send it */
export const claimOf = (target: string, settings: Settings, explained: Explanation): Claim => {
  // 1. One reading, or none.
  const canonical = canonicalPath(target)
  if (!canonical)
    return refused(
      'request.path-ambiguous',
      'refused with 400: the path can be read in two ways (encoded slash, dot or letter, dot segment, backslash, semicolon, doubled slash or raw non-ASCII)',
    )
  const { path } = canonical
  // 2. The gateway's own.
  const endpoint = explained.endpoints.find((own) => own.path === path || refPattern(own.path)?.test(path))
  if (endpoint)
    return { ...NOTHING, kind: 'endpoint', name: endpoint.name, text: `the gateway answers it itself: endpoint ${endpoint.name}` }
  const takesBearers = settings.routes.some(({ callers }) => callers?.includes('bearer'))
  const own = [settings.basePath, WELL_KNOWN, ...(takesBearers ? [RESOURCE_METADATA] : [])]
  const reserved = path === WELL_KNOWN ? undefined : own.find((prefix) => claims(prefix, path))
  if (reserved !== undefined)
    return refused('endpoint.unknown', `refused with 404: everything below ${reserved} is the gateway’s, and there is no such endpoint`)
  // 3. A route: the longest path wins.
  const claimants = explained.routes.filter((route) => claims(route.path, path)).toSorted((a, b) => b.path.length - a.path.length)
  const found = routeTable(compileRoutes(settings.routes), own).match(path)
  if (found) return { ...NOTHING, kind: 'route', name: found.name, text: routeReason(found.path, path, claimants) }
  if (claimants[0])
    return refused(
      'endpoint.unknown',
      `refused with 404: it differs only in upper and lower case from what another route claims, so that ${claimants[0].path} does not take it`,
    )
  // 4. The frontend takes the rest.
  return frontendClaim(path, settings)
}

/** Of an endpoint with a session ref in its path. */
const refPattern = (path: string): RegExp | undefined =>
  path.includes('{ref}') ? new RegExp(`^${path.replaceAll('.', '\\.').replace('{ref}', '[\\w-]{22}')}$`) : undefined

const NOTHING = { name: null, problem: null, sign_in: false } as const
const refused = (problem: Claim['problem'], text: string): Claim => ({ ...NOTHING, kind: 'refused', problem, text })

const routeReason = (prefix: string, path: string, claimants: readonly { readonly path: string }[]): string => {
  const others = claimants.filter((other) => other.path !== prefix).map((other) => other.path)
  const how = prefix === path ? 'it is the path of the route' : `it lies below ${prefix}`
  return others.length === 0 ? how : `${how}, the longest of the paths that claim it (shorter: ${others.join(', ')})`
}

const frontendClaim = (path: string, { frontend }: Settings): Claim => {
  if (!frontend)
    return { ...NOTHING, kind: 'nobody', problem: 'endpoint.unknown', text: '404: no route claims it, and there is no frontend' }
  const from = frontend.kind === 'dir' ? 'a file of the frontend, or its index.html' : `the frontend at ${frontend.upstream.origin}`
  // As the gate does: `/` is everything, and case does not matter.
  const page = frontend.requireSignIn.find((prefix) => claims(prefix === '/' ? '' : prefix.toLowerCase(), path.toLowerCase()))
  return {
    ...NOTHING,
    kind: 'frontend',
    sign_in: page !== undefined,
    text: `no route claims it: ${from}, by GET and HEAD, without a token${page === undefined ? '' : `; a session is needed below ${page}`}`,
  }
}
