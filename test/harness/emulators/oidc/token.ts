import { createHash } from 'node:crypto'
import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose'
import { basicOf, type Exchange, type Json, jsonReply, type Reply } from '../core-exchange.ts'
import { accessAnswer, idToken, newRefreshToken } from './tokens.ts'
import { type Client, type GrantAsk, type Login, Refused, secondsOf, type State, type Vendor } from './vendor.ts'

const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

export const tokenEndpoint = async (vendor: Vendor, state: State, exchange: Exchange): Promise<Reply> => {
  try {
    const grant = exchange.form.get('grant_type') ?? ''
    // A service account's assertion is all the proof there is.
    const client =
      grant in vendor.grants && vendor.grants[grant] && isWithoutClient(exchange) ? NOBODY : await clientOf(vendor, state, exchange)
    const ask: GrantAsk = { exchange, client, vendor, state }
    return jsonReply(await answer(ask, grant))
  } catch (refusal) {
    if (!(refusal instanceof Refused)) throw refusal
    exchange.note({ code: refusal.message })
    return jsonReply(refusal.body, refusal.status)
  }
}

const NOBODY: Client = { id: '', secret: '', jwks: undefined, redirectUris: [], postLogoutUris: [], backchannelUri: undefined }
const isWithoutClient = ({ form, headers }: Exchange): boolean =>
  form.has('assertion') && headers.authorization === undefined && !form.has('client_secret') && !form.has('client_assertion')

/** RFC 6749 §2.3, RFC 7523 §3. */
export const clientOf = async (vendor: Vendor, state: State, exchange: Exchange): Promise<Client> => {
  const { form, headers } = exchange
  const wrong = (): Refused => new Refused('invalid_client', 'The client could not be authenticated.', 401)
  const assertion = form.get('client_assertion')
  const basic = basicOf(headers.authorization)
  const id = assertion === null ? (basic?.id ?? form.get('client_id')) : decodeJwt(assertion).sub
  const client = state.clients.find((one) => one.id === id)
  exchange.note({ client: id ?? undefined })
  if (!client) throw wrong()
  if (client.jwks) {
    if (assertion === null || form.get('client_assertion_type') !== ASSERTION) throw wrong()
    const audience = vendor.assertionAudience === 'issuer' ? state.issuer : `${state.origin}${vendor.paths.token}`
    const keys = createLocalJWKSet({ keys: [...client.jwks] })
    const currentDate = new Date(exchange.now)
    const proven = await jwtVerify(assertion, keys, { audience, issuer: client.id, currentDate, requiredClaims: ['exp'] }).catch(
      () => undefined,
    )
    // One audience, as a string (CVE-2025-27370).
    if (!proven || typeof proven.payload.aud !== 'string') throw wrong()
    return client
  }
  if ((basic?.secret ?? form.get('client_secret')) !== client.secret) throw wrong()
  return client
}

const answer = async (ask: GrantAsk, grant: string): Promise<Json> => {
  if (grant === 'authorization_code') return redeem(ask)
  if (grant === 'refresh_token') return refresh(ask)
  const own = ask.vendor.grants[grant]
  if (!own) throw new Refused('unsupported_grant_type', `${grant} is not supported.`)
  return own(ask)
}

const redeem = async (ask: GrantAsk): Promise<Json> => {
  const { form } = ask.exchange
  const code = ask.state.codes.get(form.get('code') ?? '')
  const challenge = createHash('sha256')
    .update(form.get('code_verifier') ?? '')
    .digest('base64url')
  const isGood =
    code !== undefined &&
    !code.used &&
    code.login.client === ask.client &&
    code.query.get('redirect_uri') === form.get('redirect_uri') &&
    code.query.get('code_challenge') === challenge
  if (!isGood) throw new Refused('invalid_grant', 'The authorization code is invalid or has expired.')
  code.used = true
  return grantAnswer(ask, code.login, code.query.get('nonce'), newToken(ask, code.login))
}

const newToken = ({ state }: GrantAsk, login: Login): string | undefined => (login.offline ? newRefreshToken(state, login) : undefined)

const refresh = async (ask: GrantAsk): Promise<Json> => {
  const { exchange, state, vendor } = ask
  const held = state.refreshTokens.get(exchange.form.get('refresh_token') ?? '')
  const now = secondsOf(exchange.now)
  if (!held || held.login.client !== ask.client || held.login.ended || !held.login.user.enabled) throw expired()
  if (vendor.reuse !== 'none' && held.spentAt !== undefined && now - held.spentAt >= vendor.reuse) {
    held.login.ended = true
    throw expired()
  }
  const target = vendor.refresh(exchange.form, held.login, state)
  held.spentAt ??= now
  const { login } = held
  const access = await accessAnswer(ask, target, { user: login.user, login })
  const renewed = vendor.reuse === 'none' ? {} : { refresh_token: newRefreshToken(state, login) }
  return { ...access, ...renewed, ...(login.scopes.includes('openid') && { id_token: await idToken(ask, login, null) }) }
}
const expired = (): Refused => new Refused('invalid_grant', 'Token has been expired or revoked.')

const grantAnswer = async (ask: GrantAsk, login: Login, nonce: string | null, refreshToken: string | undefined): Promise<Json> => ({
  ...(await accessAnswer(ask, { audience: login.audience, scopes: login.scopes }, { user: login.user, login })),
  id_token: await idToken(ask, login, nonce),
  ...(refreshToken !== undefined && { refresh_token: refreshToken }),
})

/** RFC 8693 §2.1: the live access token that was turned in. @throws Refused */
export const subjectOf = ({ exchange, state }: GrantAsk): { readonly login: Login | undefined; readonly token: string } => {
  const token = exchange.form.get('subject_token') ?? ''
  const issued = state.issued.get(token)
  const isLive = issued?.user !== undefined && issued.endsAt > secondsOf(exchange.now) && issued.login?.ended !== true
  if (!isLive || !issued.user?.enabled) throw new Refused('invalid_grant', 'The subject token is invalid.')
  return { login: issued.login, token }
}
