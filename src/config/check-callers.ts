import { USER_CONTEXT_CLAIMS } from '../contract/user-context.ts'
import type { Report } from './report.ts'
import type { Parsed } from './schema.ts'
import type { AllowInput } from './settings-routes.ts'

type RouteInput = Parsed['routes'][number]

/** Who calls, and what the upstream is told of them. */
export const checkCallers = ({ routes, provider, session, user_context }: Parsed, report: Report): void => {
  for (const [i, route] of routes.entries()) {
    checkBearers(route, i, provider.bearer.audiences, report)
    checkIdentity(route, i, report)
    if (route.user_context !== undefined && user_context.keys_dir === undefined && session.store !== 'memory')
      report({ code: 'config.context-keys-absent', path: ['routes', i, 'user_context'] })
  }
  for (const [i, name] of user_context.claims.entries())
    if (USER_CONTEXT_CLAIMS.includes(name)) report({ code: 'config.context-claim-reserved', path: ['user_context', 'claims', i] })
}

const checkBearers = ({ callers, token, allow }: RouteInput, i: number, audiences: readonly string[], report: Report): void => {
  const path = ['routes', i, 'callers']
  if (callers.includes('bearer')) {
    if (audiences.length === 0) report({ code: 'config.bearer-audience-absent', path })
    if (token.principal === 'none' && allow === undefined) report({ code: 'config.callers-for-nobody', path })
  } else if (allow !== undefined && namesClients(allow)) report({ code: 'config.clients-unused', path: ['routes', i, 'allow'] })
}

const namesClients = (rule: AllowInput): boolean =>
  rule !== 'signed_in' && (rule.clients !== undefined || [...(rule.any_of ?? []), ...(rule.all_of ?? [])].some(namesClients))

const checkIdentity = ({ user_context, token, allow, headers }: RouteInput, i: number, report: Report): void => {
  const identity = headers.request.identity
  const isForNobody = token.principal === 'none' && allow === undefined
  const at = ['routes', i, 'headers', 'request', 'identity']
  if (identity) {
    if (isForNobody) report({ code: 'config.identity-of-nobody', path: at, onKey: true })
    else report({ code: 'config.identity-unsigned', path: at, onKey: true })
    // Two lines of one name, a key and a user's: which of them an API reads could not be told.
    const seen = new Set<string>(token.header === undefined ? [] : [token.header.toLowerCase()])
    for (const name of Object.keys(identity)) {
      const lower = name.toLowerCase()
      if (!/^[a-z0-9-]{1,64}$/.test(lower) || RESERVED.test(lower) || seen.has(lower))
        report({ code: 'config.identity-header', path: [...at, name], onKey: true })
      seen.add(lower)
    }
  }
  if (user_context === undefined) return
  if (isForNobody) report({ code: 'config.identity-of-nobody', path: ['routes', i, 'user_context'] })
  else if (token.audience === undefined) report({ code: 'config.context-audience-absent', path: ['routes', i, 'user_context'] })
}

/** Framing, hop by hop, and what the gateway writes itself. */
const RESERVED =
  /^(?:content-.*|accept.*|authorization|proxy-.*|connection|keep-alive|te|trailer|transfer-encoding|upgrade|expect|host|http2-settings|cookie.*|forwarded|x-forwarded-.*|x-real-ip|traceparent|tracestate|x-request-id|x-csrf|(?:x-)?sallyport-.*)$/
