import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { Route } from '../domain/route.ts'
import type { Forwarding, Lane } from './forwarding.ts'
import { outboundHeaders } from './outbound-headers.ts'

/**
 * Hands a request to the upstream. undici reports even its own refusals through the handler.
 * @param chain of trusted-proxies.ts
 * @param body of the request as it comes, or as it was kept for a second try
 */
export const send = (
  lane: Lane,
  forwarding: Forwarding,
  chain: readonly string[],
  token: Forwarding['token'],
  body: Readable | Buffer | null,
  handler: Dispatcher.DispatchHandler,
): void => {
  const { request, route, path, query, requestId, identity } = forwarding
  lane.pool.dispatch(
    {
      path: upstreamTarget(route, path) + query,
      method: request.method ?? '',
      headers: outboundHeaders(request, lane.outbound, { chain, requestId, token, identity, hasBody: body !== null }),
      body,
      headersTimeout: route.limits.headersTimeoutMs,
      // An event stream may be silent for as long as it likes; the session's end bounds it.
      bodyTimeout: request.headers.accept?.includes('text/event-stream') ? 0 : route.limits.bodyTimeoutMs,
      blocking: false,
    },
    handler,
  )
}

const upstreamTarget = (route: Route, path: string): string => {
  if (route.upstreamPath === route.path) return path
  const target = route.upstreamPath + path.slice(route.path.length)
  return target === '' ? '/' : target
}
