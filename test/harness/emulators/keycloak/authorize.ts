import { randomUUID } from 'node:crypto'
import { type Exchange, redirectReply, type Reply } from '../core-exchange.ts'
import { type AcrWish, acrOf, acrWishOf } from './levels.ts'
import { consentPage, errorPage, loginPage } from './pages.ts'
import {
  checkScopes,
  isValid,
  missingConsents,
  newClientSession,
  newUserSession,
  type Realm,
  Refusal,
  refuse,
  secondsOf,
  type UserSession,
  wordsOf,
} from './realm.ts'
import type { ClientSettings, UserSettings } from './settings.ts'

/** One authorization request on its way through pages. */
interface Pending {
  readonly id: string
  readonly client: ClientSettings
  readonly parameters: URLSearchParams
  readonly redirectUri: string
  readonly wish: AcrWish
  /** Who has shown a password, and at which level. */
  user?: UserSettings
  level: number
  sso: boolean
}

export interface Authorize {
  /** `GET …/auth`. */
  start(exchange: Exchange): Promise<Reply>
  /** `POST …/login-actions/authenticate` and `…/consent`. */
  act(exchange: Exchange): Promise<Reply>
  /** `POST …/ext/par/request`, the client being known (RFC 9126). */
  push(client: ClientSettings, exchange: Exchange): { readonly request_uri: string; readonly expires_in: number }
  /** The session of this browser, if it still lives. */
  sessionOf(exchange: Exchange): UserSession | undefined
  forget(session: UserSession): void
  /** Signs in without a page, at the highest level this user has; undefined: people see the page. */
  autoLogin: string | undefined
}

const IDENTITY = 'KEYCLOAK_IDENTITY'
const PUSHED_SECONDS = 60

