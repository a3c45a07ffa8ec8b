import { makeAsk } from '../broker/token-key.ts'
import type { RouteSettings } from '../config/settings.ts'
import type { Route, RouteToken } from '../domain/route.ts'
import type { Ask } from '../domain/token.ts'

/** Settings name audience and scopes; the compiled route carries the ask with the key that names its token. */
export const compileRoutes = (settings: readonly RouteSettings[]): readonly Route[] =>
  settings.map((route) => ({ ...route, token: tokenOf(route.token) }))

const tokenOf = (token: RouteSettings['token']): RouteToken => {
  if (token.principal === 'none') return token
  if (token.principal === 'app') return { principal: 'app', ask: makeAsk('client_credentials', token.audience, token.scopes) }
  return { principal: 'user', ask: makeAsk('refresh', token.audience, token.scopes) }
}

/** What users' tokens are asked for, each once, in the order of the routes: the first is what a sign-in's code is redeemed for. */
export const userAsks = (routes: readonly Route[]): readonly Ask[] => {
  const asks = new Map<string, Ask>()
  for (const { token } of routes) if (token.principal === 'user' && !asks.has(token.ask.key)) asks.set(token.ask.key, token.ask)
  return [...asks.values()]
}
