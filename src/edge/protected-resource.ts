import type { Route } from '../domain/route.ts'
import type { Answer } from './answer.ts'
import { ownHeaders } from './answer.ts'
import type { EdgeContext } from './edge-context.ts'
import type { Endpoint } from './endpoint.ts'

/** RFC 9728 §3: stands before the resource's own path. */
export const METADATA_PATH = '/.well-known/oauth-protected-resource'
export const metadataUrl = (origin: string, path: string): string => `${origin}${METADATA_PATH}${path}`

export interface ProtectedResourceDeps {
  /** Those that take access tokens; none: there are no such documents. */
  readonly routes: readonly Route[]
  /** As tokens name them: one, or one for each tenant. */
  readonly issuers: () => Promise<readonly string[] | undefined>
  /** `provider.bearer.scopes`: what a caller asks for to reach this gateway. */
  readonly scopes: readonly string[]
}

/** Long enough to be worth keeping, short enough that a moved route is noticed. */
const MAX_AGE_SECONDS = 300

/** What a client needs to know to get a token for these routes (RFC 9728): one document for all, and one per route, each under its own resource's name. */
export const protectedResourceEndpoints = ({ origin, https }: EdgeContext, deps: ProtectedResourceDeps): readonly Endpoint[] => {
  if (deps.routes.length === 0) return []
  const document = (path: string, name: string): Endpoint['methods'] => {
    const run = async (): Promise<Answer> => {
      const issuers = await deps.issuers()
      const body = {
        resource: `${origin}${path}`,
        // Left away rather than guessed while the provider has not answered yet.
        ...(issuers && { authorization_servers: issuers }),
        bearer_methods_supported: ['header'],
        ...(deps.scopes.length > 0 && { scopes_supported: deps.scopes }),
        resource_name: name,
      }
      const cache = issuers === undefined ? 'no-store' : `public, max-age=${MAX_AGE_SECONDS}`
      return {
        status: 200,
        headers: { ...ownHeaders(https), 'cache-control': cache, 'content-type': 'application/json; charset=utf-8' },
        body: JSON.stringify(body),
      }
    }
    return { GET: { guard: 'open', run }, HEAD: { guard: 'open', run } }
  }
  const all = { name: 'protected-resource', path: METADATA_PATH, methods: document('', 'all') }
  return [all, ...deps.routes.map(({ path, name }) => ({ ...all, path: `${METADATA_PATH}${path}`, methods: document(path, name) }))]
}
