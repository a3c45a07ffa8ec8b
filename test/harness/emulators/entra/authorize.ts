import { randomBytes, randomUUID } from 'node:crypto'
import { escapeHtml, type Exchange, htmlReply, redirectReply, type Reply } from '../core-exchange.ts'
import { type App, CONSUMERS, type User } from './directory.ts'
import { Aadsts, refusedHtml, refusedParameters } from './errors.ts'
import { enforce, needsPerson } from './policies.ts'
import { type AskedScopes, askedClaims, askedScopes } from './scopes.ts'
import type { EntraState, Person, Sso, TenantDoor } from './state.ts'

export const SSO_COOKIE = 'ESTSAUTHPERSISTENT'
const PROMPTS = ['login', 'none', 'consent', 'select_account']

interface Visit {
  readonly state: EntraState
  readonly exchange: Exchange
  readonly door: TenantDoor
  /** Of the request, wherever it stood. */
  readonly asked: URLSearchParams
  readonly app: App
  readonly redirectUri: string
}

/** `GET /authorize`; a POST with a `user` in its body is the answer to the pages, one with a `client_id` is the request itself. */
export const authorize = async (state: EntraState, exchange: Exchange, door: TenantDoor): Promise<Reply> => {
  const asked = exchange.form.has('client_id') ? exchange.form : exchange.query
  let visit: Visit
  try {
    visit = { state, exchange, door, asked, ...clientOf(state, asked, door) }
  } catch (refusal) {
    if (refusal instanceof Aadsts) return refusedHtml(refusal, exchange)
    throw refusal
  }
  try {
    return signedIn(visit)
  } catch (refusal) {
    if (refusal instanceof Aadsts) return callback(visit, refusedParameters(refusal, exchange))
    throw refusal
  }
}

/** E1: what makes it unsafe to send anybody anywhere. */
const clientOf = (state: EntraState, asked: URLSearchParams, door: TenantDoor): Pick<Visit, 'app' | 'redirectUri'> => {
  const clientId = asked.get('client_id') ?? ''
  const app = state.directory.app(clientId)
  const tenant = door.kind === 'tenant' ? door.id : undefined
  if (!app || (tenant !== undefined && app.tenants !== undefined && !app.tenants.includes(tenant)))
    throw new Aadsts(700016, { client: clientId, tenant: tenant ?? door.kind })
  if (tenant === undefined && app.multiTenant !== true) throw new Aadsts(50194, { client: app.id })
  const redirectUri = asked.get('redirect_uri') ?? ''
  if (!app.redirects.some(({ uri }) => isSameRedirect(uri, redirectUri))) throw new Aadsts(50011, { redirectUri, client: app.id })
  return { app, redirectUri }
}

/** Byte for byte; only `http://localhost` without a port may come with one. */
const isSameRedirect = (registered: string, asked: string): boolean => {
  if (registered === asked) return true
  const localhost = /^http:\/\/localhost(\/.*)?$/.exec(registered)
  return localhost !== null && asked.replace(/^http:\/\/localhost:\d+/, 'http://localhost') === registered
}

