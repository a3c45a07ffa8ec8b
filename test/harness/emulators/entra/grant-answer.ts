import { type Exchange, type Json, jsonReply, type Reply } from '../core-exchange.ts'
import type { AuthenticatedClient } from './client-auth.ts'
import { GRAPH_ID } from './directory.ts'
import { Aadsts, isoSeconds } from './errors.ts'
import { enforce } from './policies.ts'
import { type AskedScopes, askedClaims, type Target } from './scopes.ts'
import type { EntraState, Grant, TenantDoor } from './state.ts'
import { accessToken, grantedScopes, idToken, refreshToken } from './tokens.ts'

/** What every grant is given. */
export interface TokenAsk {
  readonly state: EntraState
  readonly exchange: Exchange
  readonly door: TenantDoor
  readonly client: AuthenticatedClient
}

/** One API per token. */
export const oneTarget = ({ targets }: AskedScopes, scope: string): Target | undefined => {
  if (targets.length > 1) throw new Aadsts(28000, { scope })
  return targets[0]
}

export const checkUser = (grant: Grant, tenant: string, { app }: AuthenticatedClient): void => {
  const { user, authTime } = grant
  if (!user.enabled) throw new Aadsts(50057)
  if (user.tokensValidFrom > authTime)
    throw new Aadsts(50173, { issued: isoSeconds(authTime), validFrom: isoSeconds(user.tokensValidFrom) })
  // Not bound to a tenant, but to a person: where they are no guest, they are nobody.
  if (user.oidIn(tenant) === undefined) throw new Aadsts(50020, { user: user.upn, idp: user.tenant, tenant, client: app.id })
}

interface Given {
  readonly grant: Grant
  readonly target: Target
  readonly asked: AskedScopes
  readonly nonce: string | undefined
  readonly before: { readonly token: string; readonly lineFrom: number } | undefined
}

/** E21: what all grants that speak for a person answer. */
export const answer = async ({ state, exchange, client }: TokenAsk, { grant, target, asked, nonce, before }: Given): Promise<Reply> => {
  const { form, now } = exchange
  const claims = askedClaims(form.get('claims'))
  exchange.note({ audience: target.api.name, user: grant.user.key, tenant: grant.tenant })
  enforce(state, { user: grant.user, api: target.api }, grant, claims, now)
  const scopes = grantedScopes(state, client.app, target, grant.user)
  const access = await accessToken(state, { client, target, tenant: grant.tenant, now, claims, grant, scopes })
  const written = target.api.id === GRAPH_ID ? scopes : scopes.map((name) => `${target.writtenAs}/${name}`)
  const body: Json = {
    token_type: 'Bearer',
    // Not in the order of the request: nobody may compare the two as strings.
    scope: [...written].reverse().join(' '),
    expires_in: access.seconds - 1,
    ext_expires_in: access.seconds - 1,
    ...(access.isLong && { refresh_in: Math.floor(access.seconds / 2) }),
    access_token: access.token,
    ...(grant.offline && {
      refresh_token: refreshToken(state, { grant, issuedAt: now, last: target, openid: asked.openid, profile: asked.profile }, before),
    }),
    ...(asked.openid && {
      id_token: await idToken(state, { app: client.app, grant, now, nonce, asked, acrs: claims.idTokenAcrs ?? grant.acrs[0] }),
    }),
    ...(form.get('client_info') === '1' && { client_info: clientInfo(grant) }),
  }
  for (const name of ['access_token', 'refresh_token', 'id_token']) if (name in body) state.handedOut.add(String(body[name]))
  return jsonReply(body)
}

const clientInfo = ({ user, tenant }: Grant): string =>
  Buffer.from(JSON.stringify({ uid: user.oidIn(tenant), utid: tenant })).toString('base64url')
