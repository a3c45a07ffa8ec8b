import { createHash } from 'node:crypto'
import { inspect } from 'node:util'
import type { CredentialSource } from '../../src/domain/credential.ts'
import type { RedeemChecks } from '../../src/domain/provider.ts'
import type { Ask, TokenKey } from '../../src/domain/token.ts'
import type { Facts, Log } from '../../src/kernel/ports.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { instant, millis } from '../../src/kernel/time.ts'
import type { Clock, Instant } from '../../src/kernel/time.ts'
import { createProvider } from '../../src/provider/provider.ts'
import type { OpenProvider, ProviderDeps } from '../../src/provider/provider.ts'
import { profileOf } from '../../src/provider/profiles.ts'
import { CLIENT_SECRET } from './hostile-provider.ts'
import type { HostileProvider } from './hostile-provider.ts'

export const REDIRECT_URI = 'https://shop.example.com/bff/callback'

/** The system's time plus what the test moved it by: the other side's tokens carry real times. */
export interface MovableClock extends Clock {
  advance(ms: number): void
}
export const movableClock = (): MovableClock => {
  let offset = 0
  return {
    now: (): Instant => instant(Date.now() + offset),
    sleep: (length, signal) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(resolve, length)
        timer.unref()
        signal?.addEventListener('abort', () => reject(signal.reason as Error))
      }),
    advance: (ms) => {
      offset += ms
    },
  }
}

export interface LogLine {
  readonly level: string
  readonly facts: Facts
  readonly message: string
}
/** Keeps every line, for canary searches. */
export const recordingLog = (): { readonly log: Log; readonly lines: LogLine[] } => {
  const lines: LogLine[] = []
  const at = (level: string) => (facts: Facts, message: string) => {
    lines.push({ level, facts, message })
  }
  return { lines, log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') } }
}

export const secretCredential = (method: 'client_secret_basic' | 'client_secret_post' = 'client_secret_basic'): CredentialSource => ({
  current: () => ({ kind: 'secret', secret: Secret.of('client-secret', CLIENT_SECRET), method }),
})

export const askFor = (audience: string | undefined, scopes: readonly string[] = [], grant: Ask['grant'] = 'refresh'): Ask => ({
  grant,
  audience,
  scopes,
  key: `${grant}|${audience}|${scopes.join(' ')}` as TokenKey,
})

export interface ProviderRoom {
  readonly provider: OpenProvider
  readonly clock: MovableClock
  readonly lines: LogLine[]
  readonly metrics: string[]
  readonly checks: RedeemChecks
  /** PKCE challenge of `checks.verifier`. */
  readonly challenge: string
}

export const VERIFIER = 'canary-verifier-0123456789-0123456789-0123456789'
export const NONCE = 'canary-nonce-0123456789'
export const STATE = 'canary-state-0123456789'

/** The provider room as assembly builds it, against a provider on loopback. */
export const providerRoom = (issuer: string, overrides: Partial<ProviderDeps> = {}): ProviderRoom => {
  const clock = movableClock()
  const { log, lines } = recordingLog()
  const metrics: string[] = []
  const provider = createProvider({
    name: 'default',
    issuer,
    profile: profileOf('generic'),
    clientId: 'gateway',
    clientAuth: secretCredential(),
    redirectUri: REDIRECT_URI,
    postLogoutRedirectUri: 'https://shop.example.com/bff/logout/callback',
    scopes: ['openid', 'profile', 'offline_access'],
    userAsks: [],
    timeoutMs: millis(5000),
    insecureAllowHttp: true,
    clock,
    log,
    metrics: {
      count: (name, labels) => metrics.push(`${name} ${JSON.stringify(labels)}`),
      gauge: () => undefined,
      observe: () => undefined,
    },
    ...overrides,
  })
  return {
    provider,
    clock,
    lines,
    metrics,
    challenge: createHash('sha256').update(VERIFIER).digest('base64url'),
    checks: {
      state: Secret.of('state', STATE),
      nonce: Secret.of('nonce', NONCE),
      verifier: Secret.of('code-verifier', VERIFIER),
      maxAgeSeconds: undefined,
      acrValues: [],
    },
  }
}

/** A callback as the provider would send it after a successful sign-in. */
export const callbackOf = (hostile: HostileProvider, room: ProviderRoom, claims: Record<string, unknown> = {}): URLSearchParams =>
  new URLSearchParams({ code: hostile.issueCode({ challenge: room.challenge, nonce: NONCE, claims }), state: STATE })

/** Everything a reader of logs, metrics and plain values could see. */
export const visible = (room: ProviderRoom, ...values: readonly unknown[]): string =>
  inspect([room.lines, room.metrics, ...values], { depth: 20, maxStringLength: null, maxArrayLength: null })
