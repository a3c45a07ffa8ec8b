import { USER_CONTEXT_CLAIMS, USER_CONTEXT_HEADER } from '../contract/user-context.ts'
import type { BearerCaller } from '../domain/caller.ts'
import type { Route } from '../domain/route.ts'
import type { Session } from '../domain/session.ts'
import type { Claims, Json } from '../domain/token.ts'
import type { Instant } from '../kernel/time.ts'

export interface CallerIdentityDeps {
  /** crypto/user-context.ts. @param constant claims that stay the same for this user on this route, as the inside of a JSON object */
  readonly sign: (constant: string, requestId: string, now: Instant) => string
  /** `user_context.claims`, beside `sub` and `tid`. */
  readonly claims: readonly string[]
  /** `public_url`. */
  readonly issuer: string
}

/** What one route's upstream is told of who calls, beside the token: header names and values in turn. Synchronous: it stands on every request's way. */
export interface CallerIdentity {
  ofSession(session: Session, requestId: string, now: Instant): readonly string[]
  /** Empty for an application by itself: it is no user. */
  ofCaller(caller: BearerCaller, requestId: string, now: Instant): readonly string[]
}

interface Who {
  readonly subject: string
  readonly tenant: string | undefined
  readonly claims: Claims
  readonly clientId: string | undefined
}

/** @param deps undefined: there are no keys, and no route asks for a signed context. @returns undefined: the route tells nothing */
export const callerIdentity = (deps: CallerIdentityDeps | undefined, route: Route): CallerIdentity | undefined => {
  const { userContext: audience } = route
  const unsigned = route.headers.requestIdentity ?? []
  if (audience === undefined && unsigned.length === 0) return undefined
  if (audience !== undefined && !deps) throw new Error('a route asks for a signed user context, and there are no keys')
  // What stays the same while a session or a caller's token does; a new session object is a new user as far as this knows.
  const constants = new WeakMap<Session | BearerCaller, { readonly context: string; readonly headers: readonly string[] }>()

  const constantOf = (key: Session | BearerCaller, whoOf: () => Who) => {
    const known = constants.get(key)
    if (known) return known
    const who = whoOf()
    const made = {
      context: audience === undefined || !deps ? '' : contextClaims(deps, audience, who),
      headers: unsigned.flatMap(({ header, claim }) => {
        const value = headerValue(claimOf(who, claim))
        return value === undefined ? [] : [header, value]
      }),
    }
    constants.set(key, made)
    return made
  }

  const tell = (key: Session | BearerCaller, whoOf: () => Who, requestId: string, now: Instant): readonly string[] => {
    const { context, headers } = constantOf(key, whoOf)
    return audience === undefined || !deps ? headers : [...headers, USER_CONTEXT_HEADER, deps.sign(context, requestId, now)]
  }

  return {
    ofSession: (session, requestId, now) => tell(session, () => ofSession(session), requestId, now),
    ofCaller: (caller, requestId, now) => (caller.kind === 'user' ? tell(caller, () => ofCaller(caller), requestId, now) : NOBODY),
  }
}

const NOBODY: readonly string[] = []

const ofSession = ({ card, grant }: Session): Who => ({
  subject: card.subject,
  tenant: card.tenant,
  claims: grant.claims,
  clientId: undefined,
})
const ofCaller = ({ subject, tenant, claims, clientId }: BearerCaller): Who => ({ subject, tenant, claims, clientId })

const contextClaims = ({ issuer, claims }: CallerIdentityDeps, audience: string, who: Who): string => {
  const chosen = claims
    // Twice in one object, some readers would take the first. config/ refuses such names.
    .filter((name) => !USER_CONTEXT_CLAIMS.includes(name) && Object.hasOwn(who.claims, name))
    .map((name) => [name, who.claims[name]] as const)
  const all = {
    ...Object.fromEntries(chosen),
    iss: issuer,
    aud: audience,
    sub: who.subject,
    ...(who.tenant !== undefined && { tid: who.tenant }),
    // Through which application, where it was not a browser here.
    ...(who.clientId !== undefined && { client_id: who.clientId }),
  }
  return JSON.stringify(all).slice(1, -1)
}

/** `sub` and `tid` are the verified ones. */
const claimOf = (who: Who, name: string): Json | undefined => {
  if (name === 'sub') return who.subject
  if (name === 'tid') return who.tenant
  return Object.hasOwn(who.claims, name) ? who.claims[name] : undefined
}

const CHARS_MAX = 1024
/**
 * A text, number or truth value as a header's value. Lists and objects are told by nobody: where one entry ends and the next begins could not be told. What
 * is not printable ASCII, `%`, and blanks at either end, which readers drop (RFC 9110 §5.5), are percent-encoded (RFC 3986 §2.1), so that no name can end a
 * line or be read in two ways.
 */
const headerValue = (value: Json | undefined): string | undefined => {
  const text = typeof value === 'number' || typeof value === 'boolean' ? String(value) : value
  if (typeof text !== 'string' || text === '' || text.length > CHARS_MAX || !text.isWellFormed()) return undefined
  return text.trim() === '' ? undefined : text.replace(/[^ -$&-~]+|^ +| +$/g, encodeURIComponent)
}
