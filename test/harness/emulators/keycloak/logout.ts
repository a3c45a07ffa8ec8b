import { randomUUID } from 'node:crypto'
import { type Exchange, redirectReply, type Reply } from '../core-exchange.ts'
import type { Authorize } from './authorize.ts'
import { errorPage, frontchannelPage, loggedOutPage, logoutPage } from './pages.ts'
import { claimOf, type Realm, refuse, secondsOf, type UserSession } from './realm.ts'
import type { ClientSettings } from './settings.ts'

/** A back-channel logout as it was sent; it is never sent again. */
export interface Notice {
  readonly clientId: string
  readonly token: string
  readonly sid: string | undefined
  /** 0: nobody answered. */
  readonly status: number
}

/** How notices travel; for tests of whoever receives them. */
export interface Delivery {
  /** 2 or more: the very same token comes several times, at once. */
  copies: number
  /** Waited for before anything is sent: a notice that is late. */
  before: ((clientId: string) => Promise<void>) | undefined
  /** Older releases say `JWT`. */
  type: 'logout+jwt' | 'JWT'
}

export interface Logout {
  readonly delivery: Delivery
  readonly notices: readonly Notice[]
  /** Ends a session everywhere, and tells the clients of it that listen in the back; resolves when all have answered or nobody did. */
  end(session: UserSession, now: number, options?: { readonly tell?: boolean }): Promise<void>
  /** `GET` and `POST …/logout`, as browsers come. */
  browser(exchange: Exchange): Promise<Reply>
  /** `POST …/logout/logout-confirm`. */
  confirm(exchange: Exchange): Promise<Reply>
  /** `POST …/logout` of a client with its refresh token. */
  byRefreshToken(client: ClientSettings, exchange: Exchange): Promise<Reply>
}

const EVENT = 'http://schemas.openid.net/event/backchannel-logout'
const NOTICE_TIMEOUT_MS = 5000
const LIFESPAN = 120

interface Wanted {
  readonly client: ClientSettings | undefined
  readonly redirect: string | undefined
  readonly state: string | null
}

