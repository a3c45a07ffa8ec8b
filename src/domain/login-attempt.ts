import type { Secret } from '../kernel/secret.ts'
import type { Instant } from '../kernel/time.ts'
import type { SessionRef } from './session.ts'

/** The half that rides sealed in `state`, through the provider and back. */
export interface AttemptState {
  /** 16 random bytes, 22 base64url characters; names the attempt's cookie. */
  readonly id: string
  readonly app: string
  readonly provider: string
  readonly startedAt: Instant
  /** A validated path on our origin, at most 1 kB. */
  readonly returnTo: string
  /** Started by /bff/login/resume: if it is lost as well, a page says so. Without this, a browser that keeps no cookies would go round for ever. */
  readonly resumed: boolean
  /** `prompt=none`: nobody asked to see anything, so whatever fails ends on the page it came from, signed in or not. */
  readonly silent: boolean
  /** The session whose cookie the login request carried: ended once the new one is stored. */
  readonly replaces: SessionRef | undefined
  /** Step-up: the same subject must come back. */
  readonly expectSubject: string | undefined
  /** What must be true of the ID token afterwards. */
  readonly maxAgeSeconds: number | undefined
  readonly acrValues: readonly string[]
}

/** The half that stays in this browser, sealed in the attempt's cookie. */
export interface AttemptSecrets {
  readonly id: string
  readonly nonce: Secret<'nonce'>
  readonly verifier: Secret<'code-verifier'>
}
