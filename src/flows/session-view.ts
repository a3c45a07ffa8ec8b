import type { SessionTimers, SessionView } from '../contract/session-view.ts'
import type { HeldSession } from '../domain/session.ts'
import type { Instant, Millis } from '../kernel/time.ts'
import { after, between, earliest } from '../kernel/time.ts'

export interface SessionViewSettings {
  readonly idleTimeout: Millis
  readonly recheck: Millis
  /** Allow-list of `GET /bff/user`. */
  readonly claims: readonly string[]
}

/** @param seenAt when the session was last used, this request included if it counts as use */
export const sessionTimers = (settings: SessionViewSettings, held: HeldSession, seenAt: Instant, now: Instant): SessionTimers => {
  const { card, grant } = held.session
  // What the provider grants ends by itself, too, unless a refresh moves it (Keycloak's SSO idle).
  const endsAt = earliest(grant.refreshEndsAt ?? card.endsAt, card.endsAt)
  const timeoutAt = earliest(after(seenAt, settings.idleTimeout), endsAt)
  return {
    created_at: iso(card.createdAt),
    ends_at: iso(card.endsAt),
    timeout_at: iso(timeoutAt),
    ends_in_seconds: secondsUntil(now, card.endsAt),
    timeout_in_seconds: secondsUntil(now, timeoutAt),
    active: true,
    refreshed_at: iso(grant.confirmedAt),
    refresh_by: iso(earliest(after(grant.confirmedAt, settings.recheck), endsAt)),
  }
}

/** Only what is listed, and only own properties: a claim named `constructor` is no claim. */
export const sessionView = (settings: SessionViewSettings, held: HeldSession, seenAt: Instant, now: Instant): SessionView => {
  const given = held.session.grant.claims
  const claims = Object.fromEntries(settings.claims.filter((name) => Object.hasOwn(given, name)).map((name) => [name, given[name]]))
  return { claims, session: sessionTimers(settings, held, seenAt, now) }
}

const iso = (at: Instant): string => new Date(at).toISOString()
const secondsUntil = (now: Instant, at: Instant): number => Math.max(0, Math.floor(between(now, at) / 1000))
