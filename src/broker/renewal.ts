import type { EndReason, Opened, Session } from '../domain/session.ts'
import type { AccessToken, TokenOutcome } from '../domain/token.ts'
import type { Millis } from '../kernel/time.ts'
import { seconds } from '../kernel/time.ts'

export type Refused = Extract<TokenOutcome, { kind: 'refused' }>
export type Unavailable = Extract<TokenOutcome, { kind: 'unavailable' }>

/** How the renewal of a session for one ask came out; `access` is the token of that ask, when there is one. */
export type Renewal =
  | { readonly kind: 'renewed'; readonly session: Session; readonly access: AccessToken | undefined }
  | Refused
  | Unavailable

/** One step of it. `again`: somebody else moved the record, look again; `lease-lost`: look again after taking the lease again. */
export type Step = Renewal | { readonly kind: 'again' } | { readonly kind: 'lease-lost' }

export const AGAIN = { kind: 'again' } as const
export const LEASE_LOST = { kind: 'lease-lost' } as const

export const refused = (code: Refused['code']): Refused => ({ kind: 'refused', code })
export const unavailable = (code: Unavailable['code'], retryAfter: Millis = seconds(1)): Unavailable => ({
  kind: 'unavailable',
  code,
  retryAfter,
})

/** A session that is gone, told by the reason its tombstone keeps. */
export const refusedAsEnded = (reason: EndReason | undefined): Refused =>
  refused(reason === 'refresh-lost' ? 'session.refresh-lost' : 'session.ended')

/** What looking again at the store tells, when it does not yield the session. */
export const notFound = (opened: Exclude<Opened, { kind: 'found' }>): Refused | Unavailable => {
  if (opened.kind === 'ended') return refusedAsEnded(opened.reason)
  if (opened.kind === 'absent') return refused('session.ended')
  return unavailable('store.unavailable')
}
