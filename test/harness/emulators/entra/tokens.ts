import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { toNumericDate } from '../../../../src/kernel/time.ts'
import type { Json } from '../core-exchange.ts'
import { type App, GRAPH_ID, guidOf, type User } from './directory.ts'
import { Aadsts } from './errors.ts'
import type { AskedClaims, AskedScopes, Target } from './scopes.ts'
import type { AuthenticatedClient } from './client-auth.ts'
import type { EntraState, Grant, RefreshToken } from './state.ts'

const CAE_SECONDS = 24 * 3600
const OVERAGE = 200

/** Entra dates its tokens five minutes back. */
const BACK_SECONDS = 300

const pairwise = (user: User, tenant: string, app: string): string =>
  createHash('sha256')
    .update(`${user.oidIn(tenant)} ${app}`)
    .digest('base64url')

export interface AccessTokenAsk {
  readonly client: AuthenticatedClient
  readonly target: Target
  readonly tenant: string
  readonly now: number
  readonly claims: AskedClaims
  /** undefined: for the application itself. */
  readonly grant: Grant | undefined
  readonly scopes: readonly string[]
}
export interface AccessTokenAnswer {
  readonly token: string
  readonly seconds: number
  readonly isLong: boolean
}

/** E7, E15, E17. The resource decides the version, whichever endpoint was asked. */
export const accessToken = async (state: EntraState, ask: AccessTokenAsk): Promise<AccessTokenAnswer> => {
  const { client, target, tenant, now, grant, claims, scopes } = ask
  const { id: resource, api } = target.api
  const version = resource === GRAPH_ID ? 1 : (api.version ?? 2)
  const isLong = api.cae === true && claims.cp1
  const seconds = isLong ? CAE_SECONDS : (state.settings.accessTokenSeconds ?? 3600 + Math.floor(state.random() * 1800))
  const uti = randomUUID()
  const at = toNumericDate(now as never)
  const azp = client.app.id
  const roles = grant ? (grant.user.roles?.[resource] ?? []) : state.directory.rolesOf(azp, resource)
  const servicePrincipal = guidOf(`${azp} in ${tenant}`)
  const acrs = grant?.acrs ?? []
  const payload: Json = {
    aud: version === 2 ? resource : target.writtenAs,
    iss: version === 2 ? `${state.authority}/${tenant}/v2.0` : state.settings.v1Issuer.replace('{tid}', tenant),
    iat: at - BACK_SECONDS,
    nbf: at - BACK_SECONDS,
    exp: at + seconds,
    aio: randomBytes(24).toString('base64url'),
    ...(version === 2 ? { azp, azpacr: client.strength } : { appid: azp, appidacr: client.strength }),
    rh: `1.${randomBytes(18).toString('base64url')}.`,
    tid: tenant,
    uti,
    ver: `${version}.0`,
    ...(roles.length > 0 && { roles }),
    ...(isLong && { xms_cc: ['cp1'] }),
    ...(acrs.length > 0 && { acrs }),
    ...(grant
      ? {
          oid: grant.user.oidIn(tenant),
          sub: pairwise(grant.user, tenant, resource),
          scp: scopes.join(' '),
          name: grant.user.name,
          sid: grant.sid,
          ...(version === 2
            ? { preferred_username: grant.user.upn }
            : { upn: grant.user.upn, unique_name: grant.user.upn, amr: grant.mfa ? ['pwd', 'mfa'] : ['pwd'] }),
          ...(api.groups && groupsOf(grant.user, tenant)),
        }
      : { oid: servicePrincipal, sub: servicePrincipal, idtyp: 'app' }),
  }
  state.issued.set(uti, { at: now, grant, client: azp, resource, tenant })
  return {
    token: resource === GRAPH_ID ? await graphToken(state, payload) : await state.keys.sign(payload, keyNames(state)),
    seconds,
    isLong,
  }
}

const keyNames = (state: EntraState): Json => ({ x5t: state.keys.active.kid })

