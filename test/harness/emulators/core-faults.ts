import type { EndpointName, Exchange, Json, Reply } from './core-exchange.ts'

/** What can go wrong between a gateway and its provider (providers.md §7.4), one call at a time. Constructors: `fault.*`. */
export type Fault = { readonly name: string } & (
  | { readonly kind: 'delay'; readonly ms: number }
  /** Nothing comes until the caller gives up; the request had its effect (`processed`) or never will. */
  | { readonly kind: 'hang'; readonly processed: boolean }
  /** `unread`: before the request's body is read. `read`: after, and without effect. `processed`: it took effect, and the answer is lost. */
  | { readonly kind: 'reset'; readonly at: 'unread' | 'read' | 'processed' }
  | { readonly kind: 'truncate' }
  /** Instead of what the emulator would have done: nothing takes effect. */
  | { readonly kind: 'reply'; readonly reply: Reply }
  /** The emulator did its work; its JSON is changed on the way out. */
  | { readonly kind: 'change'; readonly change: (json: Json) => Json }
  | { readonly kind: 'garble'; readonly text: (json: Json) => string }
  /** The `id_token` of the answer is taken apart, changed and put together again. */
  | {
      readonly kind: 'id-token'
      readonly claims: (claims: Json) => Json
      readonly signed: 'well' | 'by-a-stranger' | 'not-at-all' | 'badly'
    }
  /** The emulator's clock is off by this much for one call. */
  | { readonly kind: 'skew'; readonly ms: number }
  /** Waits for the test: see `Faults.hold`. */
  | { readonly kind: 'gate'; readonly at: 'arrival' | 'answer'; pass(): Promise<void> }
)

const HTML = (title: string): string => `<!DOCTYPE html><html><head><title>${title}</title></head><body><h1>${title}</h1></body></html>`
const html = (status: number, title: string, headers: Record<string, string> = {}): Reply => ({
  status,
  text: HTML(title),
  headers: { 'content-type': 'text/html; charset=utf-8', ...headers },
})
const changed = (name: string, change: (json: Json) => Json): Fault => ({ name, kind: 'change', change })
const without = (json: Json, member: string): Json => Object.fromEntries(Object.entries(json).filter(([name]) => name !== member))
const idToken = (
  name: string,
  claims: (claims: Json) => Json,
  signed: 'well' | 'by-a-stranger' | 'not-at-all' | 'badly' = 'well',
): Fault => ({
  name,
  kind: 'id-token',
  claims,
  signed,
})
const same = (claims: Json): Json => claims

/** Every fault of the matrix by name; a test may write its own beside them. */
export const fault = {
  latency: (ms: number): Fault => ({ name: `latency ${ms} ms`, kind: 'delay', ms }),
  hang: (processed = false): Fault => ({ name: processed ? 'processed, then silent' : 'silent', kind: 'hang', processed }),
  resetBeforeBody: (): Fault => ({ name: 'reset before the body', kind: 'reset', at: 'unread' }),
  resetAfterBody: (): Fault => ({ name: 'reset after the body', kind: 'reset', at: 'read' }),
  answerLost: (): Fault => ({ name: 'answer lost', kind: 'reset', at: 'processed' }),
  truncated: (): Fault => ({ name: 'half an answer', kind: 'truncate' }),
  serverError: (status: 500 | 502 | 503 | 504 = 503): Fault => ({
    name: `${status} in HTML`,
    kind: 'reply',
    reply: html(status, 'Service Unavailable'),
  }),
  throttled: (retryAfterSeconds = 60, as: 'json' | 'html' = 'json'): Fault => ({
    name: `429 in ${as}`,
    kind: 'reply',
    reply:
      as === 'html'
        ? html(429, 'Too Many Requests', { 'retry-after': String(retryAfterSeconds) })
        : { status: 429, json: { error: 'temporarily_unavailable' }, headers: { 'retry-after': String(retryAfterSeconds) } },
  }),
  reply: (reply: Reply): Fault => ({ name: `answers ${reply.status}`, kind: 'reply', reply }),
  malformedJson: (): Fault => ({ name: 'malformed JSON', kind: 'garble', text: (json) => JSON.stringify(json).slice(0, -1) }),
  emptyBody: (): Fault => ({ name: 'empty body', kind: 'garble', text: () => '' }),
  noExpiresIn: (): Fault => changed('no expires_in', (json) => without(json, 'expires_in')),
  stringExpiresIn: (): Fault => changed('expires_in as a string', (json) => ({ ...json, expires_in: String(json['expires_in']) })),
  zeroExpiresIn: (): Fault => changed('expires_in 0', (json) => ({ ...json, expires_in: 0 })),
  lowerCaseTokenType: (): Fault => changed('token_type bearer', (json) => ({ ...json, token_type: 'bearer' })),
  otherTokenType: (tokenType = 'mtls_pop'): Fault => changed(`token_type ${tokenType}`, (json) => ({ ...json, token_type: tokenType })),
  extraFields: (): Fault =>
    changed('unknown fields', (json) => ({ ...json, foo: { bar: [1, null] }, 'not-before-policy': 0, refresh_in: 1800, '': true })),
  noRefreshToken: (): Fault => changed('no refresh_token', (json) => without(json, 'refresh_token')),
  noIdToken: (): Fault => changed('no id_token', (json) => without(json, 'id_token')),
  member: (name: string, value: unknown): Fault => changed(`${name} changed`, (json) => ({ ...json, [name]: value })),
  idTokenIssuer: (iss = 'https://evil.example'): Fault => idToken('id_token of another issuer', (claims) => ({ ...claims, iss })),
  idTokenAudience: (aud: unknown = 'somebody-else'): Fault => idToken('id_token for another client', (claims) => ({ ...claims, aud })),
  idTokenNonce: (nonce = 'another-nonce'): Fault => idToken('id_token with another nonce', (claims) => ({ ...claims, nonce })),
  idTokenSubject: (sub = 'somebody-else'): Fault => idToken('id_token of another subject', (claims) => ({ ...claims, sub })),
  idTokenExpired: (): Fault =>
    idToken('id_token expired', (claims) => ({
      ...claims,
      iat: Number(claims['iat']) - 7200,
      nbf: Number(claims['iat']) - 7200,
      exp: Number(claims['iat']) - 3600,
    })),
  idTokenClaims: (more: Json): Fault => idToken('id_token with other claims', (claims) => ({ ...claims, ...more })),
  idTokenUnsigned: (): Fault => idToken('id_token with alg none', same, 'not-at-all'),
  idTokenUnknownKey: (): Fault => idToken('id_token with an unknown kid', same, 'by-a-stranger'),
  idTokenBadSignature: (): Fault => idToken('id_token with a wrong signature', same, 'badly'),
  skew: (ms: number): Fault => ({ name: `clock off by ${ms} ms`, kind: 'skew', ms }),
} as const