const signedIn = (visit: Visit): Reply => {
  const { state, exchange, door, asked, app, redirectUri } = visit
  // 1. The request itself.
  const tenantName = door.kind === 'tenant' ? door.id : door.kind
  if (asked.get('response_type') !== 'code') throw new Aadsts(70005, { responseType: asked.get('response_type') ?? '' })
  const mode = asked.get('response_mode') ?? 'query'
  if (!['query', 'form_post', 'fragment'].includes(mode)) throw new Aadsts(70007, { responseMode: mode })
  if (asked.has('resource')) throw new Aadsts(901002)
  const scope = asked.get('scope') ?? ''
  if (scope === '') throw new Aadsts(900144, { field: 'scope' })
  const scopes = askedScopes(state.directory, scope, tenantName)
  const claims = askedClaims(asked.get('claims'))
  const prompt = asked.get('prompt') ?? ''
  if (prompt !== '' && !PROMPTS.includes(prompt)) throw new Aadsts(90023, { reason: `unsupported 'prompt' value '${prompt}'` })
  const challenge = asked.get('code_challenge') ?? undefined
  if (challenge !== undefined && (challenge.length < 43 || challenge.length > 128)) throw new Aadsts(501491)
  const type = app.redirects.find(({ uri }) => isSameRedirect(uri, redirectUri))?.type ?? 'web'

  // 2. Who is there: the browser's session, or a person at the page.
  const held = state.sso.get(exchange.cookies.get(SSO_COOKIE) ?? '')
  const person = personOf(visit)
  const sso = prompt === 'login' || prompt === 'select_account' || exchange.form.has('user') ? undefined : held
  if (!sso && prompt === 'none') throw new Aadsts(50058)
  if (!sso && !person) return loginPage(visit)
  const session: Sso = sso ?? begin(state, person, exchange.now, held)
  const { user } = session
  const tenant = door.kind === 'tenant' ? door.id : user.tenant
  const refused = unwelcome(visit, user, tenant)
  if (refused) return refusedHtml(refused, exchange)

  // 3. Conditional Access, for the first API that is named: where its token will go first.
  const api = scopes.targets[0]?.api
  const wantsContext = claims.acrs ?? claims.idTokenAcrs
  if (api)
    try {
      enforce(state, { user, api }, session, { ...claims, acrs: undefined }, exchange.now)
    } catch (refusal) {
      if (refusal instanceof Aadsts && refusal.code === 53003) throw new Aadsts(53003, {}, { error: 'access_denied' })
      if (!needsPerson(refusal)) throw refusal
      if (prompt === 'none') throw new Aadsts(50076, { resource: api.id }, { error: 'interaction_required' })
      if (person === undefined || person.mfa === false) return factorPage(visit, user)
      session.mfa = true
    }
  // An authentication context wants the factor in this very visit.
  if (wantsContext !== undefined) {
    if (prompt === 'none' && !session.acrs.includes(wantsContext))
      throw new Aadsts(50076, { resource: api?.id }, { error: 'interaction_required' })
    if ((person === undefined || person.mfa === false) && !session.acrs.includes(wantsContext)) return factorPage(visit, user)
    session.mfa = true
    session.acrs = [...new Set([...session.acrs, wantsContext])]
  }

  // 4. Consent, for every API that is named.
  const consentPage = consentOf(visit, user, scopes, person)
  if (consentPage) return consentPage

  // 5. A code, and a browser that is signed in.
  const cookie = randomBytes(24).toString('base64url')
  state.sso.set(cookie, session)
  session.apps.add(app)
  const code = `1.${randomBytes(48).toString('base64url')}`
  state.codes.set(code, {
    grant: {
      client: app.id,
      user,
      tenant,
      authTime: session.authTime,
      sid: session.sid,
      mfa: session.mfa,
      acrs: session.acrs,
      spa: type === 'spa',
      offline: scopes.offlineAccess,
    },
    redirectUri,
    challenge,
    method: asked.get('code_challenge_method') ?? 'plain',
    scope,
    nonce: asked.get('nonce') ?? undefined,
    issuedAt: exchange.now,
    redeemed: false,
  })
  const secure = exchange.url.protocol === 'https:' ? '; Secure; SameSite=None' : ''
  return callback(visit, { code, session_state: session.sid }, { 'set-cookie': `${SSO_COOKIE}=${cookie}; Path=/; HttpOnly${secure}` })
}

/** The form of the page, or the person the test put there. */
const personOf = ({ state, exchange: { form } }: Visit): Person | undefined => {
  const user = form.get('user')
  return user === null ? state.person : { user, mfa: form.get('mfa') !== 'no', consent: form.get('consent') !== 'no' }
}

const begin = (state: EntraState, person: Person | undefined, now: number, held: Sso | undefined): Sso => {
  const user = state.directory.user(person?.user ?? '')
  if (!user) throw new Aadsts(50058, {}, { error: 'access_denied' })
  // The same person again: their browser session goes on under its old id.
  const sid = held?.user === user ? held.sid : randomUUID()
  return { sid, user, authTime: now, mfa: false, acrs: [], apps: held?.user === user ? held.apps : new Set() }
}

