import type { Route } from '../domain/route.ts'

/**
 * An upstream that redirects to itself names an address the browser cannot reach and should not learn. Whatever points to the upstream's host becomes
 * the public path of the route; relative references stay; other hosts pass; what cannot be read is dropped.
 */
export const locationRewrite = (route: Pick<Route, 'path' | 'upstream' | 'upstreamPath'>): ((value: string) => string | undefined) => {
  const isSamePath = route.path === route.upstreamPath
  return (value) => {
    if (isSamePath && value.startsWith('/') && !ODD.test(value)) return value
    if (!value.startsWith('/') && !value.startsWith('\\') && !ABSOLUTE.test(value)) return value // relative to the request
    const url = URL.parse(value, route.upstream.href)
    if (url === null) return undefined
    // The scheme is left aside: behind a TLS terminator of its own an upstream may think it is http.
    if (url.host !== route.upstream.host) return value
    return publicPath(route, url.pathname) + url.search + url.hash
  }
}

const ABSOLUTE = /^\s*[a-z][a-z0-9+.-]*:/i
/** `//host` and `/\host` are other hosts to a browser. */
const ODD = /^\/[/\\]|[\s\\]/

const publicPath = (route: Pick<Route, 'path' | 'upstreamPath'>, pathname: string): string => {
  const isUnder = pathname === route.upstreamPath || pathname.startsWith(`${route.upstreamPath}/`)
  const path = isUnder ? route.path + pathname.slice(route.upstreamPath.length) : pathname
  // An upstream path of `//evil.example` must not become somebody else's host.
  return `/${path.replace(/^\/+/, '')}`
}