export interface Held {
  /** The call is there and waits; at `answer`, it has had its effect. */
  readonly arrived: Promise<Exchange>
  release(): void
}

/** A plan of faults; a call meets the first entry that fits it, and only that one. */
export interface Faults {
  /** The next call to this endpoint that no earlier entry takes; several calls queue several faults. */
  next(endpoint: EndpointName, ...faults: readonly Fault[]): void
  /** Every call to it, until the returned function or `clear` is called. */
  always(endpoint: EndpointName, ...faults: readonly Fault[]): () => void
  /** Calls the predicate takes, `times` of them (all, unless told). A fault that strikes before the body sees an empty `form`. */
  when(predicate: (exchange: Exchange) => boolean, faults: Fault | readonly Fault[], times?: number): () => void
  /** The next call waits for `release`: before it takes effect (`arrival`), or after, with the answer in hand (`answer`). */
  hold(endpoint: EndpointName, at?: 'arrival' | 'answer'): Held
  /** The faults that struck, in order. */
  readonly struck: readonly { readonly endpoint: EndpointName; readonly name: string }[]
  clear(): void
}

interface Entry {
  readonly endpoint: EndpointName | undefined
  readonly predicate: ((exchange: Exchange) => boolean) | undefined
  readonly faults: readonly Fault[]
  left: number
}

/** What the server asks. */
export interface FaultPlan extends Faults {
  /** First with `bodyRead` false, as soon as the head is there; again when that gave nothing. */
  take(exchange: Exchange, bodyRead: boolean): readonly Fault[]
}

export const faultPlan = (): FaultPlan => {
  let entries: Entry[] = []
  const struck: { endpoint: EndpointName; name: string }[] = []
  const add = (entry: Entry): (() => void) => {
    entries.push(entry)
    return () => {
      entries = entries.filter((other) => other !== entry)
    }
  }
  const plan: FaultPlan = {
    next: (endpoint, ...faults) => void add({ endpoint, predicate: undefined, faults, left: 1 }),
    always: (endpoint, ...faults) => add({ endpoint, predicate: undefined, faults, left: Number.POSITIVE_INFINITY }),
    when: (predicate, faults, times = Number.POSITIVE_INFINITY) =>
      add({ endpoint: undefined, predicate, faults: [faults].flat() as Fault[], left: times }),
    hold: (endpoint, at = 'arrival') => {
      const arrived = Promise.withResolvers<Exchange>()
      const released = Promise.withResolvers<void>()
      let met: Exchange | undefined
      // At `answer` this is reached when the call has had its effect: a test that goes on may rely on that.
      const pass = (): Promise<void> => {
        if (met) arrived.resolve(met)
        return released.promise
      }
      const gate: Fault = { name: `held at ${at}`, kind: 'gate', at, pass }
      add({
        endpoint,
        predicate: (exchange) => {
          met = exchange
          return true
        },
        faults: [gate],
        left: 1,
      })
      return { arrived: arrived.promise, release: released.resolve }
    },
    struck,
    clear: () => {
      entries = []
      struck.length = 0
    },
    take: (exchange, bodyRead) => {
      for (const entry of entries) {
        if (entry.endpoint !== undefined && entry.endpoint !== exchange.endpoint) continue
        const early = entry.faults.some((one) => one.kind === 'reset' && one.at === 'unread')
        if (!bodyRead && !early) {
          // It has this call for itself if the predicate will have it: none behind it may strike earlier.
          if (entry.predicate === undefined) return []
          continue
        }
        if (bodyRead && early) continue
        if (entry.predicate && !entry.predicate(exchange)) continue
        entry.left -= 1
        if (entry.left <= 0) entries = entries.filter((other) => other !== entry)
        struck.push(...entry.faults.map(({ name }) => ({ endpoint: exchange.endpoint, name })))
        return entry.faults
      }
      return []
    },
  }
  return plan
}
