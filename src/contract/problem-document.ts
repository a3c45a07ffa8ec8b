/** `application/problem+json` (RFC 9457) as the gateway sends it; `code` is stable, the texts are not. */
export interface ProblemDocument {
  /** `urn:sallyport:problem:<code>` */
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: string
  /** What the frontend can do about it. */
  readonly fix: string
  readonly request_id: string
  /** With 401: navigate here to sign in; append `?return_to=/path`. */
  readonly login_url?: string
}
