import type { HeaderDeps } from '../proxy/header-rules.ts'

/** Every cookie of the gateway begins so, on every port: none ever reaches an upstream, none is ever set by one. */
const OWN_COOKIES = '__host-http-sallyport'
/** RFC 6797; on proxied answers too, in place of the upstream's own. */
const HSTS = ['strict-transport-security', 'max-age=31536000; includeSubDomains']

export const headerDeps = (publicUrl: URL): HeaderDeps => ({
  publicUrl,
  isOwnCookie: (name) => name.toLowerCase().startsWith(OWN_COOKIES),
  ...(publicUrl.protocol === 'https:' && { responseHeaders: HSTS }),
})
