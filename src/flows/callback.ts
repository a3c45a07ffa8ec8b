import { createHash } from 'node:crypto'
import type { AuditSink, AuditWho } from '../domain/audit-event.ts'
import type { Metrics } from '../domain/metric.ts'
import type { ProblemCode } from '../domain/problem.ts'
import type { Provider, SignedIn } from '../domain/provider.ts'
import type { OnceStore, SessionDraft, SessionStore } from '../domain/session-store.ts'
import type { SetCookie } from '../domain/set-cookie.ts'
import type { SessionCookie } from '../domain/session.ts'
import type { Ask } from '../domain/token.ts'
import { Secret } from '../kernel/secret.ts'
import type { Clock, Millis } from '../kernel/time.ts'
import { after, minutes } from '../kernel/time.ts'
import type { Attempts } from '../login/attempts.ts'
import type { Background } from './background.ts'
import { endSession } from './end-sessions.ts'
import type { Query } from './query.ts'
import type { Visitor } from './visitor.ts'
import { browserFamily, truncateAddress } from './visitor.ts'

/** A claim outlives the attempt whose state it names: a replay after that finds the attempt expired. */
const CLAIM_LIFETIME = minutes(15)

/** OpenID Connect Core 1.0 §3.1.2.6: what `prompt=none` is answered where a person would have to do something. */
const NOBODY_THERE: ReadonlySet<string> = new Set([
  'login_required',
  'interaction_required',
  'consent_required',
  'account_selection_required',
])

export interface CallbackDeps {
  readonly app: string
  readonly provider: Pick<Provider, 'name' | 'profile' | 'redeem' | 'revoke'>
  readonly attempts: Attempts
  readonly once: Pick<OnceStore, 'claim' | 'release'>
  readonly store: Pick<SessionStore, 'create' | 'end'>
  readonly background: Background
  readonly audit: AuditSink
  readonly metrics: Metrics
  readonly clock: Clock
  readonly ask: Ask | undefined
  readonly absoluteTimeout: Millis
}

export interface CallbackRequest {
  readonly query: Query
  readonly cookieHeader: string | undefined
  readonly visitor: Visitor
}

/** `clears`: the attempt's cookie, to be cleared whatever happened; only where it was presented. */
export type CalledBack =
  | { readonly kind: 'signed-in'; readonly cookie: SessionCookie; readonly returnTo: string; readonly clears: SetCookie }
  /** To login/resume; `last`: no further attempt is started there. */
  | { readonly kind: 'resume'; readonly returnTo: string; readonly last: boolean; readonly clears: SetCookie | undefined }
  /** A silent sign-in that came to nothing: on to the page, as it was before. */
  | { readonly kind: 'left-as-is'; readonly returnTo: string; readonly clears: SetCookie | undefined }
  | {
      readonly kind: 'problem'
      readonly code: ProblemCode
      readonly returnTo: string | undefined
      readonly retryAfter?: Millis
      readonly clears: SetCookie | undefined
    }

