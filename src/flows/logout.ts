import type { AuditSink, AuditWho } from '../domain/audit-event.ts'
import type { Provider } from '../domain/provider.ts'
import type { SessionStore } from '../domain/session-store.ts'
import type { Session } from '../domain/session.ts'
import type { Clock } from '../kernel/time.ts'
import { millis } from '../kernel/time.ts'
import { endSession } from './end-sessions.ts'
import type { LogoutContinue } from './logout-continue.ts'
import type { Revocations } from './revocations.ts'
import type { Visitor } from './visitor.ts'

/** A provider that is slow to describe itself must not hold up a sign-out. */
const PROVIDER_PATIENCE = millis(800)

export interface LogoutDeps {
  readonly provider: Pick<Provider, 'name' | 'endSessionUrl'>
  readonly store: Pick<SessionStore, 'peek' | 'open' | 'refOf' | 'end'>
  readonly continuation: Pick<LogoutContinue, 'put'>
  readonly revocations: Pick<Revocations, 'add'>
  readonly audit: AuditSink
  readonly clock: Clock
}

export interface LogoutRequest {
  /** Value of the session cookie; undefined when none was presented. */
  readonly sessionCookie: string | undefined
  /** `local`: the provider's own session is left alone. */
  readonly reason: 'user' | 'local'
  readonly visitor: Visitor
}

export type LoggedOut =
  /** `ref`: for /bff/logout/continue; undefined when there is nothing to sign out of at the provider. */
  | { readonly kind: 'ended'; readonly ref: string | undefined }
  /** The store could not take it; it is retried from memory. */
  | { readonly kind: 'pending' }

/** POST /bff/logout: local end first, then the provider (RP-Initiated Logout 1.0 §2). */
export const logout = async (deps: LogoutDeps, request: LogoutRequest): Promise<LoggedOut> => {
  const { sessionCookie, visitor } = request
  const ref = sessionCookie === undefined ? undefined : deps.store.refOf(sessionCookie)
  if (sessionCookie === undefined || ref === undefined) return { kind: 'ended', ref: undefined }

  // 1. Open it while it exists: the refresh token to revoke and the hint for the provider are sealed under this cookie.
  const opened = await openForLogout(deps, sessionCookie)
  if (opened.kind === 'gone') return { kind: 'ended', ref: undefined } // a cookie that does not open a session ends none
  const who: AuditWho = {
    requestId: visitor.requestId,
    address: visitor.address,
    provider: deps.provider.name,
    subject: opened.session?.card.subject,
    tenant: opened.session?.card.tenant,
  }

  // 2. End. From here on no replica serves it; a refresh that is under way finds the record gone and revokes what it got. The revocation goes its own way:
  // the provider may be slow or away (RFC 7009), and the session is over either way. Told first, because here it is known whose request it was.
  if (opened.session) deps.revocations.add(opened.session, request.reason, who)
  const ended = await endSession(deps, ref, request.reason, who)
  if (ended === 'unavailable') return { kind: 'pending' }

  // 3. The way to the provider, for one use.
  if (request.reason === 'local' || !opened.session) return { kind: 'ended', ref: undefined }
  const url = await Promise.race([
    deps.provider.endSessionUrl({ idToken: opened.session.grant.idToken, claims: opened.session.grant.claims, state: visitor.requestId }),
    deps.clock.sleep(PROVIDER_PATIENCE).then(() => undefined),
  ])
  return { kind: 'ended', ref: url && (await deps.continuation.put(url)) }
}

const openForLogout = async (
  deps: LogoutDeps,
  cookie: string,
): Promise<{ readonly kind: 'here'; readonly session: Session | undefined } | { readonly kind: 'gone' }> => {
  const held = deps.store.peek(cookie, deps.clock.now())
  if (held) return { kind: 'here', session: held.session }
  const opened = await deps.store.open(cookie)
  if (opened.kind === 'found') return { kind: 'here', session: opened.held.session }
  // The store is away, or the record is sealed with a key we do not have yet: a sign-out still has to count.
  if (opened.kind === 'unavailable' || opened.kind === 'key-unknown') return { kind: 'here', session: undefined }
  return { kind: 'gone' }
}
