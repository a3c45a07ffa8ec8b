/** Of signing in and out: a part of the catalogue in problem.ts, which checks its form. */
export const SIGN_IN_PROBLEMS = {
  'login.attempt-unknown': { status: 400, title: 'This sign-in was not started here, or it has expired.', fix: 'Start the sign-in again.' },
  'login.response-invalid': {
    status: 400,
    title: 'The answer of the sign-in service was not valid.',
    fix: 'Start the sign-in again.',
    operator: 'See the audit event sign-in.failed of this request id for the check that failed.',
  },
  'login.rate-limited': {
    status: 429,
    title: 'Too many sign-ins were started.',
    fix: 'Try again after Retry-After.',
    operator:
      'login.rate refused to start a sign-in. If everybody is refused at once, the gateway takes your ingress for one browser: see listen.trusted_proxies.',
  },
  'login.request-refused': {
    status: 502,
    title: 'The sign-in could not be started.',
    fix: 'Ask the operator.',
    operator:
      'The provider refused the pushed authorization request, or takes no other: see the audit event sign-in.failed, and check scopes, redirect URI and provider.par.',
  },
  'login.refused': {
    status: 403,
    title: 'The sign-in service refused the sign-in.',
    fix: 'Start the sign-in again, perhaps with another account.',
  },
  'login.tenant-refused': {
    status: 403,
    title: 'Your organisation may not sign in here.',
    fix: 'Start the sign-in again with an account of another organisation.',
    operator: 'The tenant of the account is not in provider.tenants: the audit event sign-in.failed of this request id names it.',
  },
  'login.cancelled': { status: 403, title: 'The sign-in was cancelled.', fix: 'Start the sign-in again.' },
  'login.subject-changed': {
    status: 403,
    title: 'You signed in as somebody else.',
    fix: 'Sign out first, or sign in with the same account.',
  },
  'login.ended-meanwhile': { status: 401, title: 'The sign-in was ended elsewhere.', fix: 'Start the sign-in again.' },
  'logout.reference-unknown': {
    status: 400,
    title: 'This sign-out link was used or has expired.',
    fix: 'You are signed out here already.',
  },
  'logout.pending': {
    status: 202,
    title: 'You are signed out in this browser; the server will finish as soon as it can.',
    fix: 'Nothing to do.',
    operator: 'The store could not be reached; the end of the session is retried.',
  },
  'logout.token-invalid': {
    status: 400,
    title: 'The logout token is not valid.',
    fix: 'Send one `logout_token` in a form, signed by the configured provider for this client, at most two minutes old and never sent before.',
  },
  'logout.request-invalid': {
    status: 400,
    title: 'The sign-out request names no session of this provider.',
    fix: 'Send `iss` and `sid` as the provider issued them; `provider.profile: entra` sends `sid` alone.',
  },
} as const
