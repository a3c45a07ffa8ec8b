import type { Report } from './report.ts'
import type { Parsed } from './schema.ts'

type RouteInput = Parsed['routes'][number]

/** Wrong turns that start all the same: rights wider than the page that uses them needs (RFC 9700 §2.3, least privilege). */
export const checkTokens = (routes: readonly RouteInput[], report: Report): void => {
  for (const [i, route] of routes.entries()) {
    const { token } = route
    if (token.principal === 'none') continue
    const path = ['routes', i, 'token', 'scopes']
    // 1. What anybody signed in may change with an application's rights.
    const unsafe = route.methods.filter((method) => method !== 'GET' && method !== 'HEAD' && method !== 'OPTIONS')
    if (token.principal === 'app' && route.allow === 'signed_in' && unsafe.length > 0)
      report({ code: 'config.app-rights-for-everybody', path: ['routes', i, 'allow'], also: ['routes', i, 'token'] })
    // 2. `.default` stands for all that was ever consented to: beside single scopes Entra refuses it (AADSTS70011), alone it is more than a page needs.
    const all = token.scopes.findIndex(isDefault)
    if (all >= 0 && token.scopes.length > 1) report({ code: 'config.scopes-default-mixed', path: [...path, all] })
    else if (all >= 0 && token.principal === 'user') report({ code: 'config.scopes-over-broad', path: [...path, all] })
    const broad = token.scopes.findIndex(isBroad)
    if (broad >= 0) report({ code: 'config.scopes-over-broad', path: [...path, broad] })
    // 3. Whoever gets a token that is good elsewhere can use it there.
    const owners = token.scopes.map(ownerOf)
    const [first = token.audience] = owners.filter((owner) => owner !== undefined)
    const foreign = owners.findIndex((owner) => owner !== undefined && owner !== (token.audience ?? first))
    if (foreign >= 0) report({ code: 'config.token-for-two-audiences', path: [...path, foreign] })
    const { audience } = token
    const shared = routes
      .slice(0, i)
      .findIndex(
        (other) =>
          audience !== undefined &&
          other.token.audience === audience &&
          other.upstream.host !== route.upstream.host &&
          other.token.grant !== 'static',
      )
    if (shared >= 0 && token.grant !== 'static')
      report({
        code: 'config.token-for-two-audiences',
        path: ['routes', i, 'token', 'audience'],
        also: ['routes', shared, 'token', 'audience'],
        reason: 'two upstreams get tokens for one audience: each can call the other with what it was sent',
      })
  }
}

const isDefault = (scope: string): boolean => scope === '.default' || scope.endsWith('/.default')
/** Names that mean "everything" at the providers we know: `*`, `Directory.ReadWrite.All`, `full_access`, `admin`. */
const isBroad = (scope: string): boolean =>
  /\*/.test(scope) ||
  /(?:^|[/:._-])(?:admin|root|superuser|full[_-]?access|full[_-]?control|realm-management)(?:$|[/:._-])/i.test(scope) ||
  /\.ReadWrite\.All$/i.test(scope)

/** `api://orders/read` → `api://orders`; bare words name no resource. */
const ownerOf = (scope: string): string | undefined => /^([a-z][a-z0-9+.-]*:\/\/.+)\/[^/]+$/i.exec(scope)?.[1]
