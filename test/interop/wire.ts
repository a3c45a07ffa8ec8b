import { createHash, randomBytes } from 'node:crypto'
import { type Answer, Browser } from '../harness/browser.ts'
import { fillIn } from './login-form.ts'
import type { Person } from './realm.ts'

/** What was answered. Never printed: it may hold tokens. */
export interface Observed {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
  readonly challenge: string | undefined
}
export interface Tokens {
  readonly access_token: string
  readonly refresh_token: string
  readonly id_token: string
}

/** A client of Keycloak by hand, without the gateway and its libraries: what the emulator has to answer as well. */
export interface Wire {
  readonly issuer: string
  readonly clientId: string
  readonly redirectUri: string
  endpoint(path: string): string
  /** A form, posted with the client's secret unless `auth` says otherwise. */
  post(path: string, form: Readonly<Record<string, string>> | URLSearchParams, auth?: Readonly<Record<string, string>>): Promise<Observed>
  /** The query of the callback. */
  authorize(person: Person, scope: string, browser?: Browser, more?: Readonly<Record<string, string>>): Promise<URLSearchParams>
  signIn(person: Person, scope: string, browser?: Browser): Promise<Tokens>
  /** The code of an `authorize` of this very wire. */
  redeem(code: string): Promise<Observed>
  refresh(refreshToken: string, more?: Readonly<Record<string, string>>): Promise<Observed>
}

export const openWire = (client: {
  readonly issuer: string
  readonly clientId: string
  readonly secret: string
  readonly redirectUri: string
}): Wire => {
  const { issuer, clientId, secret, redirectUri } = client
  const verifiers = new Map<string, string>()
  const endpoint = (path: string): string => `${issuer}/protocol/openid-connect/${path}`

  const post: Wire['post'] = async (path, form, auth) => {
    const body = new URLSearchParams(form)
    for (const [name, value] of Object.entries(auth ?? { client_id: clientId, client_secret: secret })) body.set(name, value)
    const answer = await fetch(endpoint(path), { method: 'POST', body, redirect: 'manual' })
    const text = await answer.text()
    const json = /json/.test(answer.headers.get('content-type') ?? '')
    return {
      status: answer.status,
      body: json && text !== '' ? (JSON.parse(text) as Observed['body']) : {},
      challenge: answer.headers.get('www-authenticate') ?? undefined,
    }
  }

  const authorize: Wire['authorize'] = async (person, scope, browser = new Browser(), more = {}) => {
    const verifier = randomBytes(32).toString('base64url')
    const at = new URL(endpoint('auth'))
    at.search = new URLSearchParams({
      response_type: 'code',
      client_id: clientId,
      redirect_uri: redirectUri,
      scope,
      state: randomBytes(8).toString('base64url'),
      nonce: randomBytes(8).toString('base64url'),
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
      ...more,
    }).toString()
    const back = ({ headers: { location } }: Answer): boolean => typeof location === 'string' && location.startsWith(redirectUri)
    const first = await browser.navigate(at, { until: back })
    const answer = back(first) ? first : await fillIn(browser, first, person, back)
    const query = new URL(String(answer.headers['location'] ?? `${issuer}/no-callback`)).searchParams
    verifiers.set(query.get('code') ?? '', verifier)
    return query
  }

  const redeem = (code: string): Promise<Observed> =>
    post('token', { grant_type: 'authorization_code', code, redirect_uri: redirectUri, code_verifier: verifiers.get(code) ?? '' })

  return {
    issuer,
    clientId,
    redirectUri,
    endpoint,
    post,
    authorize,
    signIn: async (person, scope, browser) => {
      const { status, body } = await redeem((await authorize(person, scope, browser)).get('code') ?? '')
      if (status !== 200) throw new Error(`signing in: ${status} ${JSON.stringify(body)}`)
      return body as unknown as Tokens
    },
    redeem,
    refresh: (refresh_token, more = {}) => post('token', { grant_type: 'refresh_token', refresh_token, ...more }),
  }
}
