import { refreshTokenGrant } from 'openid-client'
import type { DirectoryFacts } from '../domain/profile.ts'
import type { Claims, Json } from '../domain/token.ts'
import type { Secret } from '../kernel/secret.ts'
import { SingleFlight } from '../kernel/single-flight.ts'
import { between, millis, minutes } from '../kernel/time.ts'
import type { Instant, Millis } from '../kernel/time.ts'
import type { Metadata } from './discovery.ts'
import type { BoundedFetch } from './fetch.ts'
import { isJsonType, isObject, parseObject, stringOf } from './json.ts'
import type { Room } from './room.ts'
import { metadataIn, tenantIn } from './tenants.ts'
import { parseTokenResponse } from './token-response.ts'

/** Group memberships that do not fit into an ID token, asked for at the provider's directory (Entra: Microsoft Graph). */
export interface Groups {
  /**
   * The claims with `groups` filled in, where they say that there are too many to list; as they were where that failed, so that rules on groups refuse.
   * @param isSignIn asks anew; a refresh makes do with what was asked a moment ago
   */
  resolve(metadata: Metadata, claims: Claims, refreshToken: Secret<'refresh-token'> | undefined, isSignIn: boolean): Promise<Claims>
}

export interface GroupsDeps {
  readonly fetch: BoundedFetch
  readonly directory: DirectoryFacts
  /** Groups that rules name: of the thousands somebody may be in, only these are kept. */
  readonly wanted: readonly string[]
  readonly timeoutMs: Millis
}

/** A page that opens refreshes one token per API: they share one answer. */
const FRESH_FOR = minutes(5)
const HELD_MAX = 1000
/** About ten thousand memberships; beyond it, nobody knows, and unknown is not none. */
const PAGES_MAX = 12

/** Too many to list: the token says where to ask for them instead (OpenID Connect Core 1.0 §5.6.2). */
export const isOverage = (claims: Claims): boolean => {
  const names = claims['_claim_names']
  const has = claims['hasgroups']
  return (has !== undefined && has !== false) || (isObject(names) && Object.hasOwn(names, 'groups'))
}

export const createGroups = (deps: GroupsDeps, room: Room): Groups => {
  const flight = new SingleFlight<readonly string[] | undefined>()
  const held = new Map<string, { readonly at: Instant; readonly groups: readonly string[] }>()

  const ask = async (metadata: Metadata, issuer: string, refreshToken: Secret<'refresh-token'>): Promise<readonly string[] | undefined> => {
    const endsAt = performance.now() + deps.timeoutMs
    const token = await tokenFor(deps, room, metadataIn(metadata, room.client.profile, tenantIn(issuer)), refreshToken)
    return token && metadata.directory ? read(deps, metadata.directory, token, endsAt) : undefined
  }

  return {
    resolve: async (metadata, claims, refreshToken, isSignIn) => {
      if (deps.wanted.length === 0 || !isOverage(claims)) return claims
      const key = `${stringOf(claims, 'iss')}|${stringOf(claims, 'sub')}`
      const known = isSignIn ? undefined : held.get(key)
      const now = room.clock.now()
      if (known && between(known.at, now) >= 0 && between(known.at, now) < FRESH_FOR) return filled(claims, known.groups)
      const groups = refreshToken && (await flight.run(key, () => ask(metadata, stringOf(claims, 'iss') ?? '', refreshToken)))
      if (!groups) {
        // Never "no groups": the overage stays in the claims, and rules on groups refuse.
        held.delete(key)
        room.log.warn(
          { provider: room.name, hint: 'see provider.groups.resolve in docs/settings.md' },
          'groups of a user could not be resolved',
        )
        return claims
      }
      const kept = deps.wanted.filter((group) => groups.includes(group))
      held.delete(key)
      held.set(key, { at: now, groups: kept })
      for (const oldest of held.keys()) if (held.size > HELD_MAX) held.delete(oldest)
      return filled(claims, kept)
    },
  }
}

const filled = (claims: Claims, groups: readonly string[]): Claims => {
  const { _claim_names: names, _claim_sources: sources, hasgroups: _has, ...rest } = claims
  const { groups: _groups, ...others } = isObject(names) ? names : {}
  const left: Record<string, Json> =
    Object.keys(others).length > 0 ? { _claim_names: others, ...(sources !== undefined && { _claim_sources: sources }) } : {}
  return { ...rest, ...left, groups: [...groups] }
}

/** Of the user's own: whoever may not read their groups is not told them. Only profiles whose refresh tokens stay as they are have a directory. */
const tokenFor = async (
  { directory, timeoutMs }: GroupsDeps,
  room: Room,
  metadata: Metadata,
  refreshToken: Secret<'refresh-token'>,
): Promise<Secret<'access-token'> | undefined> => {
  const { exchange, accepted } = await room.call('refresh', metadata, timeoutMs, (configuration) =>
    refreshTokenGrant(configuration, refreshToken.reveal(), { scope: directory.scope }),
  )
  if (exchange.kind === 'failed' || exchange.status !== 200 || !accepted) return undefined
  const { parsed } = parseTokenResponse(exchange, room.clock.now())
  return parsed.kind === 'tokens' ? parsed.tokens.token : undefined
}

/** All pages, or nothing. The next one is asked for where the first was, or the token would go to whoever an answer names. */
const read = async (
  { fetch, directory }: GroupsDeps,
  origin: URL,
  token: Secret<'access-token'>,
  endsAt: number,
): Promise<readonly string[] | undefined> => {
  const groups: string[] = []
  const first = new URL(directory.path, origin)
  let next: URL | undefined = first
  for (let page = 0; next; page += 1) {
    if (page === PAGES_MAX || next.origin !== first.origin || next.pathname !== first.pathname) return undefined
    const answer = await fetch({
      url: next,
      method: 'GET',
      headers: { accept: 'application/json', authorization: `Bearer ${token.reveal()}` },
      timeoutMs: millis(endsAt - performance.now()),
    })
    if (answer.kind === 'failed' || answer.status !== 200 || !isJsonType(answer.contentType)) return undefined
    const body: Claims | undefined = parseObject(answer.body)
    const ids = idsOf(body?.['value'])
    if (!body || !ids) return undefined
    groups.push(...ids)
    const link = body['@odata.nextLink']
    if (link !== undefined && !(typeof link === 'string' && URL.canParse(link))) return undefined
    next = link === undefined ? undefined : new URL(link)
  }
  return groups
}

const idsOf = (value: Json | undefined): readonly string[] | undefined => {
  if (!Array.isArray(value)) return undefined
  const ids = value.map((entry: Json) => (isObject(entry) ? entry['id'] : undefined))
  return ids.every((id): id is string => typeof id === 'string') ? ids : undefined
}
