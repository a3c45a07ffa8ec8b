import { createHash } from 'node:crypto'
import { digestOf, type Exchange, jsonReply, type Reply } from '../core-exchange.ts'
import { type AuthenticatedClient, authenticate } from './client-auth.ts'
import { GRAPH_URI, isGuid } from './directory.ts'
import { Aadsts, isoSeconds, refusedJson } from './errors.ts'
import { answer, checkUser, oneTarget, type TokenAsk } from './grant-answer.ts'
import { onBehalfOf } from './grant-obo.ts'
import { type AskedScopes, askedClaims, askedScopes, type Target } from './scopes.ts'
import type { EntraState, Grant, RefreshToken, TenantDoor } from './state.ts'
import { accessToken } from './tokens.ts'

const CODE_MS = 600_000
const DAY_MS = 86_400_000
const OBO = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const LOOP_WINDOW_MS = 60_000

/** `POST /token`. */
export const token = async (state: EntraState, exchange: Exchange, door: TenantDoor, doorName: string): Promise<Reply> => {
  try {
    return await granted(state, exchange, door, doorName)
  } catch (refusal) {
    if (refusal instanceof Aadsts) return refusedJson(refusal, exchange)
    throw refusal
  }
}

const granted = async (state: EntraState, exchange: Exchange, door: TenantDoor, doorName: string): Promise<Reply> => {
  const { form, method } = exchange
  if (method !== 'POST') throw new Aadsts(900561, { method })
  const grantType = form.get('grant_type')
  if (grantType === null) throw new Aadsts(900144, { field: 'grant_type' })
  if (form.has('resource')) throw new Aadsts(901002)
  // A SPA's code needs no credential: the browser's Origin stands for it (E4).
  const client = isSpaRedemption(state, exchange)
    ? spaClient(state, exchange)
    : await authenticate(state, exchange, doorName, door.kind === 'tenant' ? door.id : undefined)
  refuseLoops(state, exchange)
  const ask: TokenAsk = { state, exchange, door, client }
  switch (grantType) {
    case 'authorization_code':
      return redeem(ask)
    case 'refresh_token':
      return refresh(ask)
    case 'client_credentials':
      return forApplication(ask)
    case OBO:
      return onBehalfOf(ask)
    default:
      throw new Aadsts(70003, { grant: grantType })
  }
}

/** E20: the same request again and again is refused, with an `invalid_grant` that means nothing of the kind. */
const refuseLoops = ({ settings, recent }: EntraState, { form, now }: Exchange): void => {
  if (settings.loopAfter === undefined) return
  const key = digestOf(['grant_type', 'client_id', 'refresh_token', 'scope', 'assertion'].map((name) => form.get(name) ?? '').join(' '))
  const moments = (recent.get(key) ?? []).filter((at) => at > now - LOOP_WINDOW_MS)
  recent.set(key, [...moments, now])
  if (moments.length >= settings.loopAfter) throw new Aadsts(50196)
}

const isSpaRedemption = (state: EntraState, { form, headers }: Exchange): boolean =>
  headers.origin !== undefined &&
  (state.codes.get(form.get('code') ?? '')?.grant.spa ?? state.refreshTokens.get(form.get('refresh_token') ?? '')?.grant.spa ?? false)
const spaClient = (state: EntraState, { form }: Exchange): AuthenticatedClient => {
  const app = state.directory.app(form.get('client_id') ?? '')
  if (!app) throw new Aadsts(700016, { client: form.get('client_id') ?? '' })
  return { app, strength: '0' }
}

/** E2–E5. */
const redeem = async (ask: TokenAsk): Promise<Reply> => {
  const { state, exchange, door, client } = ask
  const { form, now, headers } = exchange
  for (const field of ['code', 'redirect_uri']) if (!form.has(field)) throw new Aadsts(900144, { field })
  const code = state.codes.get(form.get('code') ?? '')
  if (!code) throw new Aadsts(9002313, {}, { error: 'invalid_grant' })
  const { grant } = code
  if (grant.client !== client.app.id) throw new Aadsts(700007)
  if (door.kind === 'tenant' && door.id !== grant.tenant) throw new Aadsts(700005, { tenant: grant.tenant })
  if (code.redeemed) throw new Aadsts(54005)
  if (now - code.issuedAt > CODE_MS) throw new Aadsts(70008)
  if (form.get('redirect_uri') !== code.redirectUri)
    throw new Aadsts(50011, { redirectUri: form.get('redirect_uri') ?? '', client: client.app.id }, { error: 'invalid_grant' })
  checkVerifier(code, form.get('code_verifier'))
  checkOrigin(grant, headers.origin)
  // From here nobody else redeems it; there is no `await` between the look and this.
  code.redeemed = true
  const authorized = askedScopes(state.directory, code.scope, grant.tenant)
  const given = askedScopes(state.directory, form.get('scope') ?? '', grant.tenant)
  const target = oneTarget(given, form.get('scope') ?? '') ?? authorized.targets[0] ?? graphOf(ask, authorized, form.get('scope'))
  const asked = { ...authorized, openid: authorized.openid || given.openid, email: authorized.email || given.email }
  return answer(ask, {
    grant: { ...grant, offline: grant.offline || given.offlineAccess },
    target,
    asked,
    nonce: code.nonce,
    before: undefined,
  })
}

