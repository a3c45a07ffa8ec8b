import { createHash, randomBytes } from 'node:crypto'
import type { Sealer } from '../domain/sealer.ts'
import type { OnceStore } from '../domain/session-store.ts'
import { Secret } from '../kernel/secret.ts'
import { seconds } from '../kernel/time.ts'

const LIFETIME = seconds(60)
const REF = /^[\w-]{43}$/

export interface LogoutContinueDeps {
  readonly app: string
  readonly once: Pick<OnceStore, 'put' | 'take'>
  readonly sealer: Pick<Sealer, 'seal' | 'open'>
}

export type Taken =
  | { readonly kind: 'found'; readonly url: Secret<'logout-url'> }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unavailable' }

/** The provider's end-session URL, kept for one use: it may hold an ID token, which must not pass through a body or a script. */
export interface LogoutContinue {
  /** @returns the ref, or undefined when the store could not take it */
  put(url: Secret<'logout-url'>): Promise<string | undefined>
  take(ref: string | undefined): Promise<Taken>
}

/** `ref` is 32 random bytes: their hash names the record, and they are half of its sealing key. Store and keyring together do not open it. */
export const createLogoutContinue = (deps: LogoutContinueDeps): LogoutContinue => ({
  put: async (url) => {
    const ref = randomBytes(32).toString('base64url')
    const name = nameOf(ref)
    const sealed = deps.sealer.seal('logout-continue', [deps.app, name], url.reveal(), Secret.of('data-key', ref))
    return (await deps.once.put('logout-continue', name, sealed, LIFETIME)) === 'stored' ? ref : undefined
  },
  take: async (ref) => {
    if (ref === undefined || !REF.test(ref)) return { kind: 'absent' }
    const name = nameOf(ref)
    const sealed = await deps.once.take('logout-continue', name)
    if (sealed === 'unavailable') return { kind: 'unavailable' }
    if (sealed === 'absent') return { kind: 'absent' }
    const opened = deps.sealer.open('logout-continue', [deps.app, name], sealed, Secret.of('data-key', ref))
    return opened.kind === 'opened' ? { kind: 'found', url: Secret.of('logout-url', opened.text) } : { kind: 'absent' }
  },
})

const nameOf = (ref: string): string => createHash('sha256').update(ref).digest('base64url')
