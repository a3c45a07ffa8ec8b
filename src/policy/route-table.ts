import type { Route } from '../domain/route.ts'

/** What makes a list of routes unusable; config/ puts line and caret to it. */
export type RouteFault =
  | { readonly code: 'route.path-not-canonical'; readonly index: number; readonly path: string }
  | { readonly code: 'route.path-reserved'; readonly index: number; readonly path: string; readonly reserved: string }
  | { readonly code: 'route.path-duplicate'; readonly index: number; readonly path: string; readonly other: number }
  | { readonly code: 'route.name-duplicate'; readonly index: number; readonly name: string; readonly other: number }

export interface RouteTable {
  readonly routes: readonly Route[]
  /** The route with the longest path that claims this canonical path up to a segment boundary; undefined: none, or none for certain. */
  match(path: string): Route | undefined
}

/** Unreserved characters only: no escape can then spell the same path a second way. '' is the root. */
const ROUTE_PATH = /^(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*|\/\.[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$/

/** @param reserved paths the gateway answers itself, such as the base path; a route may lie around them, never at or under them */
export const routeFaults = (routes: readonly Pick<Route, 'name' | 'path'>[], reserved: readonly string[]): readonly RouteFault[] => {
  const faults: RouteFault[] = []
  const paths = new Map<string, number>()
  const names = new Map<string, number>()
  for (const [index, { name, path }] of routes.entries()) {
    if (!ROUTE_PATH.test(path)) {
      faults.push({ code: 'route.path-not-canonical', index, path })
      continue
    }
    // Case is folded here and below: to many upstreams /api/Admin and /api/admin are one resource, so they cannot be two routes.
    const folded = path.toLowerCase()
    const kept = reserved.find((own) => claims(own.toLowerCase(), folded))
    if (kept !== undefined) faults.push({ code: 'route.path-reserved', index, path, reserved: kept })
    const samePath = paths.get(folded)
    if (samePath === undefined) paths.set(folded, index)
    else faults.push({ code: 'route.path-duplicate', index, path, other: samePath })
    const sameName = names.get(name)
    if (sameName === undefined) names.set(name, index)
    else faults.push({ code: 'route.name-duplicate', index, name, other: sameName })
  }
  return faults
}

/** True when `path` is the prefix itself or continues it after a slash. */
export const claims = (prefix: string, path: string): boolean =>
  path.startsWith(prefix) && (path.length === prefix.length || path.charCodeAt(prefix.length) === SLASH)
const SLASH = 47

/** Compiles what `routeFaults` found nothing wrong with; throws the first fault's code otherwise. */
export const routeTable = (routes: readonly Route[], reserved: readonly string[]): RouteTable => {
  const fault = routeFaults(routes, reserved)[0]
  if (fault) throw new Error(`${fault.code}: routes[${fault.index}]`)
  const exact = new Map(routes.map((route) => [route.path, route]))
  const folded = new Map(routes.map((route) => [route.path.toLowerCase(), route]))
  const depth = Math.max(0, ...routes.map(({ path }) => path.split('/').length - 1))
  // Where one route lies inside another, /api/ADMIN must not pass as /api: an upstream that folds case would take it for /api/admin.
  const isNested = routes.some((outer) =>
    routes.some((inner) => inner !== outer && claims(outer.path.toLowerCase(), inner.path.toLowerCase())),
  )
  const match = (path: string): Route | undefined => {
    const found = longest(exact, path, depth)
    if (!isNested || found === undefined) return found
    return longest(folded, path.toLowerCase(), depth) === found ? found : undefined
  }
  return { routes, match }
}

/** Looks at the first `depth` segments, then at one less, and so on: no route is longer than that. */
const longest = (byPath: ReadonlyMap<string, Route>, path: string, depth: number): Route | undefined => {
  let end = 0
  for (let i = 0; i < depth && end >= 0; i += 1) end = path.indexOf('/', end + 1)
  for (let at = end < 0 || depth === 0 ? path.length : end; at >= 0; at = path.lastIndexOf('/', at - 1)) {
    const route = byPath.get(path.slice(0, at))
    if (route) return route
    if (at === 0) return undefined
  }
  return byPath.get('')
}
