import type { CallerKind } from '../domain/caller.ts'
import type { ProviderProfile } from '../domain/provider.ts'
import type { Route } from '../domain/route.ts'
import type { Ask, GrantName } from '../domain/token.ts'
import { assertNever } from '../kernel/assert.ts'
import { applicationParameters, exchangeParameters, onBehalfOfParameters, refreshParameters } from '../provider/ask-parameters.ts'
import { audienceNote, GRANT_TYPES } from './explain-words.ts'

/** The parameters of a token request, as the profile puts them. Absent things are null. */
export interface TokenRequest {
  readonly grant_type: NonNullable<(typeof GRANT_TYPES)[GrantName]>
  readonly resource: string | null
  readonly audience: string | null
  readonly scope: string | null
  readonly note: string
  /** What is turned in, and what goes along as actor: the audience of that token, '' where the sign-in's says it all; null: nothing. */
  readonly subject: string | null
  readonly actor: string | null
}

export interface RequestFacts {
  readonly profile: ProviderProfile
  readonly scopeRules: Parameters<typeof refreshParameters>[2]
}

/** By the functions that make the token request; a refresh is shown as after a sign-in that was granted all it asked for. */
export const askedAs = (token: Route['token'], callers: readonly CallerKind[], facts: RequestFacts): TokenRequest | null => {
  if (token.principal === 'none') return null
  // Where callers of both kinds come, the one for sessions is shown.
  const ask = token.principal === 'user' && token.bearerAsk && !callers.includes('session') ? token.bearerAsk : token.ask
  const grantType = GRANT_TYPES[ask.grant]
  if (grantType === null) return null
  const parameters = parametersOf(ask, facts)
  const hasSubject = ask.subject !== undefined
  return {
    grant_type: grantType,
    resource: parameters.get('resource'),
    audience: parameters.get('audience'),
    scope: parameters.get('scope'),
    note: noteOf(ask, facts.profile, parameters),
    subject: hasSubject ? (ask.subject?.audience ?? '') : null,
    actor: ask.actor ? (ask.actor.audience ?? '') : null,
  }
}

const parametersOf = (ask: Ask, { profile, scopeRules }: RequestFacts): URLSearchParams => {
  switch (ask.grant) {
    case 'refresh': {
      const granted = [...scopeRules.loginScopes, ...scopeRules.userAsks.flatMap(({ scopes }) => scopes)]
      return refreshParameters(ask, granted, scopeRules)
    }
    case 'client_credentials':
      return applicationParameters(ask, profile)
    case 'exchange':
      return exchangeParameters(ask, profile)
    case 'on_behalf_of':
      return onBehalfOfParameters(ask, profile)
    case 'service_account':
      return new URLSearchParams({ scope: ask.scopes.join(' ') })
    case 'static':
    case 'pass_through':
      return new URLSearchParams()
    default:
      return assertNever(ask.grant)
  }
}

const noteOf = (ask: Ask, profile: ProviderProfile, parameters: URLSearchParams): string => {
  if (ask.grant === 'service_account')
    return 'signed with the key file, at the token endpoint it names; the user is the one of the session, never of the request'
  if (ask.audience === undefined) return 'no audience: the scopes say it all'
  if (ask.grant === 'exchange')
    return parameters.has('resource') ? audienceNote({ ...profile, target: 'resource' }) : audienceNote({ ...profile, target: 'audience' })
  return audienceNote(profile)
}
