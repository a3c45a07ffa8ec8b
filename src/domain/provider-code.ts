import { ENTRA_CODES } from './profiles/entra-codes.ts'

/** Where it is met. `client`: the gateway proves itself. */
export type Stage = 'sign-in' | 'token' | 'client' | 'on-behalf-of' | 'logout'

/** For operators: in the log beside the code, by `sallyport error`, and in docs/provider-errors.md. */
export interface CodeWords {
  readonly stage: Stage
  readonly means: string
  readonly fix: string
}

const say = (stage: Stage, means: string, fix: string): CodeWords => ({ stage, means, fix })

/** OAuth 2.0 and OpenID Connect, their extensions, and words of single providers; ours where we say so. */
export const OAUTH_CODES: Readonly<Record<string, CodeWords>> = {
  access_denied: say(
    'sign-in',
    'The user cancelled, or the provider lets this user not in.',
    'Check assignments and access policies of the client.',
  ),
  account_selection_required: say('sign-in', 'The user must pick an account.', 'Nothing: an ordinary sign-in follows.'),
  admin_policy_enforced: say(
    'token',
    'Google Workspace: an administrator blocks these scopes.',
    'Allow the client and its scopes in the admin console.',
  ),
  consent_required: say('sign-in', 'The user, or an administrator, must consent.', 'Nothing, or consent for all at the provider.'),
  deleted_client: say('client', 'Google: the client was deleted.', 'Restore it, or register a new one.'),
  interaction_required: say('token', 'The user must do something at the provider.', 'Nothing: the user is sent there.'),
  invalid_client: say(
    'client',
    'The provider does not know the client, or does not accept its credential.',
    'Check `client_id`, `client_auth`, its method and its registration.',
  ),
  invalid_grant: say(
    'token',
    'The code or refresh token is expired, revoked, used before, or of another client.',
    'Nothing for one user. For many at once: check rotation and lifetimes at the provider, and that no other deployment shares the client.',
  ),
  invalid_rapt: say('token', 'Google Workspace: the session length of the organisation is over.', 'Nothing: the user signs in again.'),
  invalid_request: say(
    'token',
    'The provider does not understand a part of the request.',
    'Check `target`, `audience` and `scopes`; with token exchange, that it is enabled for the client.',
  ),
  invalid_resource: say('token', 'The audience is not known to the provider.', 'Check `audience` of the route.'),
  invalid_scope: say(
    'token',
    'A scope is unknown, not granted to the client, or no longer consented to.',
    'Check `scopes` of the route and `provider.scopes`.',
  ),
  invalid_target: say(
    'token',
    'The audience is not known, or not granted to this client.',
    'Check `audience` of the route and the grants of the client.',
  ),
  login_required: say(
    'sign-in',
    'Nobody is signed in at the provider, and nobody was to be asked.',
    'Nothing: an ordinary sign-in follows.',
  ),
  mfa_required: say('token', 'A second factor is needed.', 'Nothing: the user is sent there.'),
  no_matching_policy: say(
    'token',
    'Okta: no access policy of the authorization server lets this client or user in.',
    'Add a policy and a rule for the client.',
  ),
  no_matching_scope: say(
    'token',
    'Okta: no scope of the authorization server matches.',
    'Compare `scopes` of the route with the server’s.',
  ),
  'par-not-announced': say('sign-in', 'Requests are to be pushed, and the provider says not where.', 'Check `provider.par`.'),
  request_not_supported: say('sign-in', 'The provider takes no such parameter.', 'Check `provider.par`.'),
  'scope-not-granted': say('token', 'The user unticked a scope that this route needs.', 'Nothing: the user is asked for consent again.'),
  server_error: say('sign-in', 'The provider has trouble.', 'Nothing: try again; see the provider’s log.'),
  slow_down: say('token', 'The provider is asked too often.', 'Nothing: the gateway waits.'),
  temporarily_unavailable: say('sign-in', 'The provider is busy.', 'Nothing: the gateway waits.'),
  throttled: say(
    'token',
    'The provider answered 429.',
    'Nothing: the gateway waits as told. If it lasts, raise the limits of the client at the provider.',
  ),
  unauthorized_client: say(
    'client',
    'The client may not use this grant; Keycloak: its secret or key is wrong.',
    'Enable the grant for the client, and check its credential.',
  ),
  unsupported_grant_type: say('token', 'The provider has no such grant.', 'Choose another `token.grant`, or enable it at the provider.'),
}

const AADSTS = /^(?:AADSTS)?(\d{4,8})$/i

/** @param code as logged: `AADSTS700027`, `invalid_grant`; or the number alone */
export const explainCode = (code: string): CodeWords | undefined => {
  const number = AADSTS.exec(code)?.[1]
  if (number !== undefined) return ENTRA_CODES[Number(number)]
  return Object.hasOwn(OAUTH_CODES, code) ? OAUTH_CODES[code] : undefined
}
