import type { Answer } from './answer.ts'
import { ownHeaders } from './answer.ts'
import type { EdgeContext } from './edge-context.ts'
import type { Endpoint } from './endpoint.ts'
import type { ProtectedResourceDeps } from './protected-resource.ts'
import { METADATA_PATH, protectedResourceEndpoints } from './protected-resource.ts'

export interface WellKnownDeps {
  /** The public keys of signed user contexts (RFC 7517 §5); absent: none are signed here. */
  readonly contextKeys?: (() => object) | undefined
  /** The public halves of the gateway's own keys, those in use and those to come, for a provider that fetches them; absent: there is no such document. */
  readonly clientKeys?: (() => readonly object[]) | undefined
  readonly resources: ProtectedResourceDeps
}

export const CONTEXT_KEYS_PATH = '/.well-known/sallyport/context-jwks.json'
export const CLIENT_KEYS_PATH = '/.well-known/sallyport/client-jwks.json'
/** Shorter than any `keys_settle` worth setting: by the time a new key signs, whoever keeps the set has asked again. */
const KEYS_MAX_AGE_SECONDS = 60

/** Documents for machines, the same for everybody: no session, no cookie, no CSRF. */
export const wellKnownEndpoints = (context: EdgeContext, { contextKeys, clientKeys, resources }: WellKnownDeps): readonly Endpoint[] => [
  ...(contextKeys ? [keysEndpoint(context, 'context-keys', CONTEXT_KEYS_PATH, contextKeys)] : []),
  ...(clientKeys ? [keysEndpoint(context, 'client-keys', CLIENT_KEYS_PATH, () => ({ keys: clientKeys() }))] : []),
  ...protectedResourceEndpoints(context, resources),
]

/** What else lies below them is nobody's. */
export const wellKnownPaths = ({ resources }: WellKnownDeps): readonly string[] =>
  resources.routes.length > 0 ? [`${METADATA_PATH}/*`] : []

const keysEndpoint = ({ https }: EdgeContext, name: string, path: string, keys: () => object): Endpoint => {
  const run = async (): Promise<Answer> => ({
    status: 200,
    headers: {
      ...ownHeaders(https),
      'cache-control': `public, max-age=${KEYS_MAX_AGE_SECONDS}`,
      'content-type': 'application/jwk-set+json; charset=utf-8',
    },
    body: JSON.stringify(keys()),
  })
  return { name, path, methods: { GET: { guard: 'open', run }, HEAD: { guard: 'open', run } } }
}
