const LOOPBACK = new Set(['127.0.0.1', '[::1]', 'localhost'])

/** True for an http URL of this machine, the only place where http is ever spoken. */
const isLoopbackHttp = (url: URL): boolean => url.protocol === 'http:' && LOOPBACK.has(url.hostname)

/**
 * An issuer or endpoint that requests may go to: https, or http on loopback when the settings allow it.
 * No user info, no fragment (RFC 8414 §2); undefined otherwise.
 */
export const endpointUrl = (value: unknown, allowLoopbackHttp: boolean): URL | undefined => {
  if (typeof value !== 'string' || value.length > 2048 || !URL.canParse(value)) return undefined
  const url = new URL(value)
  if (url.username !== '' || url.password !== '' || value.includes('#')) return undefined
  return url.protocol === 'https:' || (allowLoopbackHttp && isLoopbackHttp(url)) ? url : undefined
}