/** GET /bff/callback: at most one redemption per `state`, and a session id nobody has seen before (RFC 9700 §4.7, ASVS 7.2.4). */
export const callback = async (deps: CallbackDeps, request: CallbackRequest): Promise<CalledBack> => {
  const { query } = request
  const who: AuditWho = { requestId: request.visitor.requestId, address: request.visitor.address, provider: deps.provider.name }
  const failed = (code: ProblemCode, check?: string, providerCode?: string): void => {
    deps.audit.record({ ...who, event: 'sign-in.failed', code, check, providerCode })
    deps.metrics.count('sallyport_login_attempts_total', { outcome: code })
  }
  // 1. Read the attempt: first the half that came through the provider, then the half of this browser.
  if (query.kind === 'doubled') {
    failed('request.parameter-invalid', 'parameter-doubled')
    return { kind: 'problem', code: 'request.parameter-invalid', returnTo: undefined, clears: undefined }
  }
  const raw = query.get('state')
  const opened = raw === undefined ? ({ kind: 'invalid' } as const) : deps.attempts.openState(raw)
  if (opened.kind === 'key-unknown') {
    failed('store.key-unknown', 'state')
    return { kind: 'problem', code: 'store.key-unknown', returnTo: undefined, clears: undefined }
  }
  if (raw === undefined || opened.kind === 'invalid') {
    failed('login.attempt-unknown', 'state')
    return { kind: 'resume', returnTo: '/', last: true, clears: undefined } // no state, no budget: never a new attempt from here
  }
  const { state } = opened
  // Nobody who was signed in silently asked for a page that wants a password: theirs is not started again.
  const resume = (clears: SetCookie | undefined): CalledBack =>
    state.silent
      ? { kind: 'left-as-is', returnTo: state.returnTo, clears }
      : { kind: 'resume', returnTo: state.returnTo, last: state.resumed, clears }
  if (opened.kind === 'expired' || state.app !== deps.app || state.provider !== deps.provider.name) {
    failed('login.attempt-unknown', opened.kind === 'expired' ? 'attempt-expired' : 'attempt-foreign')
    return resume(undefined)
  }
  const secrets = deps.attempts.read(request.cookieHeader, state.id)
  if (!secrets) {
    failed('login.attempt-unknown', 'attempt-cookie')
    return resume(undefined)
  }
  const clears = deps.attempts.clear(state.id)
  const problem = (code: ProblemCode, retryAfter?: Millis): CalledBack => ({
    kind: 'problem',
    code,
    returnTo: state.returnTo,
    clears,
    ...(retryAfter !== undefined && { retryAfter }),
  })

  // 2. Claim it before redeeming: of two callbacks with one state, in whatever replicas, exactly one goes on; with the store away no code is spent.
  const digest = createHash('sha256').update(raw).digest('base64url')
  const claimed = await deps.once.claim('state', digest, CLAIM_LIFETIME)
  if (claimed === 'unavailable') {
    failed('store.unavailable')
    // The attempt stays whole: loading the same address again continues it.
    return { kind: 'problem', code: 'store.unavailable', returnTo: state.returnTo, clears: undefined }
  }
  if (claimed === 'again') {
    failed('login.attempt-unknown', 'state-used')
    return resume(undefined) // not cleared: the first callback may still be under way
  }

  // 3. Redeem.
  const { nonce, verifier } = secrets
  const checks = { state: Secret.of('state', raw), nonce, verifier, maxAgeSeconds: state.maxAgeSeconds, acrValues: state.acrValues }
  const redeemed = await deps.provider.redeem(query.all, checks, deps.ask)
  switch (redeemed.kind) {
    case 'refused': {
      if (state.silent && NOBODY_THERE.has(redeemed.providerCode)) {
        deps.metrics.count('sallyport_login_attempts_total', { outcome: 'silent-none' })
        deps.audit.record({ ...who, event: 'sign-in.failed', code: 'login.refused', check: 'silent', providerCode: redeemed.providerCode })
        return { kind: 'left-as-is', returnTo: state.returnTo, clears }
      }
      const code = redeemed.cancelled ? 'login.cancelled' : 'login.refused'
      failed(code, undefined, redeemed.providerCode)
      return problem(code)
    }
    case 'invalid':
      failed('login.response-invalid', redeemed.check)
      return problem('login.response-invalid')
    case 'tenant-refused':
      deps.audit.record({ ...who, tenant: redeemed.tenant, event: 'sign-in.failed', code: 'login.tenant-refused', check: 'tenant' })
      deps.metrics.count('sallyport_login_attempts_total', { outcome: 'login.tenant-refused' })
      return problem('login.tenant-refused')
    case 'credential-rejected':
      failed('token.credential-rejected', undefined, redeemed.providerCode)
      return problem('token.credential-rejected')
    case 'unavailable':
      failed('provider.unavailable', redeemed.cause)
      if (!redeemed.unspent) return problem('provider.unavailable', redeemed.retryAfter)
      // The code was not spent: the claim is taken back and the cookie stays, so that loading the same address again finishes this sign-in.
      await deps.once.release('state', digest)
      return { kind: 'problem', code: 'provider.unavailable', returnTo: state.returnTo, retryAfter: redeemed.retryAfter, clears: undefined }
    case 'signed-in':
      break
  }
  const person: AuditWho = { ...who, subject: redeemed.subject, tenant: redeemed.tenant }
  if (state.expectSubject !== undefined && redeemed.subject !== state.expectSubject) {
    revokeLater(deps, redeemed, person)
    failed('login.subject-changed', 'subject')
    return problem('login.subject-changed')
  }

  // 4. Store the new session. The store reads the logout tombstones last: a logout that landed meanwhile wins.
  const created = await deps.store.create(draftOf(deps, request.visitor, redeemed))
  if (created.kind !== 'created') {
    revokeLater(deps, redeemed, person) // leave no live token behind
    const code = created.kind === 'unavailable' ? 'store.unavailable' : 'login.ended-meanwhile'
    failed(code)
    return problem(code)
  }
  deps.metrics.count('sallyport_login_attempts_total', { outcome: 'signed-in' })
  deps.audit.record({ ...person, event: 'sign-in.succeeded', sessionRef: created.session.ref, replaced: state.replaces })

  // 5. Only now the replaced one: an end before the new session is stored would sign the user out if step 4 failed.
  if (state.replaces !== undefined) await endSession(deps, state.replaces, 'replaced', who)
  return { kind: 'signed-in', cookie: created.session.cookie, returnTo: state.returnTo, clears }
}

const draftOf = (deps: CallbackDeps, visitor: Visitor, signedIn: SignedIn): SessionDraft => {
  const now = deps.clock.now()
  return {
    card: {
      app: deps.app,
      provider: deps.provider.name,
      tenant: signedIn.tenant,
      subject: signedIn.subject,
      createdAt: now,
      endsAt: after(now, deps.absoluteTimeout),
      browser: browserFamily(visitor.userAgent),
      address: truncateAddress(visitor.address),
    },
    grant: {
      issuer: signedIn.issuer,
      refreshToken: signedIn.refreshToken,
      refreshEndsAt: signedIn.refreshEndsAt,
      claims: signedIn.claims,
      idToken: deps.provider.profile.logoutHint === 'id-token' ? signedIn.idToken : undefined,
      providerSessionId: signedIn.providerSessionId,
      scopes: signedIn.scopes,
      confirmedAt: now,
    },
    tokens: signedIn.access ? [signedIn.access] : [],
  }
}

const revokeLater = (deps: CallbackDeps, signedIn: SignedIn, who: AuditWho): void => {
  const { refreshToken } = signedIn
  if (!refreshToken) return
  deps.background.run(async () => {
    deps.audit.record({ ...who, event: 'token.revoked', outcome: await deps.provider.revoke(refreshToken) })
  })
}
