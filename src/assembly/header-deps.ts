import type { Route } from '../domain/route.ts'
import type { HeaderDeps } from '../proxy/header-rules.ts'

/** Every cookie of the gateway begins so, on every port: none ever reaches an upstream, none is ever set by one. */
const OWN_COOKIES = '__host-http-sallyport'
/** RFC 6797; on proxied answers too, in place of the upstream's own. */
const HSTS = ['strict-transport-security', 'max-age=31536000; includeSubDomains']

export const headerDeps = (publicUrl: URL, routes: readonly Pick<Route, 'headers'>[]): HeaderDeps => ({
  publicUrl,
  isOwnCookie: (name) => name.toLowerCase().startsWith(OWN_COOKIES),
  identityHeaders: new Set(routes.flatMap(({ headers }) => (headers.requestIdentity ?? []).map(({ header }) => header))),
  ...(publicUrl.protocol === 'https:' && { responseHeaders: HSTS }),
})
