import type { SessionCookie } from '../domain/session.ts'
import type { SetCookie } from '../domain/set-cookie.ts'
import { scanCookie } from '../kernel/cookie-scan.ts'

/** `__Host-Http-`: neither script nor a sibling host can plant it (browser-facts §1). */
const BASE_NAME = '__Host-Http-sallyport'
/** 16 bytes session id, 32 bytes data key. */
const VALUE_CHARS = 64
const VALUE = /^[A-Za-z0-9_-]{64}$/

/** Strict: no other site's navigation carries it. No Max-Age: the store knows when the session ends. Priority keeps it where jars overflow. */
const ATTRIBUTES = { sameSite: 'strict', priority: 'high' } as const

export interface SessionCookieJar {
  readonly name: string
  set(cookie: SessionCookie): SetCookie
  /** Only for a request that presented it. */
  cleared(): SetCookie
  /**
   * The value in a `Cookie` header, as it came, well-formed or not. `doubled`: two of the name, equal or not, which is no session.
   */
  read(header: string | undefined): string | undefined | 'doubled'
}

/**
 * On loopback http the port is part of the name: cookies ignore ports, and two gateways under development would sign each other out.
 * @param publicUrl origin the browser sees
 */
export const sessionCookieJar = (publicUrl: URL): SessionCookieJar => {
  const name = nameFor(publicUrl)
  const assigned = `${name}=`
  const cleared: SetCookie = { name, value: undefined, ...ATTRIBUTES, maxAgeSeconds: 0 }
  return {
    name,
    set: (value) => ({ name, value, ...ATTRIBUTES }),
    cleared: () => cleared,
    read: (header) => (header === undefined ? undefined : scanCookie(header, assigned)),
  }
}

const nameFor = (publicUrl: URL): string => (publicUrl.protocol === 'http:' ? `${BASE_NAME}-${publicUrl.port || '80'}` : BASE_NAME)

/** Exactly 64 base64url characters (48 bytes leave no spare bits, so each value has one spelling). Says nothing about whether the session exists. */
export const isWellFormed = (value: string): boolean => value.length === VALUE_CHARS && VALUE.test(value)
