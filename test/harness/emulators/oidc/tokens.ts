import { randomBytes, randomUUID } from 'node:crypto'
import type { Json } from '../core-exchange.ts'
import { type Client, type GrantAsk, type Issued, type Login, secondsOf, type State, type Target, type User } from './vendor.ts'

const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token'

/** The answer that every grant has: an access token for the target, for a user or for the client itself. */
export const accessAnswer = async (
  { exchange, client, vendor, state }: GrantAsk,
  target: Target,
  of: { readonly user?: User; readonly login?: Login; readonly exchanged?: boolean } = {},
): Promise<Json> => {
  const now = secondsOf(exchange.now)
  const { accessTokenSeconds } = state.settings
  const claims = vendor.accessClaims(target, of.user, client)
  const token =
    claims === undefined
      ? `ya29.${randomBytes(48).toString('base64url')}`
      : await state.keys.sign({ iss: state.issuer, iat: now, exp: now + accessTokenSeconds, jti: randomUUID(), ...claims })
  remember(state, token, { user: of.user, client: client.id, ...target, login: of.login, endsAt: now + accessTokenSeconds })
  exchange.note({ audience: target.audience, user: of.user?.key })
  return {
    access_token: token,
    token_type: 'Bearer',
    expires_in: accessTokenSeconds,
    scope: vendor.scopeText?.(target.scopes) ?? target.scopes.join(' '),
    ...(of.exchanged && { issued_token_type: ACCESS_TOKEN_TYPE }),
  }
}

const remember = (state: State, token: string, issued: Issued): void => {
  state.issued.set(token, issued)
  state.handedOut.add(token)
}

/** A new one of this family; the one before is the caller's affair. */
export const newRefreshToken = (state: State, login: Login): string => {
  const token = `rt.${randomBytes(32).toString('base64url')}`
  state.refreshTokens.set(token, { login, spentAt: undefined })
  state.handedOut.add(token)
  return token
}

export const idToken = async ({ exchange, vendor, state }: GrantAsk, login: Login, nonce: string | null): Promise<string> => {
  const now = secondsOf(exchange.now)
  const { user, client } = login
  const token = await state.keys.sign({
    ...claimsFor(login),
    iss: state.issuer,
    sub: user.subject,
    aud: client.id,
    iat: now,
    exp: now + 3600,
    auth_time: login.authTime,
    ...(nonce !== null && { nonce }),
    ...(vendor.hasBackchannel && { sid: login.sid }),
  })
  state.handedOut.add(token)
  return token
}

const OF_SCOPE: Readonly<Record<string, string>> = {
  name: 'profile',
  preferred_username: 'profile',
  nickname: 'profile',
  email: 'email',
  email_verified: 'email',
}
/** OpenID Connect Core 1.0 §5.4. */
const claimsFor = ({ user, scopes }: Login): Json =>
  Object.fromEntries(Object.entries(user.claims).filter(([name]) => scopes.includes(OF_SCOPE[name] ?? 'openid')))

/** OpenID Connect Back-Channel Logout 1.0 §2.4, posted once. */
export const tellClient = async (state: State, { client, user, sid }: Login, now: number): Promise<void> => {
  if (client.backchannelUri === undefined) return
  const token = await logoutToken(state, client, user, sid, now)
  const answer = await fetch(client.backchannelUri, { method: 'POST', body: new URLSearchParams({ logout_token: token }) }).catch(
    () => undefined,
  )
  state.notices.push({ status: answer?.status ?? 0 })
}
const logoutToken = (state: State, client: Client, user: User, sid: string, now: number): Promise<string> =>
  state.keys.sign(
    {
      iss: state.issuer,
      sub: user.subject,
      aud: client.id,
      iat: secondsOf(now),
      exp: secondsOf(now) + 120,
      jti: randomUUID(),
      sid,
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    },
    { typ: 'logout+jwt' },
  )
