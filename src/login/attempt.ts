import { randomBytes } from 'node:crypto'
import type { AttemptState } from '../domain/login-attempt.ts'
import type { Sealer } from '../domain/sealer.ts'
import type { SessionRef } from '../domain/session.ts'
import { Secret } from '../kernel/secret.ts'
import type { Instant } from '../kernel/time.ts'
import { after, instant, minutes } from '../kernel/time.ts'

/** The sealed payload's own version, beside the seal's: the previous one is read as well during a roll-out. */
const VERSION = 1
export const ATTEMPT_LIFETIME = minutes(10)
/** Longer URLs are cut or refused by providers and proxies. A sealed return-to of 1 kB comes to about 1.9 kB. */
const STATE_CHARS_MAX = 4096

/** The one that a callback belongs to. */
export interface AttemptPlace {
  readonly app: string
  readonly provider: string
}

export type OpenedState =
  | { readonly kind: 'opened'; readonly state: AttemptState }
  /** Ours, but older than ten minutes: nothing of it is redeemed; its return-to may be used for a new start. */
  | { readonly kind: 'expired'; readonly state: AttemptState }
  /** Another replica has a newer key: 503, nothing was used up. */
  | { readonly kind: 'key-unknown' }
  /** Not made here, with a key that is gone, or for another app or provider (mix-up, RFC 9700 §4.4). */
  | { readonly kind: 'invalid' }

/**
 * The text of the `state` parameter. Where long acr values or a long subject make it too long together with a long return-to, that becomes `/`: a
 * login that ends on the front page is better than one that the provider refuses.
 */
export const sealState = (sealer: Sealer, state: AttemptState): Secret<'state'> => {
  const full = seal(sealer, state)
  return Secret.of('state', full.length <= STATE_CHARS_MAX ? full : seal(sealer, { ...state, returnTo: '/' }))
}

/** @param at the app and provider whose callback was called; a state of another one does not open */
export const openState = (sealer: Sealer, text: string, at: AttemptPlace, now: Instant): OpenedState => {
  if (text.length > STATE_CHARS_MAX) return { kind: 'invalid' }
  const unsealed = sealer.open('state', [at.app, at.provider], text)
  if (unsealed.kind === 'key-unknown') return unsealed
  const state = unsealed.kind === 'opened' ? parse(unsealed.text) : undefined
  if (!state) return { kind: 'invalid' }
  return { kind: after(state.startedAt, ATTEMPT_LIFETIME) <= now ? 'expired' : 'opened', state }
}

/** `salt`: 256 bits, so that no state can be guessed, whatever else is known of it (RFC 6749 §10.10). */
const seal = (sealer: Sealer, state: AttemptState): string =>
  sealer.seal('state', [state.app, state.provider], JSON.stringify({ v: VERSION, salt: randomBytes(32).toString('base64url'), ...state }))

/** Only we can have sealed it; this reads what another release of ours may have written. */
const parse = (text: string): AttemptState | undefined => {
  const raw: unknown = JSON.parse(text)
  if (!isRecord(raw) || raw['v'] !== VERSION) return undefined
  const { id, app, provider, startedAt, returnTo, resumed, silent, replaces, expectSubject, maxAgeSeconds, acrValues } = raw
  if (typeof id !== 'string' || typeof app !== 'string' || typeof provider !== 'string') return undefined
  if (typeof startedAt !== 'number' || typeof returnTo !== 'string' || !Array.isArray(acrValues)) return undefined
  return {
    id,
    app,
    provider,
    startedAt: instant(startedAt),
    returnTo,
    resumed: resumed === true,
    silent: silent === true,
    replaces: typeof replaces === 'string' ? (replaces as SessionRef) : undefined,
    expectSubject: typeof expectSubject === 'string' ? expectSubject : undefined,
    maxAgeSeconds: typeof maxAgeSeconds === 'number' ? maxAgeSeconds : undefined,
    acrValues: acrValues.filter((value) => typeof value === 'string'),
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
