import type { AttemptSecrets, AttemptState } from '../domain/login-attempt.ts'
import type { Sealer } from '../domain/sealer.ts'
import type { SetCookie } from '../domain/set-cookie.ts'
import type { Secret } from '../kernel/secret.ts'
import type { Clock } from '../kernel/time.ts'
import type { AttemptPlace, OpenedState } from './attempt.ts'
import { openState, sealState } from './attempt.ts'
import { attemptCookieJar } from './attempt-cookie.ts'

export interface AttemptsDeps extends AttemptPlace {
  readonly sealer: Sealer
  readonly publicUrl: URL
  readonly clock: Clock
}

/** What the flows need of a login attempt: its two halves, one sealed in `state`, one in this browser's cookie. Holds nothing itself. */
export interface Attempts {
  sealState(state: AttemptState): Secret<'state'>
  openState(raw: string): OpenedState
  issue(secrets: AttemptSecrets, cookieHeader: string | undefined): readonly SetCookie[]
  read(cookieHeader: string | undefined, id: string): AttemptSecrets | undefined
  clear(id: string): SetCookie
}

export const createAttempts = ({ sealer, app, provider, publicUrl, clock }: AttemptsDeps): Attempts => {
  const jar = attemptCookieJar({ sealer, app, publicUrl })
  return {
    sealState: (state) => sealState(sealer, state),
    openState: (raw) => openState(sealer, raw, { app, provider }, clock.now()),
    issue: (secrets, cookieHeader) => jar.issue(secrets, cookieHeader, clock.now()),
    read: jar.read,
    clear: jar.clear,
  }
}