export const logouts = (realm: Realm, authorize: Pick<Authorize, 'sessionOf' | 'forget'>): Logout => {
  const delivery: Delivery = { copies: 1, before: undefined, type: 'logout+jwt' }
  const notices: Notice[] = []
  const confirmations = new Map<string, Wanted>()

  const tell = async (client: ClientSettings, url: string, session: UserSession, now: number): Promise<void> => {
    const sid = client.backchannelSessionRequired ? session.id : undefined
    const token = await realm.keys.signAs(
      client.idTokenAlgorithm,
      {
        iat: now,
        exp: now + LIFESPAN,
        jti: randomUUID(),
        iss: realm.issuer,
        aud: client.clientId,
        sub: session.user.id,
        typ: 'Logout',
        ...(sid !== undefined && { sid }),
        events: { [EVENT]: {}, ...(client.backchannelRevokeOffline && { revoke_offline_access: true }) },
      },
      { typ: delivery.type },
    )
    await delivery.before?.(client.clientId)
    const send = async (): Promise<void> => {
      const answer = await fetch(url, {
        method: 'POST',
        body: new URLSearchParams({ logout_token: token }),
        redirect: 'manual',
        signal: AbortSignal.timeout(NOTICE_TIMEOUT_MS),
      }).catch(() => undefined)
      await answer?.body?.cancel()
      notices.push({ clientId: client.clientId, token, sid, status: answer?.status ?? 0 })
    }
    await Promise.all(Array.from({ length: delivery.copies }, send))
  }

  const clientsOf = (session: UserSession): ClientSettings[] =>
    [...session.clients.keys()].map((id) => realm.clients.get(id)).filter((client) => client !== undefined)

  const end: Logout['end'] = async (session, now, { tell: isTold = true } = {}) => {
    ;(session.offline ? realm.offlineSessions : realm.sessions).delete(session.id)
    if (!session.offline) authorize.forget(session)
    const clients = clientsOf(session)
    for (const client of clients)
      if (client.backchannelRevokeOffline && !session.offline) realm.offlineSessions.get(session.id)?.clients.delete(client.clientId)
    if (!isTold) return
    await Promise.all(
      clients.map(async (client) => {
        if (client.backchannelLogoutUrl !== undefined && client.frontchannelLogoutUrl === undefined)
          await tell(client, client.backchannelLogoutUrl, session, now)
      }),
    )
  }

  const endInBrowser = async (session: UserSession | undefined, { redirect, state }: Wanted, now: number): Promise<Reply> => {
    const frames = session
      ? clientsOf(session).flatMap(({ frontchannelLogoutUrl }) => {
          if (frontchannelLogoutUrl === undefined) return []
          const url = new URL(frontchannelLogoutUrl)
          url.searchParams.set('iss', realm.issuer)
          url.searchParams.set('sid', session.id)
          return [url.href]
        })
      : []
    if (session) await end(session, now)
    const next = redirect === undefined ? undefined : new URL(redirect)
    if (next && state !== null) next.searchParams.set('state', state)
    if (frames.length > 0) return frontchannelPage(frames, next?.href)
    return next ? redirectReply(next) : loggedOutPage()
  }

  /** The client by hint or by name, and a redirect that is registered there. */
  const wantedOf = (parameters: URLSearchParams, hintedClient: string | undefined): Wanted | Reply => {
    const named = parameters.get('client_id') ?? undefined
    const redirect = parameters.get('post_logout_redirect_uri') ?? undefined
    if (redirect !== undefined && hintedClient === undefined && named === undefined) return errorPage('Missing parameters: id_token_hint')
    if (hintedClient !== undefined && named !== undefined && hintedClient !== named) return errorPage('Invalid parameter: id_token_hint')
    const client = realm.clients.get(hintedClient ?? named ?? '')
    if (named !== undefined && !client) return errorPage('Client not found.')
    if (redirect !== undefined && !(client && isRegistered(client, redirect))) return errorPage('Invalid redirect uri')
    return { client, redirect, state: parameters.get('state') }
  }

  return {
    delivery,
    notices,
    end,
    browser: async (exchange) => {
      const parameters = exchange.method === 'POST' ? exchange.form : exchange.query
      const hint = parameters.get('id_token_hint')
      // An expired hint will do; one that was not signed here, or is not an ID token, will not.
      const claims = hint === null ? undefined : (await realm.keys.verify(hint))?.claims
      if (hint !== null && claims?.['typ'] !== 'ID') return errorPage('Invalid parameter: id_token_hint')
      const wanted = wantedOf(parameters, claims && String(claims['azp']))
      if ('status' in wanted) return wanted
      const session = authorize.sessionOf(exchange)
      if (!claims) {
        if (!session) return endInBrowser(undefined, wanted, secondsOf(exchange.now))
        const code = randomUUID()
        confirmations.set(code, wanted)
        return logoutPage(realm, code)
      }
      const hinted = realm.sessions.get(claimOf(claims, 'sid'))
      // Another session lives in this browser than the hint speaks of: people are asked.
      if (session && session !== hinted) {
        const code = randomUUID()
        confirmations.set(code, wanted)
        return logoutPage(realm, code)
      }
      return endInBrowser(session ?? hinted, wanted, secondsOf(exchange.now))
    },
    confirm: async (exchange) => {
      const code = exchange.query.get('session_code') ?? ''
      const wanted = confirmations.get(code)
      confirmations.delete(code)
      if (!wanted) return errorPage('Logout failed')
      return endInBrowser(authorize.sessionOf(exchange), wanted, secondsOf(exchange.now))
    },
    byRefreshToken: async (client, exchange) => {
      const claims = realm.keys.readRefresh(exchange.form.get('refresh_token') ?? '')
      if (!claims) throw refuse('invalid_grant', 'Invalid refresh token')
      const now = secondsOf(exchange.now)
      if ((claims.exp ?? Number.POSITIVE_INFINITY) <= now) throw refuse('invalid_grant', 'Token is not active')
      if (claims['azp'] !== client.clientId)
        throw refuse('invalid_grant', "Invalid refresh token. Token client and authorized client don't match")
      const id = claimOf(claims, 'sid')
      if (claims['typ'] === 'Offline') realm.offlineSessions.delete(id)
      const session = realm.sessions.get(id)
      if (session) await end(session, now)
      return { status: 204, text: '' }
    },
  }
}

const isRegistered = ({ postLogoutRedirectUris, redirectUris }: ClientSettings, uri: string): boolean =>
  postLogoutRedirectUris.some((registered) => (registered === '+' ? redirectUris.includes(uri) : registered === uri))
