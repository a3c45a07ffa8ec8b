import { decodeJwt } from 'jose'
import { type Exchange, type Json, jsonReply, type Reply } from '../core-exchange.ts'
import { type Api, GRAPH_ID, type User } from './directory.ts'
import type { EntraState, Issued } from './state.ts'

interface Caller {
  readonly claims: Json
  readonly issued: Issued
}

/** `/api/{name}/…`: an API that believes no token but its own, and takes part in continuous access evaluation. */
export const resourceApi = async (state: EntraState, exchange: Exchange, name: string): Promise<Reply> => {
  const api = state.directory.api(name) ?? state.directory.api(`api://${name}`)
  if (!api) return jsonReply({ error: 'there is no such API' }, 404)
  const caller = await callerOf(state, exchange, api)
  if (typeof caller === 'string') return challenge(caller)
  const { claims, issued } = caller
  const demanded = state.demands.get(api.name)
  if (demanded && !((claims['acrs'] as readonly string[] | undefined) ?? []).includes(demanded.acrs))
    return insufficient(state, { acrs: { essential: true, value: demanded.acrs } }, ', cc_type="authcontext"')
  const user = issued.grant?.user
  // Entra tells such APIs within minutes; this one knows at once. Only callers that said `cp1` are asked.
  if (user && user.tokensValidFrom > issued.at && claims['xms_cc'] !== undefined)
    return insufficient(state, { nbf: { essential: true, value: String(Math.floor(user.tokensValidFrom / 1000)) } })
  return jsonReply({
    api: api.name,
    principal: user ? 'user' : 'app',
    user: user?.key ?? null,
    method: exchange.method,
    path: exchange.url.pathname,
    claims: Object.fromEntries(
      ['aud', 'iss', 'oid', 'tid', 'scp', 'roles', 'azp', 'appid', 'acrs', 'ver', 'uti'].map((key) => [key, claims[key] ?? null]),
    ),
  })
}

const callerOf = async (state: EntraState, { headers, now }: Exchange, api: Api): Promise<Caller | string> => {
  const token = /^bearer (.+)$/i.exec(headers.authorization ?? '')?.[1]
  if (token === undefined) return ''
  const claims = (await state.keys.verify(token))?.claims
  if (!claims) return 'the signature is wrong'
  if (![api.id, ...api.api.uris].includes(String(claims.aud))) return 'the audience is another one'
  if (
    claims.iss !==
    (api.api.version === 1
      ? state.settings.v1Issuer.replace('{tid}', String(claims['tid']))
      : `${state.authority}/${String(claims['tid'])}/v2.0`)
  )
    return 'the issuer is another one'
  if ((claims.exp ?? 0) * 1000 <= now) return 'the token is expired'
  const issued = state.issued.get(String(claims['uti']))
  return issued ? { claims: claims as Json, issued } : 'an ID token is no access token'
}

const challenge = (description: string): Reply =>
  jsonReply({ error: 'invalid_token', description }, 401, {
    'www-authenticate': description === '' ? 'Bearer' : `Bearer error="invalid_token", error_description="${description}"`,
  })

/** Two headers, as some gateways in front of APIs send them; the claims in standard base64. */
const insufficient = ({ authority }: EntraState, claims: Json, more = ''): Reply => {
  const encoded = Buffer.from(JSON.stringify({ access_token: claims })).toString('base64')
  return jsonReply({ error: 'insufficient_claims' }, 401, {
    'www-authenticate': [
      `Bearer realm="", authorization_uri="${authority}/common/oauth2/authorize", client_id="${GRAPH_ID}", error="insufficient_claims", claims="${encoded}"${more}`,
      'PoP nonce="abc"',
    ],
  })
}

/** `/graph/…`, as far as a gateway may want it: userinfo, the groups behind an overage, and revocation of sign-ins. */
export const graph = (state: EntraState, exchange: Exchange, path: string): Reply => {
  const caller = graphCaller(state, exchange)
  if (!caller) return jsonReply({ error: { code: 'InvalidAuthenticationToken', message: 'Access token is empty or invalid.' } }, 401)
  const { user, tenant, scp } = caller
  if (path === '/oidc/userinfo')
    return jsonReply({ sub: String(decodeSub(exchange)), name: user.name, ...(user.email && { email: user.email }) })
  if (
    path === '/v1.0/me/getMemberObjects' ||
    path === '/v1.0/me/transitiveMemberOf' ||
    path === '/v1.0/me/transitiveMemberOf/microsoft.graph.group'
  ) {
    if (!scp.some((scope) => scope === 'User.Read' || scope === 'GroupMember.Read.All'))
      return jsonReply(
        { error: { code: 'Authorization_RequestDenied', message: 'Insufficient privileges to complete the operation.' } },
        403,
      )
    // "This header and $count are required when using … OData cast" (learn.microsoft.com, user: list transitiveMemberOf).
    const isAdvanced =
      String(exchange.headers['consistencylevel']).toLowerCase() === 'eventual' && exchange.url.searchParams.get('$count') === 'true'
    if (path.endsWith('microsoft.graph.group') && !isAdvanced)
      return jsonReply(
        {
          error: {
            code: 'Request_UnsupportedQuery',
            message: 'Request with $count query parameter is not supported for this type of query.',
          },
        },
        400,
      )
    const context = { '@odata.context': 'https://graph.microsoft.com/v1.0/$metadata#directoryObjects' }
    if (path.endsWith('Objects')) return jsonReply({ ...context, value: user.groupIds })
    return jsonReply({ ...context, ...memberPage(exchange.url, user.groupIds) })
  }
  if (path === `/v1.0/users/${user.oidIn(tenant)}/revokeSignInSessions` && exchange.method === 'POST') {
    user.tokensValidFrom = exchange.now
    return jsonReply({ value: true })
  }
  return jsonReply({ error: { code: 'BadRequest', message: 'Resource not found.' } }, 404)
}

const PAGE = 100
const PAGE_MAX = 999
/** A page at a time; the link to the next one holds everything the first request said. */
const memberPage = (url: URL, groups: readonly string[]): Json => {
  const size = Math.min(Number(url.searchParams.get('$top') ?? PAGE), PAGE_MAX)
  const from = Number(url.searchParams.get('$skiptoken') ?? 0)
  const next = new URL(url)
  next.searchParams.set('$skiptoken', String(from + size))
  return {
    ...(from + size < groups.length && { '@odata.nextLink': next.href }),
    value: groups.slice(from, from + size).map((id) => ({ '@odata.type': '#microsoft.graph.group', id })),
  }
}

const graphCaller = (
  state: EntraState,
  { headers, now }: Exchange,
): { readonly user: User; readonly tenant: string; readonly scp: readonly string[] } | undefined => {
  try {
    const claims = decodeJwt(/^bearer (.+)$/i.exec(headers.authorization ?? '')?.[1] ?? '')
    const issued = state.issued.get(String(claims['uti']))
    if (issued?.resource !== GRAPH_ID || !issued.grant || (claims.exp ?? 0) * 1000 <= now) return undefined
    return { user: issued.grant.user, tenant: issued.tenant, scp: String(claims['scp']).split(' ') }
  } catch {
    return undefined
  }
}
const decodeSub = ({ headers }: Exchange): unknown => decodeJwt(String(headers.authorization).slice(7)).sub
