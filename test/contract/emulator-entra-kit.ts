import { createHash, randomBytes } from 'node:crypto'
import { decodeJwt } from 'jose'
import { type Entra, startEntra } from '../harness/emulators/entra/entra.ts'
import type { Json } from '../harness/emulators/core-exchange.ts'
import { instant } from '../../src/kernel/time.ts'

export const CALLBACK = 'https://shop.example.com/bff/callback'
export const NOW = Date.UTC(2026, 10, 20, 20)
/** Stands still; `entra.clock.shift` moves it. */
export const still = { now: () => instant(NOW) }

export const LOGIN = 'openid profile offline_access'
export const ORDERS = 'api://orders/orders.read'

/** An emulator with the callback of these tests; somebody answers its pages. */
export const someEntra = (options: Parameters<typeof startEntra>[0] = {}): Promise<Entra> =>
  startEntra({ clock: still, person: 'ada', ...options, client: { redirectUris: [CALLBACK], ...options.client } })

export interface Said {
  readonly status: number
  readonly headers: Headers
  readonly body: Json
  /** `AADSTS…` number of a refusal. */
  readonly code: number | undefined
}

export const said = async (answer: Response): Promise<Said> => {
  const text = await answer.text()
  let body: Json = {}
  try {
    body = JSON.parse(text) as Json
  } catch {
    body = { text }
  }
  const [code] = (body['error_codes'] as readonly number[] | undefined) ?? []
  return { status: answer.status, headers: answer.headers, body, code }
}

/** One client of the emulator, by raw fetch. */
export const clientOf = (entra: Entra, id = entra.clientId, secret: string | undefined = entra.clientSecret) => {
  const post = async (
    form: Record<string, string>,
    options: { readonly tenant?: string; readonly headers?: Record<string, string> } = {},
  ): Promise<Said> =>
    said(
      await fetch(entra.url('token', options.tenant), {
        method: 'POST',
        headers: options.headers ?? {},
        body: new URLSearchParams({ client_id: id, ...(secret !== undefined && { client_secret: secret }), ...form }),
      }),
    )
  const visit = async (
    parameters: Record<string, string> = {},
    options: { readonly tenant?: string; readonly cookie?: string; readonly form?: Record<string, string> } = {},
  ): Promise<Visit> => {
    const query = new URLSearchParams({
      client_id: id,
      response_type: 'code',
      redirect_uri: CALLBACK,
      scope: `${LOGIN} ${ORDERS}`,
      state: 'the-state',
      ...parameters,
    })
    const answer = await fetch(`${entra.url('authorize', options.tenant)}?${String(query)}`, {
      redirect: 'manual',
      headers: options.cookie ? { cookie: options.cookie } : {},
      ...(options.form && { method: 'POST', body: new URLSearchParams(options.form) }),
    })
    const location = answer.headers.get('location')
    const callback = location === null ? undefined : new URL(location).searchParams
    return {
      status: answer.status,
      html: await answer.text(),
      location,
      callback,
      cookie: answer.headers.get('set-cookie')?.split(';')[0],
      code: callback?.get('code') ?? '',
      number: Number(/AADSTS(\d+)/.exec(callback?.get('error_description') ?? '')?.[1] ?? 0),
    }
  }
  const redeem = (code: string, form: Record<string, string> = {}, options = {}): Promise<Said> =>
    post({ grant_type: 'authorization_code', code, redirect_uri: CALLBACK, scope: `${LOGIN} ${ORDERS}`, ...form }, options)
  const refresh = (token: unknown, scope: string | null = ORDERS, more: Record<string, string> = {}, options = {}): Promise<Said> =>
    post({ grant_type: 'refresh_token', refresh_token: String(token), ...(scope !== null && { scope }), ...more }, options)
  return {
    post,
    visit,
    redeem,
    refresh,
    /** Sign-in and redemption in one. */
    signIn: async (parameters: Record<string, string> = {}, form: Record<string, string> = {}): Promise<Json> => {
      const scope = parameters['scope']
      const visited = await visit(parameters)
      const answer = await redeem(visited.code, { ...(scope !== undefined && { scope }), ...form })
      if (answer.status !== 200) throw new Error(`not signed in: ${JSON.stringify(answer.body)} ${visited.html}`)
      return answer.body
    },
    asApplication: (scope: string, tenant?: string): Promise<Said> =>
      post({ grant_type: 'client_credentials', scope }, tenant === undefined ? {} : { tenant }),
    onBehalfOf: (assertion: unknown, scope: string, more: Record<string, string> = {}, options = {}): Promise<Said> =>
      post(
        {
          grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
          requested_token_use: 'on_behalf_of',
          assertion: String(assertion),
          scope,
          ...more,
        },
        options,
      ),
  }
}
export interface Visit {
  readonly status: number
  readonly html: string
  readonly location: string | null
  readonly callback: URLSearchParams | undefined
  readonly cookie: string | undefined
  readonly code: string
  /** `AADSTS…` of the callback. */
  readonly number: number
}

export const claimsOf = (token: unknown): Json => ({ ...decodeJwt(String(token)) })

export const pkce = () => {
  const verifier = randomBytes(32).toString('base64url')
  return { verifier, code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256' }
}
