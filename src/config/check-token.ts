import type { ProviderProfile } from '../domain/profile.ts'
import type { GrantName } from '../domain/token.ts'
import { grantsOf } from './build-token.ts'
import type { Report } from './report.ts'
import type { Parsed } from './schema.ts'

type RouteInput = Parsed['routes'][number]

/** Which of a token's settings belong to which grant. */
const OWNED = {
  subject: ['exchange', 'on_behalf_of'],
  actor: ['exchange'],
  key_file: ['static', 'service_account'],
  subject_claim: ['service_account'],
  header: ['static'],
  scheme: ['static'],
} as const satisfies Partial<Record<keyof RouteInput['token'], readonly string[]>>

/** As whom, how, and whether that can be. */
export const checkToken = (route: RouteInput, i: number, profile: ProviderProfile, report: Report): void => {
  const { token } = route
  const at = ['routes', i, 'token']
  if (token.principal === 'none') {
    const isAsked = Object.entries(token).some(([name, value]) =>
      name === 'grant' ? value !== 'auto' : name === 'scopes' ? token.scopes.length > 0 : name !== 'principal' && value !== undefined,
    )
    if (isAsked) report({ code: 'config.route-token-contradiction', path: at, onKey: true })
    return
  }
  if (token.grant !== 'static' && token.audience === undefined && token.scopes.length === 0)
    report({ code: 'config.route-token-for-nobody', path: at, onKey: true })
  if (token.principal === 'app' && route.allow === undefined) report({ code: 'config.route-allow-absent', path: ['routes', i] })
  checkGrant(route, i, profile, report)
}

const checkGrant = (route: RouteInput, i: number, profile: ProviderProfile, report: Report): void => {
  const { token, callers } = route
  const at = ['routes', i, 'token']
  const grants = grantsOf(route, profile)
  const chosen = [grants.user, grants.bearer, grants.app].filter((grant) => grant !== undefined)
  // 1. Each caller that is let in can be served.
  const unserved =
    token.principal === 'app'
      ? grants.app === undefined
      : callers.some((kind) => grants[kind === 'session' ? 'user' : 'bearer'] === undefined)
  if (unserved) {
    const path = token.grant === 'auto' ? at : [...at, 'grant']
    const reason =
      token.grant === 'auto'
        ? `profile ${profile.name} knows no way to such a token`
        : `the grant ${token.grant} does not yield tokens of principal ${token.principal} here`
    return report({ code: 'config.route-grant-mismatch', path, reason, ...(token.grant === 'auto' && { onKey: true }) })
  }
  const lacks = chosen.find((grant) => !isKnown(grant, profile))
  if (lacks)
    return report({
      code: 'config.route-grant-unavailable',
      path: [...at, 'grant'],
      reason: `a provider of profile ${profile.name} does not know the grant ${lacks}`,
      fix: otherThan(lacks, profile),
    })
  // 2. What a grant needs.
  if (token.key_file === undefined && chosen.some((grant) => grant === 'static' || grant === 'service_account'))
    report({ code: 'config.route-key-file-absent', path: [...at, 'grant'] })
  if (grants.user === 'service_account' && route.allow === undefined)
    report({
      code: 'config.route-allow-absent',
      path: ['routes', i],
      reason: 'a service account can act as anybody of its domain, so the route must say who may use it',
    })
  if (grants.user === 'on_behalf_of' && token.subject === undefined) report({ code: 'config.route-subject-absent', path: [...at, 'grant'] })
  if ((grants.user === 'on_behalf_of' || grants.user === 'exchange') && isEmpty(token.subject))
    report({ code: 'config.route-token-for-nobody', path: [...at, 'subject'], onKey: true })
  if (isEmpty(token.actor)) report({ code: 'config.route-token-for-nobody', path: [...at, 'actor'], onKey: true })
  if (grants.bearer === 'pass_through' && token.audience === undefined)
    report({
      code: 'config.route-token-for-nobody',
      path: at,
      onKey: true,
      reason: 'without an audience nothing says whether a token may pass',
    })
  if (grants.user === 'service_account' && token.scopes.length === 0)
    report({
      code: 'config.route-token-for-nobody',
      path: at,
      onKey: true,
      reason: 'a service account is given scopes; tokens for an audience alone (Cloud Run, IAP) are not made',
      fix: 'Add `scopes`.',
    })
  if (grants.user === 'service_account' && CHOSEN_BY_PEOPLE.has(token.subject_claim ?? ''))
    report({ code: 'config.subject-claim-chosen', path: [...at, 'subject_claim'] })
  if (grants.app === 'static') checkHeader(token, at, report)
  // 3. What it has no use for.
  for (const [name, owners] of Object.entries(OWNED))
    if (token[name as keyof typeof OWNED] !== undefined && !chosen.some((grant) => (owners as readonly string[]).includes(grant)))
      report({
        code: 'config.route-token-unused',
        path: [...at, name],
        onKey: true,
        reason: `\`${name}\` goes with ${owners.map((owner) => `\`grant: ${owner}\``).join(' or ')} only`,
      })
}

/** OpenID Connect Core 1.0 §5.7: none of these identifies anybody. */
const CHOSEN_BY_PEOPLE = new Set(['preferred_username', 'username', 'nickname', 'name', 'given_name'])

/** Keys and callers' tokens need no provider; a service account has its own. */
const isKnown = (grant: GrantName, { derivations, grants }: ProviderProfile): boolean => {
  if (grant === 'client_credentials') return grants.app !== undefined
  return (grant !== 'exchange' && grant !== 'on_behalf_of') || derivations.includes(grant)
}

const otherThan = (grant: GrantName, { derivations: [other] }: ProviderProfile): string => {
  if (grant === 'client_credentials') return 'Write `grant: static` with a key, or `principal: user` with `grant: service_account`.'
  return other === undefined ? 'Leave `grant` away: `auto` knows.' : `Leave \`grant\` away, or write \`grant: ${other}\`.`
}

const isEmpty = (ask: RouteInput['token']['subject']): boolean => ask !== undefined && ask.audience === undefined && ask.scopes.length === 0

/** Not one that means something else on the way: hop by hop, framing, or a name that the gateway writes itself. */
const RESERVED =
  /^(?:content-|cookie|host$|x-forwarded-|forwarded$|x-real-ip$|proxy-|accept-encoding$|traceparent$|tracestate$|x-request-id$|x-sallyport-|sallyport-)/
const checkHeader = ({ header, scheme }: RouteInput['token'], at: readonly (string | number)[], report: Report): void => {
  const name = header?.toLowerCase()
  if (name !== undefined && (RESERVED.test(name) || HOP_BY_HOP.has(name) || !/^[a-z0-9-]+$/.test(name)))
    report({ code: 'config.route-key-header', path: [...at, 'header'] })
  if (scheme !== undefined && !/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(scheme))
    report({
      code: 'config.value-invalid',
      path: [...at, 'scheme'],
      reason: 'a scheme is one word (RFC 9110 §11.1)',
      fix: 'Write something like `ApiKey`.',
    })
}
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'expect', 'http2-settings'])
