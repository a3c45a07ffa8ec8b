import type { CallerKind } from '../../src/domain/caller.ts'
import type { ProfileName } from '../../src/domain/profile.ts'
import type { GrantName } from '../../src/domain/token.ts'
import type { FlowCell, ProfileFlow, Way, WayFlow } from './profiles/table.ts'

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

/** What cannot happen on ways that there are. Without profiles or ways: on all of them. */
export interface FlowFact {
  readonly profiles?: readonly ProfileName[]
  readonly ways?: readonly (Way | '*')[]
  readonly flows: readonly (WayFlow | ProfileFlow)[]
  readonly fact: string
  /** A configuration that wants it all the same is refused with this code. */
  readonly refused?: string
}

const ALL_REFUSALS = ['step-up', 'consent', 'audience denied', 'throttled'] as const

export const FLOW_FACTS: readonly FlowFact[] = [
  {
    ways: ['application static', 'bearer pass_through'],
    flows: [...ALL_REFUSALS, 'expiry', 'wrong principal', 'wrong audience'],
    fact: 'spec §1: a key from a file, or the token that was brought, is sent as it is: no provider is asked, so none refuses, renews or errs',
  },
  {
    ways: ['bearer pass_through'],
    flows: ['two audiences'],
    fact: 'spec §1: only a token for the route’s own audience passes, and what a caller brings is for the gateway',
  },
  {
    ways: ['application client_credentials'],
    flows: ['step-up', 'consent'],
    fact: 'providers.md §1.7, §1.14 (table): there is no user who could prove more or consent; an application lacks a role or it does not',
  },
  {
    ways: ['session service_account'],
    flows: ['step-up', 'consent'],
    fact: 'providers.md §3 (Google): an administrator allows scopes to a service account, no user is asked',
  },
  {
    ways: ['session service_account'],
    flows: ['wrong principal', 'wrong audience'],
    fact: 'providers.md §3 (Google): access tokens are opaque, and say to nobody whose they are or what for',
  },
  {
    profiles: ['google'],
    ways: ['session refresh'],
    flows: ['wrong principal', 'wrong audience'],
    fact: 'providers.md §3 (Google): access tokens are opaque, and say to nobody whose they are or what for',
  },
  {
    profiles: ['entra'],
    ways: ['session refresh', 'session on_behalf_of', 'bearer on_behalf_of', 'application client_credentials'],
    flows: ['wrong audience'],
    fact: 'providers.md §1.10: `aud` is the GUID of an API that was asked for by its URI, so that another GUID cannot be told from it',
  },
  {
    profiles: ['okta'],
    ways: ['session refresh', 'application client_credentials'],
    flows: ['wrong audience'],
    fact: 'providers.md §3 (Okta, table): all tokens of an authorization server are for its one audience; there is no other to err in',
  },
  {
    profiles: ['auth0', 'generic'],
    ways: ['application client_credentials'],
    flows: ['wrong principal'],
    fact: 'providers.md §3 (Auth0), §4: no claim is found in tokens of users alone, so one that stands for a user cannot be told; its audience can',
  },
  {
    profiles: ['okta'],
    ways: ['session refresh', 'application client_credentials'],
    flows: ['two audiences'],
    fact: 'providers.md §3 (Okta, table): an authorization server is one audience',
    refused: 'config.audience-unavailable',
  },
  {
    profiles: ['google'],
    ways: ['session refresh'],
    flows: ['two audiences'],
    fact: 'providers.md §3 (Google): no audience; one access token carries all scopes',
  },
  {
    profiles: ['keycloak'],
    ways: ['session refresh', 'session exchange', 'bearer exchange'],
    flows: ['step-up'],
    fact: 'providers.md §2.1, §2.3, §2.5: a level is asked for at sign-in and read from `acr`; the token endpoint never asks for more',
  },
  {
    profiles: ['entra'],
    flows: ['sign-out revokes', 'back-channel logout'],
    fact: 'providers.md §0 (8), §1.12: no revocation endpoint and no back-channel logout',
  },
  {
    profiles: ['okta', 'auth0', 'google'],
    flows: ['front-channel logout'],
    fact: 'providers.md §3: none of them frames a notice; Okta has Universal Logout, Auth0 back-channel logout, Google neither',
  },
  {
    profiles: ['okta'],
    flows: ['back-channel logout'],
    fact: 'providers.md §3 (Okta): Universal Logout by global token revocation instead',
  },
  {
    profiles: ['google'],
    flows: ['back-channel logout', 'sign-out at the provider'],
    fact: 'providers.md §3 (Google): no end_session_endpoint, and no logout token (RISC and SSF instead)',
  },
  { profiles: ['google'], flows: ['application calls'], fact: GOOGLE_OPAQUE },
]

/** The first fact that forbids a cell; undefined: it runs. */
export const factAgainst = ({ profile, way, flow }: FlowCell): string | undefined => {
  const cell = way === '*' ? undefined : IMPOSSIBLE[`${profile} ${way}` as Cell]
  return cell ?? FLOW_FACTS.find((one) => isAbout(one, { profile, way, flow }))?.fact
}

export const isAbout = ({ profiles, ways, flows }: FlowFact, { profile, way, flow }: FlowCell): boolean =>
  (profiles?.includes(profile) ?? true) && (ways?.includes(way) ?? true) && flows.includes(flow)
