import { createHash, randomBytes } from 'node:crypto'
import { decodeJwt, type JWTPayload } from 'jose'
import { CLIENT_ID, CLIENT_SECRET } from './defaults.ts'

/** What a client and a browser do at a Keycloak, in raw HTTP: the emulator's own tests speak so, and may speak so to a real one. */
export interface Place {
  readonly issuer: string
}

export interface Answered {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** {} when it was not JSON. */
  readonly json: Readonly<Record<string, unknown>>
}

const read = async (answer: Response): Promise<Answered> => {
  const text = await answer.text()
  let json: Record<string, unknown> = {}
  try {
    json = JSON.parse(text) as Record<string, unknown>
  } catch {
    json = {}
  }
  return { status: answer.status, headers: answer.headers, text, json }
}

export const get = async (url: string, cookie = ''): Promise<Answered> =>
  read(await fetch(url, { redirect: 'manual', headers: { ...(cookie !== '' && { cookie }) } }))

type Form = Readonly<Record<string, string | undefined>> | URLSearchParams
const formOf = (form: Form): URLSearchParams =>
  form instanceof URLSearchParams
    ? form
    : new URLSearchParams(Object.entries(form).filter((pair): pair is [string, string] => pair[1] !== undefined))

export const post = async (url: string, form: Form, headers: Readonly<Record<string, string>> = {}): Promise<Answered> =>
  read(await fetch(url, { method: 'POST', redirect: 'manual', body: formOf(form), headers }))

export const SECRET = { client_id: CLIENT_ID, client_secret: CLIENT_SECRET } as const
export const endpoint = ({ issuer }: Place, name: string): string => `${issuer}/protocol/openid-connect/${name}`

/** One call of the token endpoint, as the gateway's own client unless told. */
export const token = (place: Place, form: Form): Promise<Answered> =>
  post(endpoint(place, 'token'), form instanceof URLSearchParams ? form : { ...SECRET, ...form })

export const claimsOf = (answer: Answered, member: 'access_token' | 'id_token'): JWTPayload & Readonly<Record<string, unknown>> =>
  decodeJwt(String(answer.json[member]))
export const refusal = ({ status, json }: Answered): readonly unknown[] => [status, json['error'], json['error_description']]

export interface Arrived {
  readonly query: URLSearchParams
  readonly verifier: string
  /** What the browser holds afterwards. */
  readonly cookie: string
  readonly answer: Answered
}

/** Goes to the authorization endpoint; signs in on the page if there is one. */
export const authorize = async (
  place: Place,
  options: {
    readonly parameters?: Readonly<Record<string, string | undefined>>
    readonly cookie?: string
    readonly username?: string
    readonly otp?: string
    readonly redirectUri?: string
  } = {},
): Promise<Arrived> => {
  const verifier = randomBytes(32).toString('base64url')
  const parameters = formOf({
    client_id: CLIENT_ID,
    response_type: 'code',
    redirect_uri: options.redirectUri ?? REDIRECT_URI,
    scope: 'openid orders.read',
    state: 'the-state',
    nonce: 'the-nonce',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...options.parameters,
  })
  let answer = await get(`${endpoint(place, 'auth')}?${parameters.toString()}`, options.cookie)
  const action = actionOf(answer)
  if (action !== undefined && answer.text.includes('kc-form-login')) {
    const username = options.username ?? 'ada'
    answer = await post(action, { username, password: `${username}-password`, otp: options.otp }, { cookie: options.cookie ?? '' })
  }
  const location = answer.headers.get('location')
  const cookie = answer.headers.getSetCookie().map((line) => line.split(';')[0])
  return {
    query: location === null ? new URLSearchParams() : new URL(location).searchParams,
    verifier,
    cookie: cookie.length > 0 ? cookie.join('; ') : (options.cookie ?? ''),
    answer,
  }
}

/** Where the form of a page goes. */
export const actionOf = ({ text }: Pick<Answered, 'text'>): string | undefined => {
  const action = /<form[^>]* action="([^"]+)"/.exec(text)?.[1]
  return action?.replaceAll(/&#(\d+);|&amp;/g, (_all, code?: string) => (code === undefined ? '&' : String.fromCharCode(Number(code))))
}

export const redeem = (place: Place, { query, verifier }: Pick<Arrived, 'query' | 'verifier'>, more: Form = {}): Promise<Answered> =>
  token(place, {
    grant_type: 'authorization_code',
    code: query.get('code') ?? '',
    code_verifier: verifier,
    redirect_uri: REDIRECT_URI,
    ...Object.fromEntries(formOf(more)),
  })

/** Signed in, and the code redeemed. */
export const signedIn = async (
  place: Place,
  options: Parameters<typeof authorize>[1] = {},
): Promise<Answered & { readonly cookie: string }> => {
  const arrived = await authorize(place, options)
  return { ...(await redeem(place, arrived)), cookie: arrived.cookie }
}

export const refresh = (place: Place, from: Answered, more: Readonly<Record<string, string | undefined>> = {}): Promise<Answered> =>
  token(place, { grant_type: 'refresh_token', refresh_token: String(from.json['refresh_token']), ...more })

export const REDIRECT_URI = 'https://shop.example.com/bff/callback'
