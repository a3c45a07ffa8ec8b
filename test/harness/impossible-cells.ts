import type { ProfileName } from '../../src/domain/profile.ts'
import type { CallerKind } from '../../src/domain/caller.ts'
import type { GrantName } from '../../src/domain/token.ts'

export type Cell = `${ProfileName} ${CallerKind | 'application'} ${GrantName}`

const ENTRA_OBO =
  'providers.md §1.6, §3 (table): a user’s token for another API is made by jwt-bearer with requested_token_use; there is no RFC 8693'
const KEYCLOAK_EXCHANGE =
  'providers.md §2.5: standard token exchange v2 is RFC 8693; the JWT authorization grant takes other issuers’ assertions, not our own tokens'
const OKTA_EXCHANGE = 'providers.md §3 (Okta): on behalf of is RFC 8693 on a custom authorization server'
const AUTH0_EXCHANGE = 'providers.md §3 (Auth0): on-behalf-of token exchange is grant-type token-exchange'
const GOOGLE_NONE = 'providers.md §3 (Google, table): no exchange of a user’s token; another user’s data by domain-wide delegation only'
const GOOGLE_OPAQUE = 'providers.md §3 (Google): access tokens are opaque and have no audience, so none can be for the gateway'
const GOOGLE_NO_APPLICATION =
  'providers.md §3 (Google, table): an application’s token is a service account’s JWT, there are no client credentials'

/** Ways to a token that a provider does not have, each with the fact that forbids it. Every other cell of profile × caller × grant runs. */
export const IMPOSSIBLE: Readonly<Partial<Record<Cell, string>>> = {
  'entra session exchange': ENTRA_OBO,
  'entra bearer exchange': ENTRA_OBO,
  'keycloak session on_behalf_of': KEYCLOAK_EXCHANGE,
  'keycloak bearer on_behalf_of': KEYCLOAK_EXCHANGE,
  'okta session on_behalf_of': OKTA_EXCHANGE,
  'okta bearer on_behalf_of': OKTA_EXCHANGE,
  'auth0 session on_behalf_of': AUTH0_EXCHANGE,
  'auth0 bearer on_behalf_of': AUTH0_EXCHANGE,
  'google session exchange': GOOGLE_NONE,
  'google session on_behalf_of': GOOGLE_NONE,
  'google bearer exchange': GOOGLE_NONE,
  'google bearer on_behalf_of': GOOGLE_NONE,
  'google bearer pass_through': GOOGLE_OPAQUE,
  'google application client_credentials': GOOGLE_NO_APPLICATION,
}
