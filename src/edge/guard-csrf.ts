import { CSRF_HEADER, CSRF_VALUE } from '../contract/headers.ts'
import type { ProblemCode } from '../domain/problem.ts'

/**
 * What is asked for. `api`: proxied routes and the gateway's JSON endpoints. `form`: the few own endpoints that a plain form may post to.
 * `page`: the gateway's own pages, which are navigated to. `open`: nothing the cookie authorises (`principal: none`, frontend files).
 */
export type GuardedKind = 'api' | 'form' | 'page' | 'open'
/** `view`: a `page` to a navigation and `api` to all else. What another origin gets of either, it cannot read: no CORS, no frame, no Strict cookie. */
export type EndpointKind = GuardedKind | 'view'
export const kindOf = (kind: EndpointKind, headers: HeaderBag): GuardedKind =>
  kind !== 'view' ? kind : isNavigation(headers) ? 'page' : 'api'

/** The header values as Node joins them: a doubled header reads `a, b` and equals nothing below. */
export interface CsrfFacts {
  readonly method: string
  readonly site: string | undefined
  readonly mode: string | undefined
  readonly dest: string | undefined
  readonly origin: string | undefined
  readonly csrf: string | undefined
}

/**
 * Spec §3 CSRF, browser-facts §5–6. Pure, synchronous, before any body is read and before any state changes.
 * `same-site` is never trusted: siblings send Strict cookies. `none` is no proof of a user: Chromium sends it for speculative loads that any page starts.
 * @param origin the configured public origin, compared byte for byte
 * @returns undefined to let the request pass
 */
export const csrfRefusal = (kind: GuardedKind, facts: CsrfFacts, origin: string): ProblemCode | undefined => {
  if (kind === 'open') return undefined
  if (kind === 'page') return navigated(facts) ? undefined : 'request.navigation-only'
  const header = facts.csrf === CSRF_VALUE
  if (facts.site !== undefined) {
    if (facts.site !== 'same-origin') return 'csrf.cross-site'
    return header || kind === 'form' || isRead(facts.method) ? undefined : 'csrf.header-absent'
  }
  // No Fetch Metadata: an old browser, or a client that is none. A page of another origin can do neither: set Origin, nor set the header without a preflight.
  if (isRead(facts.method)) return header ? undefined : 'csrf.header-absent'
  if (facts.origin !== origin) return 'csrf.origin-mismatch'
  return header || kind === 'form' ? undefined : 'csrf.header-absent'
}

/** OPTIONS is not among them: a preflight must never find a way through. */
const isRead = (method: string): boolean => method === 'GET' || method === 'HEAD'

/** A top-level navigation. `empty` is what a service worker of the page makes of one. Frames, images and fetches are refused: they would burn an attempt. */
const navigated = (facts: CsrfFacts): boolean =>
  facts.mode === undefined ||
  (facts.mode === 'navigate' && (facts.dest === undefined || facts.dest === 'document' || facts.dest === 'empty'))

export interface HeaderBag {
  readonly [name: string]: string | string[] | undefined
}

const one = (value: string | string[] | undefined): string | undefined => (typeof value === 'object' ? value.join(', ') : value)

export const csrfFacts = (method: string, headers: HeaderBag): CsrfFacts => ({
  method,
  site: one(headers['sec-fetch-site']),
  mode: one(headers['sec-fetch-mode']),
  dest: one(headers['sec-fetch-dest']),
  origin: one(headers['origin']),
  csrf: one(headers[CSRF_HEADER]),
})

/** A page of another origin asks whether it may (Fetch §4.8); none of our own ever has to. */
export const isPreflight = (method: string, headers: HeaderBag): boolean =>
  method === 'OPTIONS' && headers['access-control-request-method'] !== undefined

/** Speculative loads create no state under the base path: any page can start them, and their cookies may be kept. */
export const isPrefetch = (headers: HeaderBag): boolean =>
  /prefetch|prerender/i.test(`${one(headers['sec-purpose']) ?? ''} ${one(headers['purpose']) ?? ''} ${one(headers['x-moz']) ?? ''}`)

/** A document navigation, by Fetch Metadata, else by `Accept`. Decides page or JSON, never access. */
export const isNavigation = (headers: HeaderBag): boolean => {
  const mode = one(headers['sec-fetch-mode'])
  if (mode !== undefined) return mode === 'navigate'
  const accept = one(headers['accept']) ?? ''
  const html = accept.indexOf('text/html')
  const json = accept.search(/application\/(problem\+)?json/)
  return html !== -1 && (json === -1 || html < json)
}
