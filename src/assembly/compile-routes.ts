import { makeAsk } from '../broker/token-key.ts'
import type { RouteSettings } from '../config/settings.ts'
import type { Allow, Route, RouteToken } from '../domain/route.ts'
import type { Ask } from '../domain/token.ts'

/** Settings name audience and scopes; the compiled route carries the ask with the key that names its token. */
export const compileRoutes = (settings: readonly RouteSettings[]): readonly Route[] =>
  settings.map((route) => ({ ...route, token: tokenOf(route.token) }))

const tokenOf = (token: RouteSettings['token']): RouteToken => {
  if (token.principal === 'none') return token
  const { audience, scopes, keyFile } = token
  if (token.principal === 'app') {
    const ask = makeAsk(token.grant, audience, scopes, token.grant === 'static' ? { keyFile } : {})
    return { principal: 'app', ask, ...(token.attach && { attach: token.attach }) }
  }
  const actor = token.actor && makeAsk('client_credentials', token.actor.audience, token.actor.scopes)
  // Without more, what the sign-in yields: a refresh that names neither audience nor scopes.
  const subject = makeAsk('refresh', token.subject?.audience, token.subject?.scopes ?? [])
  const ask = makeAsk(token.grant, audience, scopes, {
    ...((token.grant === 'exchange' || token.grant === 'on_behalf_of') && { subject }),
    ...(token.grant === 'exchange' && { actor }),
    ...(token.grant === 'service_account' && { keyFile, subjectClaim: token.subjectClaim }),
  })
  if (token.bearerGrant === undefined) return { principal: 'user', ask }
  return {
    principal: 'user',
    ask,
    bearerAsk: makeAsk(token.bearerGrant, audience, scopes, token.bearerGrant === 'exchange' ? { actor } : {}),
  }
}

/**
 * What sessions spend their refresh token for, each once: the first is what a sign-in's code is redeemed for. In the order of the routes, but for what
 * exchanges turn in: all of them wait for that one. A token that is made from another one counts with that one; one of a service account with none.
 */
export const userAsks = (routes: readonly Route[]): readonly Ask[] => {
  const wanted = routes.flatMap(({ token, callers }): Ask[] =>
    token.principal === 'user' && callers?.includes('session') !== false ? [token.ask] : [],
  )
  const turnedIn = wanted.flatMap(({ subject }): Ask[] => (subject ? [subject] : []))
  const asks = [...turnedIn, ...wanted.filter(({ grant }) => grant === 'refresh')]
  return [...new Map(asks.map((ask) => [ask.key, ask])).values()]
}

/** The key files that routes name, by what is in them. */
export const keyFilesOf = (
  routes: readonly Route[],
): { readonly apiKeys: readonly string[]; readonly serviceAccounts: readonly string[] } => {
  const asks = routes.flatMap(({ token }): Ask[] => (token.principal === 'none' ? [] : [token.ask]))
  const files = (grant: Ask['grant']): readonly string[] => [
    ...new Set(asks.flatMap((ask) => (ask.grant === grant && ask.keyFile !== undefined ? [ask.keyFile] : []))),
  ]
  return { apiKeys: files('static'), serviceAccounts: files('service_account') }
}

/** Every group that some rule names; nothing else is worth asking a directory for. */
export const groupsOfRules = (routes: readonly Route[]): readonly string[] => [
  ...new Set(routes.flatMap(({ allow }) => (allow ? groupsIn(allow) : []))),
]

const groupsIn = (allow: Allow): readonly string[] => {
  switch (allow.kind) {
    case 'group':
      return allow.anyOf
    case 'claim':
      return allow.name === 'groups' ? allow.anyOf.filter((value) => typeof value === 'string') : []
    case 'any-of':
    case 'all-of':
      return allow.rules.flatMap(groupsIn)
    default:
      return []
  }
}
