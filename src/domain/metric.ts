/** Every metric in one table: `sallyport_<room>_<thing>_<unit>`, labels from closed sets, never paths, subjects or messages. docs/metrics.md is generated from it. */
export interface MetricDefinition {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly labels: readonly string[]
  /** Upper bounds, seconds. */
  readonly buckets?: readonly number[]
}

const LATENCY = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const

export const METRICS = {
  sallyport_login_attempts_total: { kind: 'counter', help: 'Sign-ins by how they ended.', labels: ['outcome'] },
  sallyport_session_created_total: { kind: 'counter', help: 'Sessions created.', labels: [] },
  sallyport_session_ended_total: { kind: 'counter', help: 'Sessions ended, by reason.', labels: ['reason'] },
  sallyport_session_lookups_total: {
    kind: 'counter',
    help: 'Session look-ups: l1, store, absent, ended, unavailable, unopened (a seal did not open).',
    labels: ['outcome'],
  },
  sallyport_session_l1_entries: { kind: 'gauge', help: 'Opened sessions held in memory.', labels: [] },
  sallyport_session_l1_mode: { kind: 'gauge', help: '2 live, 1 checking, 0 grace.', labels: [] },
  sallyport_store_call_seconds: {
    kind: 'histogram',
    help: 'Time of one call to the store.',
    labels: ['command', 'outcome'],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.3, 1],
  },
  sallyport_store_replica_waits_total: {
    kind: 'counter',
    help: 'Ends and rotated refresh tokens on a replicated store: confirmed by a replica, unconfirmed in 100 ms, failed, held-off (the one before was not confirmed).',
    labels: ['outcome'],
  },
  sallyport_session_pending_ends: {
    kind: 'gauge',
    help: 'Ends of sessions that the store has not taken yet; tried again while this replica lives.',
    labels: [],
  },
  sallyport_session_ends_dropped_total: {
    kind: 'counter',
    help: 'Ends that were given up because too many were pending; those sessions end by time.',
    labels: [],
  },
  sallyport_session_ended_again_total: {
    kind: 'counter',
    help: 'Sessions that came back with another server of the store after their end, and were ended again.',
    labels: [],
  },
  sallyport_session_saved_again_total: {
    kind: 'counter',
    help: 'Rotated refresh tokens that were missing with another server of the store, and were stored again.',
    labels: [],
  },
  sallyport_broker_pending_saves: {
    kind: 'gauge',
    help: 'Rotated refresh tokens that the store has not taken yet; tried again while this replica lives.',
    labels: [],
  },
  sallyport_provider_requests_total: {
    kind: 'counter',
    help: 'HTTP requests to the provider, by what they were for and how they ended; the verdict on a token is told by the metrics of the broker.',
    labels: ['provider', 'request', 'outcome'],
  },
  sallyport_provider_request_seconds: {
    kind: 'histogram',
    help: 'Time of one HTTP request to the provider.',
    labels: ['provider', 'request', 'outcome'],
    buckets: LATENCY,
  },
  sallyport_broker_token_requests_total: {
    kind: 'counter',
    help: 'Requests to the token endpoint.',
    labels: ['provider', 'grant', 'outcome'],
  },
  sallyport_broker_token_request_seconds: {
    kind: 'histogram',
    help: 'Time of one request to the token endpoint.',
    labels: ['provider', 'grant', 'outcome'],
    buckets: LATENCY,
  },
  sallyport_broker_lease_wait_seconds: {
    kind: 'histogram',
    help: 'Time spent waiting for the lease of a session.',
    labels: ['outcome'],
    buckets: LATENCY,
  },
  sallyport_broker_principal_mismatches_total: {
    kind: 'counter',
    help: 'Tokens that were not attached, and callers that were not let in, because they stand for somebody else than the route calls for, by grant.',
    labels: ['grant'],
  },
  sallyport_broker_upstream_rejections_total: {
    kind: 'counter',
    help: 'Upstream answers to a token of ours: 401, or 403 with a challenge.',
    labels: ['route', 'status'],
  },
  sallyport_proxy_repeated_requests_total: {
    kind: 'counter',
    help: 'Requests sent a second time with a new token, after the upstream had called the first one invalid.',
    labels: ['route'],
  },
  sallyport_credentials_state: {
    kind: 'gauge',
    help: 'Client credentials by thumbprint: 1 candidate, 2 probing, 3 active, 4 retiring, 5 retired, 0 withdrawn, expired or gone.',
    labels: ['provider', 'credential'],
  },
  sallyport_credentials_not_after_timestamp_seconds: {
    kind: 'gauge',
    help: 'When a client credential ends; 0 for those that carry no date, and when it is gone.',
    labels: ['provider', 'credential'],
  },
  sallyport_credentials_last_used_timestamp_seconds: {
    kind: 'gauge',
    help: 'When the provider last accepted a client credential in a request of ours, probes included.',
    labels: ['provider', 'credential'],
  },
  sallyport_credentials_probes_total: {
    kind: 'counter',
    help: 'Probes of client credentials: accepted, rejected, none (nobody answered).',
    labels: ['provider', 'outcome'],
  },
  sallyport_credentials_fallbacks_total: {
    kind: 'counter',
    help: 'Requests that were sent again with another client credential because the provider rejected the one in use.',
    labels: ['provider'],
  },
  sallyport_files_looks_total: {
    kind: 'counter',
    help: 'Looks at watched files by the setting that names them: unchanged, replaced, kept (what is there cannot be used, what was in use stays), failed.',
    labels: ['setting', 'outcome'],
  },
  sallyport_files_certificate_not_after_timestamp_seconds: {
    kind: 'gauge',
    help: 'When a certificate in use ends: of the listener, at Redis, at upstreams. Those at the provider are sallyport_credentials_….',
    labels: ['setting'],
  },
  sallyport_proxy_in_flight_requests: { kind: 'gauge', help: 'Proxied requests under way.', labels: [] },
  sallyport_proxy_open_streams: { kind: 'gauge', help: 'Open streams that end with their session.', labels: [] },
  sallyport_logout_notices_total: {
    kind: 'counter',
    help: 'Logouts told by the provider, by channel (back, front) and outcome: ended (also where there was nothing to end), refused, unavailable.',
    labels: ['channel', 'outcome'],
  },
  sallyport_session_revocations_total: {
    kind: 'counter',
    help: 'Refresh tokens of ended sessions: revoked, unsupported (the provider has no such endpoint), unavailable (given up).',
    labels: ['outcome'],
  },
  sallyport_session_revocations_pending: {
    kind: 'gauge',
    help: 'Refresh tokens of ended sessions that the provider has not been told of yet; tried again while this replica lives.',
    labels: [],
  },
  sallyport_caller_tokens_total: {
    kind: 'counter',
    help: 'Access tokens that callers brought and that were not known yet: accepted, refused, unavailable (the provider’s keys), overloaded, limited (an address that got too many wrong).',
    labels: ['outcome'],
  },
  sallyport_guard_csrf_refusals_total: { kind: 'counter', help: 'Requests refused by the CSRF guard.', labels: ['code'] },
  sallyport_guard_rate_refusals_total: {
    kind: 'counter',
    help: 'Sign-ins not started, by the limit that was reached: address, global.',
    labels: ['limit'],
  },
  sallyport_problem_answers_total: { kind: 'counter', help: 'Problems answered by the gateway itself.', labels: ['code'] },
  sallyport_audit_lost_events_total: { kind: 'counter', help: 'Audit events that could not be written.', labels: [] },
  http_server_request_duration_seconds: {
    kind: 'histogram',
    help: 'Duration of HTTP server requests (OpenTelemetry semantic conventions).',
    labels: ['http_request_method', 'http_route', 'http_response_status_code'],
    buckets: LATENCY,
  },
} as const satisfies Record<string, MetricDefinition>

export type MetricName = keyof typeof METRICS
type NameOf<K extends MetricDefinition['kind']> = { [N in MetricName]: (typeof METRICS)[N]['kind'] extends K ? N : never }[MetricName]
export type Labels<N extends MetricName> = Readonly<Record<(typeof METRICS)[N]['labels'][number], string>>

export interface Metrics {
  count<N extends NameOf<'counter'>>(name: N, labels: Labels<N>): void
  gauge<N extends NameOf<'gauge'>>(name: N, value: number, labels: Labels<N>): void
  observe<N extends NameOf<'histogram'>>(name: N, seconds: number, labels: Labels<N>): void
}
