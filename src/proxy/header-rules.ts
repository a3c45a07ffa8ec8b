import type { Route, TokenHeader } from '../domain/route.ts'
import type { InboundRules } from './inbound-headers.ts'
import { locationRewrite } from './location.ts'
import type { OutboundRules } from './outbound-headers.ts'

/** What the gateway says of itself in headers, the same for every route. */
export interface HeaderDeps {
  readonly publicUrl: URL
  /** The gateway's own cookies, by name: never sent to an upstream, never set by one. */
  readonly isOwnCookie: (name: string) => boolean
  /**
   * Names by which any route tells its upstream who calls. They pass on none: two routes may lead to one upstream, and what only one of them says could be
   * said through the other.
   */
  readonly identityHeaders?: ReadonlySet<string>
  /** On every proxied answer, lower-case names and values in turn, in place of the upstream's own (Strict-Transport-Security). */
  readonly responseHeaders?: readonly string[]
}

/** RFC 6750 §2.1. */
const BEARER: TokenHeader = { name: 'authorization', prefix: 'Bearer ' }

/** A route's headers on the way in, compiled: by the forwarder to follow, by `explain` to tell. */
export const outboundRules = (route: Route, { publicUrl, isOwnCookie, identityHeaders }: HeaderDeps): OutboundRules => {
  const proto = publicUrl.protocol.slice(0, -1)
  const port = publicUrl.port || (proto === 'https' ? '443' : '80')
  const isStripped = route.path !== '' && route.upstreamPath !== route.path
  return {
    only: route.headers.requestOnly && new Set(route.headers.requestOnly),
    identity: identityHeaders,
    cookies: new Set(route.headers.requestCookies),
    isOwnCookie,
    forwardedTail: `;host="${publicUrl.host}";proto=${proto}`,
    forwardedConstants: [
      ...['x-forwarded-host', publicUrl.host, 'x-forwarded-proto', proto, 'x-forwarded-port', port],
      ...(isStripped ? ['x-forwarded-prefix', route.path] : []),
    ],
    attach: (route.token.principal === 'app' ? route.token.attach : undefined) ?? BEARER,
  }
}

export const inboundRules = (route: Route, { isOwnCookie, responseHeaders }: HeaderDeps): InboundRules => ({
  setCookie: new Set(route.headers.responseSetCookie),
  isOwnCookie,
  location: locationRewrite(route),
  constants: responseHeaders ?? [],
})
