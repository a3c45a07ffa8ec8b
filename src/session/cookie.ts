import type { SessionCookie } from '../domain/session.ts'
import { scanCookie } from '../kernel/cookie-scan.ts'

/** `__Host-Http-`: neither script nor a sibling host can plant it (browser-facts §1). */
const BASE_NAME = '__Host-Http-sallyport'
/** 16 bytes session id, 32 bytes data key. */
const VALUE_CHARS = 64
const VALUE = /^[A-Za-z0-9_-]{64}$/

/** Strict: no other site's navigation carries it. No Max-Age: the store knows when the session ends. Priority keeps it where jars overflow. */
const ATTRIBUTES = 'Secure; HttpOnly; Path=/; SameSite=Strict; Priority=High'

export interface SessionCookieJar {
  readonly name: string
  /** Value of `Set-Cookie`. */
  set(cookie: SessionCookie): string
  /** Value of `Set-Cookie` that removes it; only for a request that presented it. */
  cleared(): string
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
  const cleared = `${assigned}; Max-Age=0; ${ATTRIBUTES}`
  return {
    name,
    set: (cookie) => `${assigned}${cookie.reveal()}; ${ATTRIBUTES}`,
    cleared: () => cleared,
    read: (header) => (header === undefined ? undefined : scanCookie(header, assigned)),
  }
}

const nameFor = (publicUrl: URL): string => (publicUrl.protocol === 'http:' ? `${BASE_NAME}-${publicUrl.port || '80'}` : BASE_NAME)

/** Exactly 64 base64url characters (48 bytes leave no spare bits, so each value has one spelling). Says nothing about whether the session exists. */
export const isWellFormed = (value: string): boolean => value.length === VALUE_CHARS && VALUE.test(value)