export const authorizer = (realm: Realm): Authorize => {
  const pendings = new Map<string, Pending>()
  const pushed = new Map<string, { readonly clientId: string; readonly parameters: URLSearchParams; readonly until: number }>()
  const identities = new Map<string, string>()
  const path = `/realms/${realm.settings.name}/`

  const start = async (exchange: Exchange): Promise<Reply> => {
    const now = secondsOf(exchange.now)
    const parameters = parametersOf(exchange, now)
    const clientId = parameters.get('client_id')
    if (clientId === null) return errorPage('Missing parameter: client_id')
    const client = realm.clients.get(clientId)
    if (!client) return errorPage('Client not found.')
    if (!client.enabled) return errorPage('Client disabled.')
    if (client.authenticator === 'bearer-only') return errorPage('Bearer-only applications are not allowed to initiate browser login.', 403)
    const redirectUri = parameters.get('redirect_uri')
    if (redirectUri === null || !client.redirectUris.includes(redirectUri)) return errorPage('Invalid parameter: redirect_uri')

    // From here on the client is told, not the person.
    const flaw = flawOf(client, parameters)
    if (flaw) return errorBack({ redirectUri, parameters }, ...flaw)
    const wish = acrWishOf(realm, client, parameters)
    if (wish === 'impossible') return errorPage('Invalid parameter: claims')
    const pending: Pending = { id: randomUUID(), client, parameters, redirectUri, wish, level: 0, sso: false }
    const prompts = wordsOf(parameters.get('prompt'))
    const session = api.sessionOf(exchange)
    const maxAge = Number(parameters.get('max_age') ?? Number.NaN)
    const fresh = session && !prompts.includes('login') && !(now - session.authTime > maxAge)
    if (session && fresh && session.loa >= wish.level)
      return proceed({ ...pending, user: session.user, level: session.loa, sso: true }, exchange)
    if (prompts.includes('none')) return errorBack(pending, 'login_required')
    const auto = realm.users.get(api.autoLogin ?? '')
    if (auto) return proceed({ ...pending, user: auto, level: Math.max(1, auto.loaMax) }, exchange)
    pendings.set(pending.id, pending)
    return loginPage(realm, pending.id, wish.level, session?.user.username)
  }

  const parametersOf = ({ query, form, method }: Exchange, now: number): URLSearchParams => {
    const parameters = method === 'POST' ? form : query
    const reference = parameters.get('request_uri')
    if (reference === null) return parameters
    const found = pushed.get(reference)
    pushed.delete(reference)
    if (found?.clientId !== parameters.get('client_id') || now >= found.until)
      throw new Refusal(errorPage('Invalid parameter: request_uri'), 'request_uri')
    return found.parameters
  }

  const act = async (exchange: Exchange): Promise<Reply> => {
    const pending = pendings.get(exchange.query.get('session_code') ?? '')
    if (!pending) return errorPage('Your login attempt timed out. Login will start from the beginning.')
    if (exchange.url.pathname.endsWith('/consent')) {
      if (exchange.form.has('cancel') || !pending.user) return errorBack(pending, 'access_denied')
      const { user, client } = pending
      const given = user.consents.get(client.clientId) ?? new Set()
      user.consents.set(client.clientId, new Set([...given, ...missingConsents(client, user, pending.parameters.get('scope') ?? '')]))
      return proceed(pending, exchange)
    }
    const user = realm.users.get(exchange.form.get('username') ?? '')
    if (!user || user.password !== exchange.form.get('password'))
      return loginPage(realm, pending.id, pending.wish.level, undefined, 'Invalid username or password.')
    if (!user.enabled)
      return loginPage(realm, pending.id, pending.wish.level, undefined, 'Account is disabled, contact your administrator.')
    pending.user = user
    pending.level = exchange.form.get('otp') === '123456' && user.loaMax > 1 ? user.loaMax : 1
    return proceed(pending, exchange)
  }

  /** Somebody is known: consent, the session, the code. */
  const proceed = async (pending: Pending, exchange: Exchange): Promise<Reply> => {
    const { user, client, wish, parameters } = pending
    if (!user?.enabled) return errorPage('Account is disabled, contact your administrator.')
    const scope = parameters.get('scope') ?? ''
    const prompts = wordsOf(parameters.get('prompt'))
    if (wish.essential && pending.level < wish.level) return errorPage('Authentication requirements not fulfilled')
    const missing = missingConsents(client, user, scope)
    if (missing.length > 0 || (prompts.includes('consent') && !exchange.url.pathname.endsWith('/consent'))) {
      if (prompts.includes('none')) return errorBack(pending, 'interaction_required')
      pendings.set(pending.id, pending)
      return consentPage(realm, pending.id, client.clientId, missing)
    }
    pendings.delete(pending.id)

    const now = secondsOf(exchange.now)
    const held = api.sessionOf(exchange)
    if (held && held.user !== user)
      return errorPage(`You are already authenticated as different user '${held.user.username}' in this session. Please sign out first.`)
    const session = held ?? newUserSession(user, now)
    realm.sessions.set(session.id, session)
    session.lastRefresh = now
    if (!pending.sso) {
      session.authTime = now
      session.loa = pending.level
    }
    const acr = acrOf(realm, client, session.loa, pending.sso)
    const clientSession = session.clients.get(client.clientId) ?? newClientSession(client.clientId, scope, acr, now)
    Object.assign(clientSession, { scope, acr })
    session.clients.set(client.clientId, clientSession)
    const code = `${randomUUID()}.${session.id}.${client.clientId}`
    realm.codes.set(code, {
      sessionId: session.id,
      clientId: client.clientId,
      redirectUri: pending.redirectUri,
      scope,
      nonce: parameters.get('nonce') ?? undefined,
      challenge: parameters.get('code_challenge') ?? undefined,
      challengeMethod: parameters.get('code_challenge_method') ?? (parameters.has('code_challenge') ? 'plain' : undefined),
      expiresAt: now + realm.settings.accessCodeLifespan,
    })
    const identity = randomUUID()
    identities.set(identity, session.id)
    return back(pending, { session_state: session.id, code }, { 'set-cookie': `${IDENTITY}=${identity}; Path=${path}; HttpOnly` })
  }

  const back = (
    { redirectUri, parameters }: { readonly redirectUri: string; readonly parameters: URLSearchParams },
    more: Readonly<Record<string, string>>,
    headers: Record<string, string> = {},
  ): Reply => {
    const url = new URL(redirectUri)
    const state = parameters.get('state')
    if (state !== null) url.searchParams.set('state', state)
    for (const [name, value] of Object.entries({ ...more, iss: realm.issuer })) url.searchParams.set(name, value)
    return redirectReply(url, headers)
  }
  const errorBack = (to: Parameters<typeof back>[0], error: string, description?: string): Reply =>
    back(to, { error, ...(description !== undefined && { error_description: description }) })

  const api: Authorize = {
    autoLogin: undefined,
    start,
    act,
    push: (client, exchange) => {
      const redirectUri = exchange.form.get('redirect_uri')
      if (redirectUri === null || !client.redirectUris.includes(redirectUri))
        throw refuse('invalid_request', 'Invalid parameter: redirect_uri')
      const flaw = flawOf(client, exchange.form)
      if (flaw) throw refuse('invalid_request', flaw[1])
      const reference = `urn:ietf:params:oauth:request_uri:${randomUUID()}`
      const parameters = new URLSearchParams([...exchange.form].filter(([name]) => !name.startsWith('client_') || name === 'client_id'))
      parameters.set('client_id', client.clientId)
      pushed.set(reference, { clientId: client.clientId, parameters, until: secondsOf(exchange.now) + PUSHED_SECONDS })
      return { request_uri: reference, expires_in: PUSHED_SECONDS }
    },
    sessionOf: ({ cookies, now }) => {
      const session = realm.sessions.get(identities.get(cookies.get(IDENTITY) ?? '') ?? '')
      return isValid(realm, session, secondsOf(now)) ? session : undefined
    },
    forget: (session) => {
      for (const [identity, id] of identities) if (id === session.id) identities.delete(identity)
    },
  }
  return api
}

/** What the request lacks, as the client is told it. */
const flawOf = (client: ClientSettings, parameters: URLSearchParams): readonly [error: string, description: string] | undefined => {
  const type = parameters.get('response_type')
  if (type === null) return ['invalid_request', 'Missing parameter: response_type']
  if (type !== 'code') return ['unsupported_response_type', 'Unsupported response type']
  if (!client.standardFlow) return ['unauthorized_client', 'Client is not allowed to initiate browser login with given response_type.']
  const scope = parameters.get('scope')
  if (!checkScopes(client, scope)) return ['invalid_scope', `Invalid scopes: ${scope ?? ''}`]
  const method = parameters.get('code_challenge_method')
  if (client.pkce !== undefined) {
    if (method === null) return ['invalid_request', 'Missing parameter: code_challenge_method']
    if (method !== client.pkce) return ['invalid_request', 'Invalid parameter: code challenge method is not matching the configured one']
    if (!parameters.has('code_challenge')) return ['invalid_request', 'Missing parameter: code_challenge']
  }
  if (parameters.has('code_challenge') && !/^[A-Za-z0-9\-._~]{43,128}$/.test(parameters.get('code_challenge') ?? ''))
    return ['invalid_request', 'Invalid parameter: code_challenge']
  return undefined
}
