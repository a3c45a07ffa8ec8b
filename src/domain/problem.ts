import { SIGN_IN_PROBLEMS } from './problems-sign-in.ts'

/**
 * Every failure a browser or caller can see, with its fix for the frontend; the operator's hint is only ever logged.
 * docs/problems.md is generated from this table. Codes are stable: `room.reason-in-words`.
 */
export interface ProblemDefinition {
  readonly status: number
  readonly title: string
  readonly fix: string
  readonly operator?: string
  /** 401 to callers that sign in at the authorization server themselves: there is no `login_url` for them. */
  readonly signsInElsewhere?: true
  /** Sent as Retry-After unless the error brings its own. */
  readonly retryAfterSeconds?: number
}

export const PROBLEMS = {
  'request.path-ambiguous': {
    status: 400,
    title: 'The path can be read in two ways.',
    fix: 'Send one canonical path: no encoded slashes, dot segments, backslashes, semicolons or control characters.',
  },
  'request.malformed': { status: 400, title: 'The request is malformed.', fix: 'Send one well-formed HTTP request.' },
  'request.parameter-invalid': {
    status: 400,
    title: 'A parameter is missing, doubled or malformed.',
    fix: 'Send each documented parameter once.',
  },
  'request.body-unexpected': { status: 400, title: 'GET and HEAD carry no body here.', fix: 'Send the body with POST, PUT or PATCH.' },
  'request.body-too-large': {
    status: 413,
    title: 'The request body is too large.',
    fix: 'Send less, or ask the operator to raise `limits.body` of the route.',
  },
  'request.precondition-failed': {
    status: 412,
    title: 'The file is not the one the request names.',
    fix: 'Load it again without `If-Match` and `If-Unmodified-Since`.',
  },
  'request.range-unsatisfiable': {
    status: 416,
    title: 'The file has no such part.',
    fix: 'Ask for a range within the file, or for all of it.',
  },
  'request.headers-too-many': { status: 431, title: 'The request has too many header lines.', fix: 'Send fewer headers or cookies.' },
  'request.host-unknown': {
    status: 421,
    title: 'This host is not served here.',
    fix: 'Use the public address of the application.',
    operator: 'Host does not match public_url: set the ingress to keep the Host header, or correct public_url.',
  },
  'request.method-not-allowed': { status: 405, title: 'The method is not allowed here.', fix: 'Use a documented method.' },
  'request.navigation-only': {
    status: 403,
    title: 'This page is reached by navigation only.',
    fix: 'Navigate the window to it; do not fetch or frame it.',
  },
  'request.prefetch-refused': { status: 503, title: 'This page is not prefetched.', fix: 'Navigate to it.' },
  'request.timeout': { status: 408, title: 'The request took too long to arrive.', fix: 'Send it again.' },
  'endpoint.unknown': { status: 404, title: 'There is nothing here.', fix: 'Check the path.' },
  'csrf.header-absent': { status: 403, title: 'The request has no CSRF header.', fix: 'Send `X-CSRF: 1` on every call.' },
  'csrf.cross-site': {
    status: 403,
    title: 'The request comes from another site.',
    fix: 'Call the gateway from a page of its own origin.',
    operator: 'Sec-Fetch-Site was not same-origin. A frontend on a sibling subdomain must be served through the gateway.',
  },
  'csrf.origin-mismatch': {
    status: 403,
    title: 'The request comes from another origin.',
    fix: 'Call the gateway from a page of its own origin.',
  },
  'session.absent': { status: 401, title: 'You are not signed in.', fix: 'Navigate to the `login_url` of this answer.' },
  'session.ended': { status: 401, title: 'Your session has ended.', fix: 'Navigate to the `login_url` of this answer.' },
  'session.replaced': {
    status: 401,
    title: 'Your session was replaced by a newer one.',
    fix: 'Send the request again; the browser has the new cookie.',
  },
  'session.key-removed': {
    status: 401,
    title: 'Your session has ended.',
    fix: 'Navigate to the `login_url` of this answer.',
    operator: 'The key this session was sealed with is no longer in session.keys_dir.',
  },
  'session.unknown': { status: 404, title: 'There is no such session.', fix: 'Read the list of sessions again.' },
  'session.refresh-lost': {
    status: 401,
    title: 'Your session could not be renewed.',
    fix: 'Navigate to the `login_url` of this answer.',
    operator: 'The answer to a refresh was lost and the provider does not accept the old refresh token again.',
  },
  'session.step-up-required': { status: 401, title: 'A stronger sign-in is needed.', fix: 'Navigate to the `login_url` of this answer.' },
  ...SIGN_IN_PROBLEMS,
  'caller.ambiguous': {
    status: 400,
    title: 'The request carries a session cookie and an access token.',
    fix: 'Send one of the two: pages send the cookie, everybody else an access token.',
  },
  'caller.token-absent': {
    status: 401,
    signsInElsewhere: true,
    title: 'An access token is needed.',
    fix: 'Send `Authorization: Bearer` with an access token for this gateway; the challenge names the document that says where to get one.',
  },
  'caller.token-invalid': {
    status: 401,
    signsInElsewhere: true,
    title: 'The access token is not valid here.',
    fix: 'Get a new access token for this gateway and send the request again.',
    operator: 'See the audit event caller.refused of this request id for the check that failed.',
  },
  'caller.step-up-required': {
    status: 401,
    signsInElsewhere: true,
    title: 'A stronger sign-in is needed.',
    fix: 'Sign the user in again at the authorization server and send the request with the new access token.',
  },
  'caller.user-required': {
    status: 403,
    title: 'This is for users, not for applications.',
    fix: 'Send an access token of a user.',
    operator: 'An application called a route with `principal: user`; an application’s token is never used in a user’s place.',
  },
  'caller.rate-limited': {
    status: 429,
    title: 'Too many access tokens were refused.',
    fix: 'Try again after Retry-After, with a valid access token.',
    operator: 'One address sent many invalid access tokens. If it is your ingress, name it in listen.trusted_proxies.',
    retryAfterSeconds: 5,
  },
  'policy.denied': { status: 403, title: 'You may not do this.', fix: 'Ask for access; signing in again does not help.' },
  'policy.groups-overage': {
    status: 403,
    title: 'Your group memberships could not be read.',
    fix: 'Ask the operator.',
    operator: 'The ID token names too many groups to list them (_claim_names): use app roles, or limit the groups in the token.',
  },
  'token.audience-denied': {
    status: 403,
    title: 'You have no access to this API.',
    fix: 'Ask for access; signing in again does not help.',
    operator: 'The provider refused a token for this audience: check audience and scopes of the route and the grants of the client.',
  },
  'token.consent-required': { status: 401, title: 'Your consent is needed.', fix: 'Navigate to the `login_url` of this answer.' },
  'token.credential-rejected': {
    status: 502,
    title: 'The gateway could not prove itself to the sign-in service.',
    fix: 'Ask the operator.',
    operator: 'The provider rejected the client credential: check client_auth, its expiry and its registration.',
  },
  'token.assertion-rejected': {
    status: 401,
    signsInElsewhere: true,
    title: 'Your access token was not accepted.',
    fix: 'Get a new access token for the gateway and send the request again.',
    operator: 'The provider refused to turn the caller’s access token into one for this audience: see the audit event token.failed.',
  },
  'token.principal-mismatch': {
    status: 502,
    title: 'The sign-in service sent a token that stands for somebody else.',
    fix: 'Ask the operator.',
    operator:
      'The token is an application’s where the route calls as a user, or the other way round: check principal and grant of the route, and how the provider registers client and API.',
  },
  'token.key-absent': {
    status: 502,
    title: 'The gateway has no key for this API.',
    fix: 'Ask the operator.',
    operator: 'token.key_file of this route is absent, empty or not readable.',
  },
  'token.invalid': {
    status: 502,
    title: 'The sign-in service sent an unusable token.',
    fix: 'Ask the operator.',
    operator: 'See the audit event token.failed of this request id for the check that failed.',
  },
  'credential.unknown': {
    status: 404,
    title: 'There is no such credential, or more than one.',
    fix: 'Read the list of credentials again, and name one by at least eight characters.',
  },
  'credential.not-usable': {
    status: 409,
    title: 'The credential is not valid now.',
    fix: 'Wait for its date, or put a valid one in its place.',
  },
  'credential.last-usable': {
    status: 409,
    title: 'It is the last usable credential: without it nobody signs in, and no token is refreshed.',
    fix: 'Add another one first, or send `force`.',
  },
  'store.unavailable': {
    status: 503,
    title: 'Sessions cannot be read at the moment.',
    fix: 'Send the request again after Retry-After; you are still signed in.',
    operator: 'Redis is not reachable or too slow: check session.store.',
    retryAfterSeconds: 2,
  },
  'store.key-unknown': {
    status: 503,
    title: 'Sessions cannot be read at the moment.',
    fix: 'Send the request again after Retry-After; you are still signed in.',
    operator: 'A record names a sealing key that is newer than any in session.keys_dir of this replica: distribute the key.',
    retryAfterSeconds: 5,
  },
  'provider.unavailable': {
    status: 503,
    title: 'The sign-in service is not reachable.',
    fix: 'Try again after Retry-After.',
    operator: 'Discovery, keys or token endpoint of the provider did not answer: check DNS, TLS and proxies from this machine.',
    retryAfterSeconds: 5,
  },
  'proxy.upstream-unreachable': {
    status: 502,
    title: 'The API could not be reached.',
    fix: 'Try again later.',
    operator: 'The upstream of this route refused or cut the connection.',
  },
  'proxy.upstream-timeout': {
    status: 504,
    title: 'The API did not answer in time.',
    fix: 'Try again later.',
    operator: 'The upstream of this route did not answer within its timeout.',
  },
  'proxy.websocket-unsupported': { status: 501, title: 'WebSocket is not supported here yet.', fix: 'Use fetch or server-sent events.' },
  'proxy.overloaded': { status: 503, title: 'Too many requests are under way.', fix: 'Try again after Retry-After.', retryAfterSeconds: 1 },
  'gateway.failed': {
    status: 500,
    title: 'Something went wrong in the gateway.',
    fix: 'Try again; tell the operator the request id.',
    operator: 'An unexpected error: see the log line of this request id.',
  },
} as const satisfies Record<string, ProblemDefinition>

export type ProblemCode = keyof typeof PROBLEMS
export const problem = (code: ProblemCode): ProblemDefinition => PROBLEMS[code]

/** What should not happen, or ends a request early: translated once, at the edge, into problem+json or a page. Never wraps a library error. */
export class GatewayError extends Error {
  readonly code: ProblemCode
  /** For the log line: plain values of ours, never a body, a header bag or a library error. */
  readonly facts: Readonly<Record<string, string | number>>
  readonly retryAfterSeconds: number | undefined
  constructor(code: ProblemCode, facts: GatewayError['facts'] = {}, retryAfterSeconds?: number) {
    super(PROBLEMS[code].title)
    this.name = 'GatewayError'
    this.code = code
    this.facts = facts
    this.retryAfterSeconds = retryAfterSeconds ?? problem(code).retryAfterSeconds
  }
}
