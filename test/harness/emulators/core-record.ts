import { decodeJwt, decodeProtectedHeader } from 'jose'
import { basicOf, digestOf, type EndpointName, type Exchange, type Json, type Reply } from './core-exchange.ts'

/** One request as the emulator saw it. No token, code, secret or signature stands in it: their digests do. */
export interface RecordedRequest {
  readonly serial: number
  readonly at: number
  readonly endpoint: EndpointName
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly form: Readonly<Record<string, string>>
  /** Names in the order they came, repeated ones repeated. */
  readonly formNames: readonly string[]
  /** 0 when no answer was sent. */
  readonly status: number
  /** Names of the faults this call met. */
  readonly faults: readonly string[]
}

/** One call of the token endpoint. */
export interface TokenCall extends RecordedRequest {
  readonly grant: string
  readonly client: string | undefined
  /** What the emulator made of `scope`, `audience` or `resource`. */
  readonly audience: string | undefined
  readonly scope: string | undefined
  /** How the client showed who it is. */
  readonly authentication: 'none' | 'secret-post' | 'secret-basic' | 'assertion' | 'tls'
  readonly assertion: { readonly header: Json; readonly claims: Json } | undefined
  /** `issued`, or the `error` of the refusal, or `none` when the call had no effect and no answer of the emulator's. */
  readonly outcome: string
  /** The provider's own number or words for a refusal. */
  readonly code: string | undefined
  /** Whether the client can have seen the answer. */
  readonly answered: boolean
  /** Digests of what was presented: refresh token, code, user assertion. */
  readonly presented: string | undefined
  /** Digest of the refresh token that came out. */
  readonly refreshToken: string | undefined
  readonly accessToken: string | undefined
  /** Whatever else the emulator noted. */
  readonly notes: Readonly<Record<string, unknown>>
}

export interface CallRecord {
  readonly requests: readonly RecordedRequest[]
  readonly tokenCalls: readonly TokenCall[]
  count(endpoint: EndpointName): number
  /** Token calls with these members. */
  where(members: Partial<Pick<TokenCall, 'grant' | 'client' | 'audience' | 'outcome' | 'code' | 'answered'>>): readonly TokenCall[]
  /** Digests of the refresh tokens that were sent again after a call that spent them: what a provider with reuse detection punishes. */
  sentAgain(): readonly string[]
  clear(): void
}

const SECRETS = [
  'client_secret',
  'client_assertion',
  'assertion',
  'code',
  'code_verifier',
  'refresh_token',
  'subject_token',
  'actor_token',
  'token',
  'id_token_hint',
  'logout_token',
  'password',
]
const PRESENTED = ['refresh_token', 'code', 'assertion', 'subject_token']

const plain = (parameters: URLSearchParams): Readonly<Record<string, string>> =>
  Object.fromEntries([...parameters].map(([name, value]) => [name, SECRETS.includes(name) ? digestOf(value) : value]))

export interface Recorder extends CallRecord {
  /** `reply` is what the emulator decided, undefined if it never was asked; `answered` whether it left whole. */
  add(
    exchange: Exchange,
    facts: {
      readonly reply: Reply | undefined
      readonly answered: boolean
      readonly faults: readonly string[]
      readonly notes: Readonly<Record<string, unknown>>
    },
  ): void
}

export const recorder = (): Recorder => {
  const requests: RecordedRequest[] = []
  const tokenCalls: TokenCall[] = []
  return {
    requests,
    tokenCalls,
    count: (endpoint) => requests.filter((request) => request.endpoint === endpoint).length,
    where: (members) =>
      tokenCalls.filter((call) => Object.entries(members).every(([name, value]) => call[name as keyof TokenCall] === value)),
    sentAgain: () => {
      const spent = new Set<string>()
      const again = new Set<string>()
      for (const { grant, presented, outcome } of tokenCalls) {
        if (grant !== 'refresh_token' || presented === undefined) continue
        if (spent.has(presented)) again.add(presented)
        if (outcome === 'issued') spent.add(presented)
      }
      return [...again]
    },
    clear: () => {
      requests.length = 0
      tokenCalls.length = 0
    },
    add: (exchange, { reply, answered, faults, notes }) => {
      const { form, endpoint, serial, now, method, url, query } = exchange
      const request: RecordedRequest = {
        serial,
        at: now,
        endpoint,
        method,
        path: url.pathname,
        query: plain(query),
        form: plain(form),
        formNames: [...form.keys()],
        status: answered ? (reply?.status ?? 0) : 0,
        faults,
      }
      requests.push(request)
      if (endpoint !== 'token') return
      const assertion = form.get('client_assertion') ?? undefined
      const basic = basicOf(exchange.headers.authorization)
      const json = reply?.json ?? {}
      const presented = PRESENTED.map((name) => form.get(name)).find((value) => value !== null)
      tokenCalls.push({
        ...request,
        grant: form.get('grant_type') ?? '',
        client: textOf(notes['client']) ?? form.get('client_id') ?? basic?.id,
        audience: textOf(notes['audience']) ?? form.get('audience') ?? form.get('resource') ?? undefined,
        scope: form.get('scope') ?? undefined,
        authentication: assertion
          ? 'assertion'
          : form.has('client_secret')
            ? 'secret-post'
            : basic
              ? 'secret-basic'
              : notes['tls']
                ? 'tls'
                : 'none',
        assertion: assertion === undefined ? undefined : opened(assertion),
        outcome: reply === undefined ? 'none' : reply.status < 300 ? 'issued' : (textOf(json['error']) ?? String(reply.status)),
        code: textOf(notes['code']),
        answered,
        presented: typeof presented === 'string' ? digestOf(presented) : undefined,
        refreshToken: digested(json['refresh_token']),
        accessToken: digested(json['access_token']),
        notes,
      })
    },
  }
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
const digested = (value: unknown): string | undefined => (typeof value === 'string' ? digestOf(value) : undefined)
const opened = (token: string): TokenCall['assertion'] => {
  try {
    return { header: { ...decodeProtectedHeader(token) }, claims: decodeJwt(token) }
  } catch {
    return undefined
  }
}
