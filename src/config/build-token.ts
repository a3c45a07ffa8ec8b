import type { ProviderProfile } from '../domain/profile.ts'
import type { AppAsk, BearerAsk, TokenHeader, UserAsk } from '../domain/route.ts'
import { resolvePath } from './reference.ts'
import type { Parsed } from './schema.ts'
import type { AskSettings, RouteTokenSettings } from './settings.ts'

type RouteInput = Parsed['routes'][number]
type TokenInput = RouteInput['token']

/**
 * What a grant setting comes to, by who calls. A grant that is written counts for the callers it can serve; the others get what `auto` would give them:
 * `refresh` says nothing about somebody who has no session. One that serves nobody here is none. undefined: there is no way.
 */
export const grantsOf = (
  { token, callers }: Pick<RouteInput, 'token' | 'callers'>,
  profile: ProviderProfile,
): {
  readonly user: UserAsk['grant'] | undefined
  readonly bearer: BearerAsk['grant'] | undefined
  readonly app: AppAsk['grant'] | undefined
} => {
  const { grant } = token
  const none = { user: undefined, bearer: undefined, app: undefined }
  if (token.principal === 'none') return none
  if (token.principal === 'app') {
    if (grant === 'auto') return { ...none, app: profile.grants.app }
    return { ...none, app: grant === 'client_credentials' || grant === 'static' ? grant : undefined }
  }
  const forSessions = isUserGrant(grant) && (grant !== 'on_behalf_of' || token.subject !== undefined || !callers.includes('bearer'))
  const forBearers = isBearerGrant(grant)
  const serves = (forSessions && callers.includes('session')) || (forBearers && callers.includes('bearer'))
  const isKnown = serves || grant === 'auto'
  return {
    ...none,
    user: !callers.includes('session') || !isKnown ? undefined : forSessions ? grant : profile.grants.user,
    bearer: !callers.includes('bearer') || !isKnown ? undefined : forBearers ? grant : profile.grants.bearer,
  }
}

const isUserGrant = (grant: TokenInput['grant']): grant is UserAsk['grant'] =>
  grant === 'refresh' || grant === 'exchange' || grant === 'on_behalf_of' || grant === 'service_account'
const isBearerGrant = (grant: TokenInput['grant']): grant is BearerAsk['grant'] =>
  grant === 'exchange' || grant === 'on_behalf_of' || grant === 'pass_through'

/** Only for what check-token.ts has passed; a grant that cannot be stands as the one that asks for least. */
export const buildToken = (route: RouteInput, profile: ProviderProfile, dir: string): RouteTokenSettings => {
  const { token } = route
  if (token.principal === 'none') return { principal: 'none' }
  const grants = grantsOf(route, profile)
  const keyFile = token.key_file === undefined ? undefined : resolvePath(dir, token.key_file)
  if (token.principal === 'app') {
    const grant = grants.app ?? 'client_credentials'
    return { principal: 'app', grant, ...asked(token), keyFile, attach: grant === 'static' ? headerOf(token) : undefined }
  }
  return {
    principal: 'user',
    grant: grants.user ?? 'refresh',
    bearerGrant: grants.bearer,
    ...asked(token),
    subject: token.subject && asked(token.subject),
    actor: token.actor && asked(token.actor),
    keyFile,
    subjectClaim: token.subject_claim ?? 'email',
  }
}

const asked = ({ audience, scopes }: Pick<TokenInput, 'audience' | 'scopes'>): AskSettings => ({
  audience,
  scopes: [...new Set(scopes)].toSorted(),
})

const headerOf = ({ header, scheme }: TokenInput): TokenHeader => {
  const name = (header ?? 'authorization').toLowerCase()
  const word = scheme ?? (name === 'authorization' ? 'Bearer' : '')
  return { name, prefix: word === '' ? '' : `${word} ` }
}
