import type { SessionCookie } from '../domain/session.ts'

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
   * The value in a `Cookie` header, as it came, well-formed or not. `doubled`: there are two of the name, equal or not: somebody else planted one,
   * and which is ours cannot be told (RFC 6265 §5.4 orders by path length and age only).
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
    read: (header) => {
      if (header === undefined) return undefined
      const at = nextOf(header, assigned, 0)
      if (at < 0) return undefined
      const from = at + assigned.length
      if (nextOf(header, assigned, from) >= 0) return 'doubled'
      const end = header.indexOf(';', from)
      return end < 0 ? header.slice(from) : header.slice(from, end)
    },
  }
}

const nameFor = (publicUrl: URL): string => (publicUrl.protocol === 'http:' ? `${BASE_NAME}-${publicUrl.port || '80'}` : BASE_NAME)

/** Exactly 64 base64url characters (48 bytes leave no spare bits, so each value has one spelling). Says nothing about whether the session exists. */
export const isWellFormed = (value: string): boolean => value.length === VALUE_CHARS && VALUE.test(value)

/**
 * Where the next cookie of this very name starts. A hit counts only at the beginning of the header or after `;` and blanks: `x__Host-…=` is
 * another cookie, and so is one after a byte that only looks like a blank (NBSP, 0xA0), which servers that trim Unicode take for ours.
 */
const nextOf = (header: string, assigned: string, from: number): number => {
  for (let at = header.indexOf(assigned, from); at >= 0; at = header.indexOf(assigned, at + 1)) {
    let before = at - 1
    while (before >= 0 && isBlank(header.charCodeAt(before))) before -= 1
    if (before < 0 || header.charCodeAt(before) === 0x3b) return at
  }
  return -1
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09
