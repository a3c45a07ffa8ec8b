import type { Route } from '../domain/route.ts'
import { seconds } from '../kernel/time.ts'

/** `frontend.upstream` as a route for everything nobody else claims: no token, no session, and no cookie of any kind goes there. */
export const frontendRoute = (upstream: URL): Route => ({
  name: 'frontend',
  path: '',
  upstream,
  upstreamPath: '',
  methods: ['GET', 'HEAD'],
  token: { principal: 'none' },
  allow: undefined,
  limits: { bodyBytesMax: 0, headersTimeoutMs: seconds(30), bodyTimeoutMs: seconds(60), connectTimeoutMs: seconds(5), inFlightMax: 1000 },
  headers: { requestOnly: undefined, requestCookies: [], responseSetCookie: [] },
  tls: { caFile: undefined, serverName: undefined },
})
