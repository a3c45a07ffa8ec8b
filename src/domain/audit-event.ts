import type { EndReason, SessionRef } from './session.ts'
import type { GrantName } from './token.ts'

/** Who, as far as known at that moment. */
export interface AuditWho {
  readonly requestId?: string | undefined
  readonly sessionRef?: SessionRef | undefined
  readonly provider?: string | undefined
  readonly subject?: string | undefined
  readonly tenant?: string | undefined
  readonly address?: string | undefined
}

/**
 * The audit stream: typed, apart from the log, one JSON line per event on its own sink. Values are ours or validated; `check`, `code` and `reason` are
 * closed sets; a provider's text never appears. No token, code, verifier, cookie or key has a field to be in.
 */
export type AuditEvent = AuditWho &
  (
    | { readonly event: 'sign-in.started' }
    | { readonly event: 'sign-in.succeeded'; readonly replaced?: SessionRef | undefined }
    | {
        readonly event: 'sign-in.failed'
        readonly code: string
        readonly check?: string | undefined
        readonly providerCode?: string | undefined
      }
    /** Not one per refusal: the first of an address in a minute, and the first in a minute where the limit is everybody's. */
    | { readonly event: 'sign-in.limited'; readonly limit: 'address' | 'global' }
    | { readonly event: 'session.ended'; readonly reason: EndReason; readonly stored: boolean }
    /** A logout token was valid: `ended` sessions lived until now. `by`: what it named. */
    | { readonly event: 'backchannel-logout.received'; readonly by: 'provider-session' | 'subject'; readonly ended: number }
    /** The store was away half way: the same token, if the provider sends it again, ends the rest. */
    | { readonly event: 'backchannel-logout.unfinished'; readonly by: 'provider-session' | 'subject'; readonly ended: number }
    | { readonly event: 'backchannel-logout.rejected'; readonly check: string }
    /** Only where it ended something: whoever frames the endpoint can invent names. */
    | { readonly event: 'frontchannel-logout.received'; readonly ended: number }
    | { readonly event: 'frontchannel-logout.rejected'; readonly check: 'form' | 'issuer' | 'provider-session' }
    | { readonly event: 'session.refreshed'; readonly audience?: string | undefined }
    | {
        readonly event: 'token.issued'
        readonly principal: 'user' | 'app'
        readonly grant: GrantName
        readonly audience?: string | undefined
      }
    | {
        readonly event: 'token.failed'
        readonly principal: 'user' | 'app'
        readonly grant: GrantName
        readonly audience?: string | undefined
        readonly code: string
        readonly check?: string | undefined
        readonly providerCode?: string | undefined
      }
    /** An API called a token of ours invalid; `replaced`: another one was asked for and came. Once a minute per session and audience. */
    | {
        readonly event: 'token.rejected-upstream'
        readonly route: string
        readonly principal: 'user' | 'app'
        readonly audience?: string | undefined
        readonly outcome: 'replaced' | 'kept'
      }
    | { readonly event: 'token.revoked'; readonly outcome: 'revoked' | 'unsupported' | 'unavailable' }
    | {
        readonly event: 'access.denied'
        readonly route: string
        readonly principal: 'user' | 'app' | 'none'
        readonly code: string
        readonly rule?: string | undefined
      }
    /** The rule of a route let somebody in whom the upstream's own log does not name, or not everybody. Once for each state of their claims and replica. */
    | { readonly event: 'access.allowed'; readonly route: string; readonly principal: 'user' | 'app' | 'none' }
    /** An access token was used here for the first time; once per token, replica and while it is remembered. */
    | { readonly event: 'caller.accepted'; readonly kind: 'user' | 'application'; readonly client?: string | undefined }
    /** Not one per request: each token once, and none beyond what an address may get wrong. */
    | { readonly event: 'caller.refused'; readonly check: string }
    | { readonly event: 'csrf.refused'; readonly route?: string | undefined; readonly code: string }
    /** `count`: of the sessions it showed or ended. */
    | { readonly event: 'admin.command'; readonly command: string; readonly outcome: string; readonly count?: number | undefined }
    | { readonly event: 'config.loaded'; readonly version: string }
    /** `credential`: its printable name, a thumbprint. */
    | { readonly event: 'credential.activated'; readonly credential: string }
    | { readonly event: 'credential.withdrawn'; readonly credential: string }
    | { readonly event: 'key.removed'; readonly kid: string }
    | { readonly event: 'key.activated'; readonly kid: string }
  )

export interface AuditSink {
  record(event: AuditEvent): void
}
