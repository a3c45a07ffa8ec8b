/** What a log line may say beside its constant message. A fact that is not named here is not logged: the list is the redaction. */
export interface Facts {
  readonly requestId?: string
  readonly sessionRef?: string
  readonly route?: string
  readonly audience?: string
  readonly provider?: string
  /** A problem code, an audit reason, a refusal: from a closed set of ours, never free text from outside. */
  readonly code?: string
  readonly reason?: string
  /** An OAuth `error` code or AADSTS number as the provider sent it, cut to `[A-Za-z0-9_.-]{1,64}`. */
  readonly providerCode?: string
  /** The `error` of an upstream's challenge, cut alike. */
  readonly upstreamCode?: string
  /** Network error code such as ECONNREFUSED. */
  readonly cause?: string
  readonly grant?: string
  readonly principal?: string
  /** Separated by blanks. */
  readonly scopes?: string
  readonly expiresInSeconds?: number
  readonly status?: number
  readonly method?: string
  /** Path without its query. */
  readonly path?: string
  readonly ms?: number
  readonly bytes?: number
  readonly count?: number
  readonly attempt?: number
  readonly kid?: string
  readonly mode?: string
  readonly listener?: string
  readonly address?: string
  readonly file?: string
  readonly hint?: string
  readonly signal?: string
  readonly version?: string
}

/** info: an operator may act on it later; warn: act today; error: act now; debug: the flow. */
export interface Log {
  debug(facts: Facts, message: string): void
  info(facts: Facts, message: string): void
  warn(facts: Facts, message: string): void
  error(facts: Facts, message: string): void
}

/** One finished request, whoever answered it. */
export interface AccessEntry {
  readonly requestId: string
  readonly method: string
  /** Route or endpoint name: a closed set. */
  readonly route: string
  /** Path without its query. */
  readonly path: string
  readonly status: number
  readonly ms: number
  readonly bytes: number
  readonly address: string
  readonly sessionRef: string | undefined
  readonly principal: 'user' | 'app' | 'none' | undefined
  /** The browser left, or the answer was cut. */
  readonly cut: boolean
}
/** Log line and duration histogram of a request, in one place. On the hot path: allocates little, never awaits. */
export interface AccessLog {
  record(entry: AccessEntry): void
}
