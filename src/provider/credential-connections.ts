import { createSecureContext } from 'node:tls'
import { createAgent } from './agent.ts'
import type { Credential, TlsCredential } from '../domain/credential.ts'
import { createFetch } from './fetch.ts'
import type { BoundedFetch } from './fetch.ts'

/** More than two of them are there only while operations swap faster than connections end. */
const AGENTS_MAX = 4

/**
 * Connections by what they prove. A client certificate belongs to its connections, so each has its own agent: a request under way ends on the connection it
 * began on, and the next one, with another certificate, opens its own. Without one, everybody shares.
 */
export const createCredentialConnections = ({
  fetch,
  ...agent
}: {
  readonly ca: (() => string) | undefined
  readonly timeoutMs: number
  readonly fetch: BoundedFetch
}) => {
  const own = new Map<string, { readonly fetch: BoundedFetch; readonly close: () => Promise<void> }>()

  /** Throws when TLS does not load it, for instance because of what stands in its chain. */
  const connect = (credential: TlsCredential): BoundedFetch => {
    // With its chain: one that is completed later is presented, too.
    const name = credential.certificatePem
    const known = own.get(name)
    if (known) {
      // The last used stays longest.
      own.delete(name)
      own.set(name, known)
      return known.fetch
    }
    const key = credential.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    // Now rather than with each connection: what fails there looks like a provider that is away, and no other certificate would be tried.
    createSecureContext({ cert: name, key })
    const dispatcher = createAgent({ ...agent, client: { certificate: credential.certificatePem, key } })
    const made = { fetch: createFetch(dispatcher), close: () => dispatcher.close() }
    own.set(name, made)
    const [oldest] = own
    // Let go, not closed: somebody may hold its `fetch` and not have used it yet. Without keep-alive it has no connection but those of requests under way.
    if (own.size > AGENTS_MAX && oldest) own.delete(oldest[0])
    return made.fetch
  }

  return {
    fetchFor: (credential: Credential): BoundedFetch => (credential.kind === 'tls' ? connect(credential) : fetch),
    close: async (): Promise<void> => {
      await Promise.all([...own.values()].map(({ close }) => close()))
    },
  }
}
