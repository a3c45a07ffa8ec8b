import { randomBytes } from 'node:crypto'
import type { AttemptSecrets, AttemptState } from '../domain/login-attempt.ts'
import type { Sealer } from '../domain/sealer.ts'
import type { SessionRef } from '../domain/session.ts'
import { Secret } from '../kernel/secret.ts'
import type { Instant } from '../kernel/time.ts'
import { after, instant, minutes } from '../kernel/time.ts'
import { newAttemptId } from './attempt-id.ts'

/** The sealed payload's own version, beside the seal's: the previous one is read as well during a roll-out. */
const VERSION = 1
export const ATTEMPT_LIFETIME = minutes(10)
/** Longer URLs are cut or refused by providers and proxies. A sealed return-to of 1 kB comes to about 1.9 kB. */
const STATE_CHARS_MAX = 4096

export interface StartedAttempt {
  readonly attempt: AttemptState
  readonly secrets: AttemptSecrets
  /** For the authorization request. */
  readonly state: Secret<'state'>
}

/** Everything about an attempt that the login request decides. */
export type AttemptWish = Omit<AttemptState, 'id' | 'startedAt'>

/** Makes nonce and PKCE verifier (256 bits each: RFC 7636 §7.1 and OIDC Core §15.5.2 leave less), and seals the rest into `state`. */
export const startAttempt = (sealer: Sealer, wish: AttemptWish, now: Instant): StartedAttempt => {
  const id = newAttemptId(now)
  const attempt: AttemptState = { ...wish, id, startedAt: now }
  const full = sealState(sealer, attempt)
  // Long acr values or a long subject on top of a long return-to: a login that ends on `/` is better than one that the provider refuses.
  const fits = full.length <= STATE_CHARS_MAX
  const kept = fits ? attempt : { ...attempt, returnTo: '/' }
  return {
    attempt: kept,
    secrets: { id, nonce: Secret.of('nonce', random256()), verifier: Secret.of('code-verifier', random256()) },
    state: Secret.of('state', fits ? full : sealState(sealer, kept)),
  }
}

export type OpenedState =
  | { readonly kind: 'opened'; readonly attempt: AttemptState }
  /** Ours, but older than ten minutes, or sealed with a key that is gone: nothing of it is redeemed; where it is known, the return-to may be used for a new start. */
  | { readonly kind: 'expired'; readonly attempt: AttemptState | undefined }
  /** Another replica has a newer key: 503, nothing was used up. */
  | { readonly kind: 'key-unknown' }
  /** Not made here, or for another app or provider (mix-up, RFC 9700 §4.4). */
  | { readonly kind: 'invalid' }

/** @param at the app and provider whose callback was called; a state of another one does not open */
export const openState = (sealer: Sealer, state: string, at: Pick<AttemptState, 'app' | 'provider'>, now: Instant): OpenedState => {
  if (state.length > STATE_CHARS_MAX) return { kind: 'invalid' }
  const unsealed = sealer.open('state', placeOf(at), state)
  if (unsealed.kind === 'key-removed') return { kind: 'expired', attempt: undefined }
  if (unsealed.kind !== 'opened') return unsealed
  const attempt = parse(unsealed.text)
  if (!attempt || attempt.app !== at.app || attempt.provider !== at.provider) return { kind: 'invalid' }
  return { kind: after(attempt.startedAt, ATTEMPT_LIFETIME) <= now ? 'expired' : 'opened', attempt }
}

const random256 = (): string => randomBytes(32).toString('base64url')

const placeOf = ({ app, provider }: Pick<AttemptState, 'app' | 'provider'>): readonly string[] => [app, provider]

/** `salt` makes each state unguessable on its own, whatever the seal adds. */
const sealState = (sealer: Sealer, attempt: AttemptState): string =>
  sealer.seal('state', placeOf(attempt), JSON.stringify({ v: VERSION, salt: random256(), ...attempt }))

/** Only we can have sealed it; this reads what another release of ours may have written. */
const parse = (text: string): AttemptState | undefined => {
  const raw: unknown = JSON.parse(text)
  if (!isRecord(raw) || raw['v'] !== VERSION) return undefined
  const { id, app, provider, startedAt, returnTo, replaces, expectSubject, maxAgeSeconds, acrValues } = raw
  if (typeof id !== 'string' || typeof app !== 'string' || typeof provider !== 'string') return undefined
  if (typeof startedAt !== 'number' || typeof returnTo !== 'string' || !Array.isArray(acrValues)) return undefined
  return {
    id,
    app,
    provider,
    startedAt: instant(startedAt),
    returnTo,
    replaces: typeof replaces === 'string' ? (replaces as SessionRef) : undefined,
    expectSubject: typeof expectSubject === 'string' ? expectSubject : undefined,
    maxAgeSeconds: typeof maxAgeSeconds === 'number' ? maxAgeSeconds : undefined,
    acrValues: acrValues.filter((value) => typeof value === 'string'),
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