const unwelcome = ({ door, app }: Visit, user: User, tenant: string): Aadsts | undefined => {
  if (!user.enabled) return new Aadsts(50057)
  const foreign = user.oidIn(tenant) === undefined || (door.kind === 'organizations' && tenant === CONSUMERS)
  if (foreign || (app.tenants !== undefined && !app.tenants.includes(tenant)))
    return new Aadsts(50020, { user: user.upn, idp: user.tenant, tenant, client: app.id })
  return undefined
}

const consentOf = (visit: Visit, user: User, scopes: AskedScopes, person: Person | undefined): Reply | undefined => {
  const { state, app, asked } = visit
  const force = asked.get('prompt') === 'consent'
  for (const { api, names, isDefault } of scopes.targets) {
    const has = state.directory.consented(app.id, api.id, user)
    const wanted = isDefault ? (has.length > 0 ? [] : api.api.scopes) : names.filter((name) => !has.includes(name))
    if (wanted.length === 0 && !force) continue
    if (asked.get('prompt') === 'none') throw new Aadsts(65001, { client: app.id, name: app.name }, { error: 'consent_required' })
    const adminOnly = wanted.find((name) => api.api.adminScopes?.includes(name))
    if (adminOnly !== undefined) throw new Aadsts(90094, { scope: adminOnly })
    if (person?.consent === false) throw new Aadsts(65004)
    if (person === undefined)
      return page(
        visit,
        'Permissions requested',
        `<p>${escapeHtml(wanted.join(' '))}</p>${hidden(user)}${choice('consent', 'Accept', 'Cancel')}`,
      )
    if (wanted.length > 0) state.directory.consent({ client: app.id, resource: api.id, scopes: wanted, user: user.key })
  }
  return undefined
}

const callback = (
  { asked, redirectUri }: Visit,
  parameters: Readonly<Record<string, string>>,
  headers: Record<string, string> = {},
): Reply => {
  const all = new URLSearchParams({ ...parameters, ...(asked.has('state') && { state: asked.get('state') ?? '' }) })
  const mode = asked.get('response_mode') ?? 'query'
  if (mode === 'form_post') {
    const inputs = [...all].map(([name, value]) => `<input type="hidden" name="${name}" value="${escapeHtml(value)}">`).join('')
    return htmlReply(
      `<!DOCTYPE html><html><body><form method="POST" action="${escapeHtml(redirectUri)}">${inputs}</form><script>document.forms[0].submit()</script></body></html>`,
      200,
      headers,
    )
  }
  const url = new URL(redirectUri)
  if (mode === 'fragment') url.hash = String(all)
  else for (const [name, value] of all) url.searchParams.append(name, value)
  return redirectReply(url, headers)
}

/** Sends the answer to where the request came from, with the request in its address. */
const page = ({ asked }: Visit, title: string, form: string): Reply =>
  htmlReply(
    `<!DOCTYPE html><html><head><title>${title}</title></head><body><h1>${title}</h1><form method="POST" action="?${escapeHtml(String(asked))}">${form}</form></body></html>`,
  )
const hidden = ({ key }: User): string => `<input type="hidden" name="user" value="${escapeHtml(key)}">`
const choice = (name: string, yes: string, no: string): string =>
  `<button name="${name}" value="yes">${yes}</button><button name="${name}" value="no">${no}</button>`

/** Tests post `user=ada` to any of these, and have said yes to everything (`signIn` of test/harness/world.ts does). */
const loginPage = (visit: Visit): Reply => {
  const { state, door } = visit
  const users = state.directory.users.filter((user) => door.kind !== 'tenant' || user.oidIn(door.id) !== undefined)
  const buttons = users.map(({ key, name }) => `<button name="user" value="${escapeHtml(key)}">${escapeHtml(name)}</button>`).join('')
  return page(visit, 'Pick an account', buttons)
}
const factorPage = (visit: Visit, user: User): Reply =>
  page(visit, 'Approve sign in request', `<p>A second factor is required.</p>${hidden(user)}${choice('mfa', 'Approve', 'Deny')}`)
