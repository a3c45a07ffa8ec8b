/** What the admin listener answers and `sallyport -o json` prints. Scripts depend on the names; times are ISO 8601 UTC. Nothing here opens a session. */
export interface AdminSession {
  readonly ref: string
  readonly subject: string
  readonly tenant: string | null
  readonly provider: string
  readonly created_at: string
  /** To about a minute. */
  readonly last_seen_at: string
  /** The absolute end; an idle end may come before. */
  readonly ends_at: string
  readonly browser: string
  /** /24 or /48. */
  readonly address: string
}

export interface AdminSessions {
  readonly sessions: readonly AdminSession[]
  /** Sessions whose card does not open: damaged, or sealed with a key that is not here. */
  readonly unreadable: number
  /** For `cursor` of the next call; null: that was all. */
  readonly next: string | null
}

export interface AdminEnded {
  /** Sessions that lived until this call. */
  readonly ended: number
  readonly next: string | null
}

/** Body of `POST /admin/sessions/end`; all that is given must hold, and something must be given. */
export interface AdminEnd {
  readonly subject?: string
  readonly tenant?: string
  readonly provider?: string
  readonly created_before?: string
  readonly all?: true
  readonly cursor?: string
}

export interface AdminKeys {
  /** `session.keys_settle`. */
  readonly settle_ms: number
  readonly keys: readonly {
    readonly kid: string
    readonly state: 'settling' | 'seals' | 'opens'
    /** Since when this replica has it. */
    readonly present_since: string
    readonly seals_from: string | null
    /** The latest end of any session sealed with it; null: none is. */
    readonly needed_until: string | null
    /** From then on taking it away ends nothing; null: it is in use. */
    readonly may_go_from: string | null
  }[]
  /** Keys that are not here, although sessions that live are sealed with them. */
  readonly absent: readonly { readonly kid: string; readonly needed_until: string }[]
}

/** `GET /admin/credentials`: what the gateway proves itself with at the provider, as this replica sees it. */
export interface AdminCredentials {
  /** Something usable is there. */
  readonly ready: boolean
  readonly credentials: readonly {
    readonly id: string
    readonly kind: string
    readonly method: string
    readonly setting: string
    readonly file: string
    readonly state: 'candidate' | 'probing' | 'active' | 'retiring' | 'retired' | 'withdrawn'
    readonly since: string
    readonly why: string
    readonly message: string
    /** Hexadecimal, lower case. */
    readonly thumbprint_sha256: string | null
    readonly thumbprint_sha1: string | null
    readonly kid: string | null
    readonly not_before: string | null
    readonly not_after: string | null
    readonly days_left: number | null
    readonly accepted_at: string | null
    readonly rejected_at: string | null
    /** The provider's code. */
    readonly rejection: string | null
    readonly next_probe_at: string | null
    readonly lost_by_restart: boolean
    readonly unstaged: boolean
    /** What to do about it, for this provider; null: nothing. */
    readonly next_step: string | null
  }[]
  readonly faults: readonly { readonly setting: string; readonly file: string; readonly fault: string; readonly message: string }[]
}

/** `POST /admin/credentials/{name}/promote`, and `withdraw`, which takes `{ "force": true }`. */
export interface AdminCredentialOrdered {
  /** `done`: every replica follows it. `unconfirmed`: it is stored, and not all have said so. `here-only`: the store did not take it; this replica goes on trying. */
  readonly outcome: 'done' | 'unconfirmed' | 'here-only'
  /** How many were heard of within the last half minute, this one included. */
  readonly replicas: number
  /** Names of those that have not said within five seconds that they follow it. */
  readonly missing: readonly string[]
}

/** `POST /admin/credentials/{name}/verify`. */
export interface AdminCredentialVerdict {
  readonly verdict: 'accepted' | 'rejected' | 'none'
  /** The provider's code, or why nobody answered. */
  readonly code: string | null
}