/** Signed over the digest of the nonce that its header shows: only Graph can check it. */
const graphToken = async (state: EntraState, payload: Json): Promise<string> => {
  const nonce = randomBytes(32).toString('base64url')
  const hidden = createHash('sha256').update(nonce).digest('base64url')
  const signed = await state.keys.sign(payload, { ...keyNames(state), nonce: hidden })
  const [head = '', ...rest] = signed.split('.')
  const shown = { ...(JSON.parse(Buffer.from(head, 'base64url').toString('utf8')) as Json), nonce }
  return [Buffer.from(JSON.stringify(shown)).toString('base64url'), ...rest].join('.')
}

/** Above 200 groups the token names a place instead; it is the old graph's, and nobody should go there. */
const groupsOf = (user: User, tenant: string): Json => {
  if (user.groupIds.length === 0) return {}
  if (user.groupIds.length <= OVERAGE) return { groups: user.groupIds }
  const endpoint = `https://graph.windows.net/${tenant}/users/${user.oidIn(tenant)}/getMemberObjects`
  return { _claim_names: { groups: 'src1' }, _claim_sources: { src1: { endpoint } } }
}

export interface IdTokenAsk {
  readonly app: App
  readonly grant: Grant
  readonly now: number
  readonly nonce: string | undefined
  readonly asked: Pick<AskedScopes, 'profile' | 'email'>
  readonly acrs: string | undefined
}

export const idToken = (state: EntraState, { app, grant, now, nonce, asked, acrs }: IdTokenAsk): Promise<string> => {
  const { user, tenant, sid } = grant
  const at = toNumericDate(now as never)
  const optional = app.idTokenClaims ?? ['sid', 'login_hint']
  const roles = user.roles?.[app.id] ?? []
  return state.keys.sign(
    {
      aud: app.id,
      iss: `${state.authority}/${tenant}/v2.0`,
      iat: at - BACK_SECONDS,
      nbf: at - BACK_SECONDS,
      exp: at + 3600,
      ...(user.tenant !== tenant && { idp: state.settings.v1Issuer.replace('{tid}', user.tenant) }),
      ...(optional.includes('auth_time') && { auth_time: toNumericDate(grant.authTime as never) }),
      ...(optional.includes('login_hint') && { login_hint: `O.${Buffer.from(user.upn).toString('base64url')}` }),
      ...(optional.includes('sid') && { sid }),
      ...(optional.includes('groups') && groupsOf(user, tenant)),
      ...(asked.email && user.email && { email: user.email }),
      ...(asked.profile && { name: user.name, preferred_username: user.upn }),
      ...(nonce !== undefined && { nonce }),
      ...(roles.length > 0 && { roles }),
      ...(acrs !== undefined && grant.acrs.includes(acrs) && { acrs: [acrs] }),
      oid: user.oidIn(tenant),
      rh: `1.${randomBytes(18).toString('base64url')}.`,
      sub: pairwise(user, tenant, app.id),
      tid: tenant,
      uti: randomUUID(),
      ver: '2.0',
    },
    keyNames(state),
  )
}

/** E8, E23: opaque, a new one each time, growing; the old one lives on. */
export const refreshToken = (
  state: EntraState,
  held: Omit<RefreshToken, 'lineFrom'>,
  before?: { readonly token: string; readonly lineFrom: number },
): string => {
  const { refreshTokenBytes, refreshTokenGrowth } = state.settings
  const length = before ? Math.min(4096, before.token.length + refreshTokenGrowth) : refreshTokenBytes
  const token = `1.${randomBytes(length).toString('base64url')}`.slice(0, Math.max(length, 40))
  state.refreshTokens.set(token, { ...held, lineFrom: before?.lineFrom ?? held.issuedAt })
  return token
}

/** The consents that stand for one API; what a token then carries is all of them, not only what was asked. */
export const grantedScopes = (state: EntraState, client: App, target: Target, user: User): readonly string[] => {
  const consented = state.directory.consented(client.id, target.api.id, user)
  const missing = target.names.some((name) => !consented.includes(name))
  if (missing || consented.length === 0) throw new Aadsts(65001, { client: client.id, name: client.name })
  return [...consented].sort()
}
