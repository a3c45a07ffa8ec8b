/** `GET /bff/session`: the session's timers. Times are ISO 8601 UTC; seconds are whole and never negative. */
export interface SessionTimers {
  readonly created_at: string
  /** The absolute end; using the session does not move it. */
  readonly ends_at: string
  /** The idle end, here or at the provider, whichever comes first; each use moves it. */
  readonly timeout_at: string
  readonly ends_in_seconds: number
  readonly timeout_in_seconds: number
  readonly active: true
  /** When the session's tokens were last renewed at the provider. */
  readonly refreshed_at: string
  /** When the gateway renews them at the latest. */
  readonly refresh_by: string
}

/** `GET /bff/user`: allow-listed claims of the newest ID token, and the timers. */
export interface SessionView {
  readonly claims: Readonly<Record<string, unknown>>
  readonly session: SessionTimers
}

/** `POST /bff/logout` by fetch. */
export interface LogoutAnswer {
  /** Navigate here to sign out at the provider too; absent after a local logout. */
  readonly location?: string
}

/** `GET /bff/sessions`: where the same person is signed in. The one that asks comes first. */
export interface MySessions {
  readonly sessions: readonly MySession[]
}
export interface MySession {
  /** For `DELETE /bff/sessions/{ref}`. Names the session, and opens nothing. */
  readonly ref: string
  readonly created_at: string
  /** To about a minute. */
  readonly last_seen_at: string
  /** For instance `Firefox on Linux`. */
  readonly browser: string
  /** Its network: /24 or /48; may be empty. */
  readonly address: string
  readonly current: boolean
}
