import type { Session } from '../domain/session.ts'
import type { Ask, GrantName, TokenAnswer } from '../domain/token.ts'
import type { Secret } from '../kernel/secret.ts'
import type { Tools } from './deps.ts'

/** What the host gets ready before it sends. */
export interface Material {
  /** The access token that is turned in: the session's own, or the caller's. */
  readonly subject: Secret<'access-token'> | undefined
  /** The application's own, where the ask names one. */
  readonly actor: Secret<'access-token'> | undefined
  /** The session that asks, confirmed; undefined for a bearer caller. */
  readonly session: Session | undefined
}

/**
 * How a user's token is asked for without spending the session's refresh token. A strategy holds only what is its own; flight, cache, freshness, hold-off,
 * breaker, guard, audit and metrics are the host's (derived-tokens.ts for sessions, bearer-tokens.ts for callers).
 */
export interface Strategy {
  readonly grant: GrantName
  /** `access-token`: one to turn in; `user`: a confirmed session is enough. */
  readonly needs: 'access-token' | 'user'
  /** Synchronous, before a slot is taken: whoever has nothing to send is nobody's turn, and says nothing about the provider. */
  readonly prepare: (tools: Pick<Tools, 'provider' | 'keys'>, ask: Ask, material: Material) => Prepared
}

/** One request, ready to be sent when it is its turn; or what comes of there being nothing to send. */
export type Prepared =
  | { readonly kind: 'ready'; readonly send: () => Promise<TokenAnswer> }
  | { readonly kind: 'unsendable'; readonly answer: TokenAnswer }

export const ready = (send: () => Promise<TokenAnswer>): Prepared => ({ kind: 'ready', send })

/** What a strategy answers when it has nothing to send; `code` stands in the audit event where a provider's would. */
export const unsendable = (reason: 'audience-denied' | 'credential-rejected', code: string): Prepared => ({
  kind: 'unsendable',
  answer: { kind: 'refused', reason, providerCode: code },
})
