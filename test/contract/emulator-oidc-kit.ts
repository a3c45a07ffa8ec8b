import { createHash, randomBytes } from 'node:crypto'
import { decodeJwt, type JWTPayload } from 'jose'
import type { Json } from '../harness/emulators/core-exchange.ts'
import type { Oidc } from '../harness/emulators/oidc/oidc.ts'

export const PUBLIC_URL = 'https://shop.example.com'
export const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'

export interface Said {
  readonly status: number
  readonly body: Json
}

/** What a client and a browser do at the small emulators, in raw HTTP. */
export const wireOf = async (oidc: Oidc) => {
  const document = (await (await fetch(`${oidc.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)).json()) as Json
  const at = (name: string): string => String(document[name])
  const secret = { client_id: oidc.clientId, client_secret: oidc.clientSecret }
  const post = async (form: Readonly<Record<string, string>>): Promise<Said> => {
    const answer = await fetch(at('token_endpoint'), { method: 'POST', body: new URLSearchParams(form) })
    return { status: answer.status, body: (await answer.json()) as Json }
  }
  const token = (form: Readonly<Record<string, string>>): Promise<Said> => post({ ...secret, ...form })
  const authorize = async (parameters: Readonly<Record<string, string>>) => {
    const verifier = randomBytes(32).toString('base64url')
    const query = new URLSearchParams({
      client_id: oidc.clientId,
      response_type: 'code',
      redirect_uri: `${PUBLIC_URL}/bff/callback`,
      state: 'the-state',
      nonce: 'the-nonce',
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
      ...parameters,
    })
    oidc.sit('ada')
    const answer = await fetch(`${at('authorization_endpoint')}?${query.toString()}`, { redirect: 'manual' })
    const callback = new URL(answer.headers.get('location') ?? 'none:').searchParams
    return { status: answer.status, callback, verifier }
  }
  return {
    document,
    post,
    token,
    authorize,
    signIn: async (parameters: Readonly<Record<string, string>>): Promise<Json> => {
      const { callback, verifier } = await authorize(parameters)
      const redirect = { redirect_uri: `${PUBLIC_URL}/bff/callback` }
      const { body } = await token({
        grant_type: 'authorization_code',
        code: callback.get('code') ?? '',
        code_verifier: verifier,
        ...redirect,
      })
      return body
    },
    refresh: (from: unknown, form: Readonly<Record<string, string>> = {}): Promise<Said> =>
      token({ grant_type: 'refresh_token', refresh_token: String(from), ...form }),
    exchange: (subject: unknown, form: Readonly<Record<string, string>>): Promise<Said> =>
      token({ grant_type: EXCHANGE, subject_token: String(subject), ...form }),
    signOut: async (query: Readonly<Record<string, string>>) => {
      const answer = await fetch(`${at('end_session_endpoint')}?${new URLSearchParams(query).toString()}`, { redirect: 'manual' })
      return { status: answer.status, location: answer.headers.get('location') }
    },
    revoke: async (what: unknown): Promise<number> =>
      (await fetch(at('revocation_endpoint'), { method: 'POST', body: new URLSearchParams({ ...secret, token: String(what) }) })).status,
  }
}

export const claimsIn = (token: unknown): JWTPayload & Readonly<Record<string, unknown>> => decodeJwt(String(token))
export const isReadable = (token: unknown): boolean => String(token).split('.').length === 3 && String(token).startsWith('ey')
