import type { Secret } from '../kernel/secret.ts'

/**
 * A cookie to be set or, with `maxAgeSeconds: 0`, cleared. Always Secure, HttpOnly, Path=/ and without Domain, which is what its `__Host-Http-` prefix
 * demands; a cookie is only cleared under the attributes it was set with.
 */
export interface SetCookie {
  readonly name: string
  readonly value: Secret<'session-cookie' | 'attempt-cookie'> | undefined
  readonly sameSite: 'strict' | 'lax'
  readonly priority?: 'high'
  /** Absent: until the browser closes. */
  readonly maxAgeSeconds?: number
}