const checkVerifier = (code: { readonly challenge: string | undefined; readonly method: string }, verifier: string | null): void => {
  if (code.challenge === undefined) return
  if (verifier === null) throw new Aadsts(50148)
  const shown = code.method === 'S256' ? createHash('sha256').update(verifier).digest('base64url') : verifier
  if (shown !== code.challenge) throw new Aadsts(501481)
}

const checkOrigin = (grant: Grant, origin: string | undefined): void => {
  if (grant.spa && origin === undefined) throw new Aadsts(9002327)
  if (!grant.spa && origin !== undefined) throw new Aadsts(9002326, { origin })
}

/** No API was ever named: the OIDC scopes are Graph's. Without any scope at all there is nothing to make a token for. */
const graphOf = ({ state }: TokenAsk, authorized: AskedScopes, scope: string | null): Target => {
  const api = state.directory.api(GRAPH_URI)
  if (scope === null || !authorized.openid || !api) throw new Aadsts(28003)
  return { api, writtenAs: GRAPH_URI, names: [], isDefault: false }
}

/** E8. */
const refresh = async (ask: TokenAsk): Promise<Reply> => {
  const { state, exchange, door, client } = ask
  const { form, now, headers } = exchange
  const shown = form.get('refresh_token')
  if (shown === null) throw new Aadsts(900144, { field: 'refresh_token' })
  const held = state.refreshTokens.get(shown)
  if (!held) throw new Aadsts(9002313, {}, { error: 'invalid_grant' })
  if (held.grant.client !== client.app.id) throw new Aadsts(700007)
  const tenant = door.kind === 'tenant' ? door.id : held.grant.tenant
  const grant = { ...held.grant, tenant }
  const { user } = grant
  checkAlive(held, now)
  checkUser(grant, tenant, client)
  checkOrigin(grant, headers.origin)
  const scope = form.get('scope') ?? ''
  const given = askedScopes(state.directory, scope, tenant)
  const target = oneTarget(given, scope) ?? lastTarget(ask, held)
  if (target.api.id === client.app.id && !isGuid(target.writtenAs) && !state.settings.lenient90009)
    throw new Aadsts(90009, { client: client.app.id, name: client.app.name })
  const asked = { ...given, openid: held.openid || given.openid, profile: held.profile || given.profile }
  exchange.note({ user: user.key })
  return answer(ask, { grant, target, asked, nonce: undefined, before: { token: shown, lineFrom: held.lineFrom } })
}

const checkAlive = ({ grant, issuedAt, lineFrom }: RefreshToken, now: number): void => {
  if (grant.spa && now - lineFrom > DAY_MS) throw new Aadsts(700084)
  if (now - issuedAt > 90 * DAY_MS) throw new Aadsts(700082, { issued: isoSeconds(issuedAt) })
}

/** No API named: the last one again, and by its name, which is what 90009 is about when that is the client itself. */
const lastTarget = ({ state, client }: TokenAsk, held: RefreshToken): Target => {
  const own = held.last?.api.id === client.app.id
  if (own && !state.settings.lenient90009) throw new Aadsts(90009, { client: client.app.id, name: client.app.name })
  if (held.last) return held.last
  const api = state.directory.api(GRAPH_URI)
  if (!api) throw new Aadsts(70011)
  return { api, writtenAs: GRAPH_URI, names: [], isDefault: false }
}

/** E13. */
const forApplication = async ({ state, exchange, door, client }: TokenAsk): Promise<Reply> => {
  const { form, now } = exchange
  if (door.kind !== 'tenant') throw new Aadsts(90023, { reason: 'client credentials need a tenant' })
  const scope = form.get('scope')
  if (scope === null) throw new Aadsts(900144, { field: 'scope' })
  if (!scope.endsWith('/.default') || scope.includes(' ')) throw new Aadsts(1002012, { scope })
  const target = oneTarget(askedScopes(state.directory, scope, door.id), scope)
  if (!target) throw new Aadsts(1002012, { scope })
  const { app } = client
  const roles = state.directory.rolesOf(app.id, target.api.id)
  if (target.api.api.assignmentRequired === true && roles.length === 0)
    throw new Aadsts(501051, { client: app.id, name: app.name, resource: target.api.id })
  exchange.note({ audience: target.api.name, tenant: door.id })
  const claims = askedClaims(form.get('claims'))
  const access = await accessToken(state, { client, target, tenant: door.id, now, claims, grant: undefined, scopes: [] })
  state.handedOut.add(access.token)
  return jsonReply({ token_type: 'Bearer', expires_in: access.seconds - 1, ext_expires_in: access.seconds - 1, access_token: access.token })
}
