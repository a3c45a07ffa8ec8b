import type { HeldSession, Session } from '../domain/session.ts'
import type { Instant } from '../kernel/time.ts'

/** The one thing about an opened session that moves: when it was last used, as the store knows it. */
export interface SeenBox {
  at: Instant
}

/** Frozen, and handed out again and again: a hot request allocates nothing. The same session served stale is a second face of the same box. */
export class Held implements HeldSession {
  readonly session: Session
  readonly stale: boolean
  readonly #seen: SeenBox

  constructor(session: Session, seen: SeenBox, stale: boolean) {
    this.session = session
    this.stale = stale
    this.#seen = seen
    Object.freeze(this)
  }
  get lastSeenAt(): Instant {
    return this.#seen.at
  }
  get seen(): SeenBox {
    return this.#seen
  }
}
